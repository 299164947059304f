/** A file of lines that is only ever added to: receipts, an account. Mode 0600. */
import { dirname } from 'node:path';
import { diskError, systemFiles, writeAll } from './files.js';

export interface LinesFile {
  /** The whole lines that were there; a last one that a crash cut short is cut off. */
  readonly content: Uint8Array;
  /** Adds one line, its end included, after all that were added before; durable when it resolves. */
  append(line: Uint8Array): Promise<void>;
}

/** Opens the file, or begins it. @throws FlError resource-exhausted or internal, as `append` does: the disk failed */
export async function openLines(path: string): Promise<LinesFile> {
  const found = await systemFiles.read(path);
  const content = found?.subarray(0, found.lastIndexOf(0x0a) + 1) ?? new Uint8Array(0);
  let sizeBytes = content.length;
  let last: Promise<void> = Promise.resolve();

  /** What a crash, or an append that failed, has left behind the last whole line is overwritten. */
  async function write(line: Uint8Array, mode: 'create' | 'existing' = 'existing'): Promise<void> {
    try {
      const file = await systemFiles.open(path, mode);
      try {
        await file.truncate(sizeBytes);
        await writeAll(file, line, sizeBytes);
        await file.datasync();
      } finally {
        await file.close();
      }
      if (mode === 'create') await systemFiles.syncDirectory(dirname(path));
    } catch (error) {
      throw diskError(path, error);
    }
    sizeBytes += line.length;
  }

  await write(new Uint8Array(0), found === undefined ? 'create' : 'existing');
  return {
    content,
    append(line) {
      const added = last.then(() => write(line));
      last = added.catch(() => undefined); // whoever asked for it is told
      return added;
    },
  };
}
