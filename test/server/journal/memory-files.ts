/**
 * A file system in memory that behaves as badly as a real one may: short writes, full disks, failing fsyncs, and crashes
 * that keep what was synced and an arbitrary part of what was not.
 */
import { dirname } from 'node:path';
import type { Files, OpenFile } from '../../../shared/disk/files.js';

type Stored = { content: Uint8Array; durable: Uint8Array };

export class MemoryFiles implements Files {
  /** What a process sees, and which names would be there after a crash. */
  readonly names = new Map<string, Stored>();
  readonly durableNames = new Map<string, Stored>();
  /** Called before each operation; throws to inject an error. */
  fault: (operation: 'write' | 'datasync' | 'rename' | 'syncDirectory', path: string) => void = () => undefined;
  /** Most bytes that one write takes. */
  maxWriteBytes = Number.POSITIVE_INFINITY;
  datasyncs = 0;
  openFiles = 0;

  async open(path: string, mode: 'create' | 'existing'): Promise<OpenFile> {
    if (mode === 'create') {
      if (this.names.has(path)) throw failure('EEXIST', path);
      this.names.set(path, { content: new Uint8Array(0), durable: new Uint8Array(0) });
    }
    const stored = this.names.get(path);
    if (stored === undefined) throw failure('ENOENT', path);
    this.openFiles++;
    return {
      write: async (bytes, position) => {
        this.fault('write', path);
        const part = bytes.subarray(0, this.maxWriteBytes);
        const grown = new Uint8Array(Math.max(stored.content.length, position + part.length));
        grown.set(stored.content);
        grown.set(part, position);
        stored.content = grown;
        return part.length;
      },
      truncate: async (sizeBytes) => {
        stored.content = stored.content.slice(0, sizeBytes);
      },
      datasync: async () => {
        this.fault('datasync', path);
        this.datasyncs++;
        stored.durable = stored.content;
      },
      close: async () => {
        this.openFiles--;
      },
    };
  }

  async read(path: string): Promise<Uint8Array | undefined> {
    return this.names.get(path)?.content.slice();
  }

  async rename(from: string, to: string): Promise<void> {
    this.fault('rename', to);
    this.names.set(to, this.names.get(from)!);
    this.names.delete(from);
  }

  async remove(path: string): Promise<void> {
    if (!this.names.delete(path)) throw failure('ENOENT', path);
  }

  async list(directory: string): Promise<string[]> {
    return [...this.names.keys()]
      .filter((path) => dirname(path) === directory)
      .map((p) => p.slice(directory.length + 1));
  }

  async makeDirectory(): Promise<void> {}

  async syncDirectory(directory: string): Promise<void> {
    this.fault('syncDirectory', directory);
    for (const path of this.durableNames.keys()) if (dirname(path) === directory) this.durableNames.delete(path);
    for (const [path, stored] of this.names) if (dirname(path) === directory) this.durableNames.set(path, stored);
  }

  /**
   * The disk after a crash. Of each file's unsynced bytes, 512-byte sectors survive or not as `survives` says, in any
   * combination; a lost sector inside the file reads as zeros.
   */
  crash(survives: () => boolean): MemoryFiles {
    const after = new MemoryFiles();
    for (const [path, { content, durable }] of this.durableNames) {
      const left = content.slice();
      let endBytes = durable.length;
      left.fill(0, durable.length);
      for (let at = durable.length; at < content.length; at += 512) {
        if (!survives()) continue;
        const sector = content.subarray(at, at + 512);
        left.set(sector, at);
        endBytes = at + sector.length;
      }
      const kept = left.slice(0, endBytes);
      const stored = { content: kept, durable: kept };
      after.names.set(path, stored);
      after.durableNames.set(path, stored);
    }
    return after;
  }
}

export function failure(code: string, path: string): NodeJS.ErrnoException {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}
