/** The real file system of a process that is killed before one of its changes: no call returns any more, and nothing changes. */
import { type Files, type OpenFile, systemFiles } from '../../shared/disk/files.js';

export class DyingFiles implements Files {
  /** Resolves when it is dead. */
  readonly died: Promise<void>;
  #die: () => void = () => {};
  #changesLeft: number;
  readonly #open = new Set<OpenFile>();

  /** @param changes how many are carried out */
  constructor(changes: number) {
    this.#changesLeft = changes;
    this.died = new Promise((resolve) => {
      this.#die = resolve;
    });
  }

  /** Half of a write reaches the disk when the kill comes in it. */
  async #change<T>(carryOut: () => Promise<T>, torn?: () => Promise<unknown>): Promise<T> {
    if (this.#changesLeft-- > 0) return carryOut();
    if (this.#changesLeft === -1) await torn?.();
    for (const file of this.#open) await file.close();
    this.#open.clear();
    this.#die();
    return new Promise(() => {});
  }

  async open(path: string, mode: 'create' | 'existing'): Promise<OpenFile> {
    if (this.#changesLeft < 0) return new Promise(() => {});
    const file =
      mode === 'create' ? await this.#change(() => systemFiles.open(path, mode)) : await systemFiles.open(path, mode);
    this.#open.add(file);
    return {
      write: (bytes, position) =>
        this.#change(
          () => file.write(bytes, position),
          () => file.write(bytes.subarray(0, bytes.length >> 1), position),
        ),
      truncate: (sizeBytes) => this.#change(() => file.truncate(sizeBytes)),
      datasync: () => this.#change(() => file.datasync()),
      close: async () => {
        if (this.#open.delete(file)) await file.close();
      },
    };
  }

  read = systemFiles.read;
  list = systemFiles.list;
  rename(from: string, to: string): Promise<void> {
    return this.#change(() => systemFiles.rename(from, to));
  }
  remove(path: string): Promise<void> {
    return this.#change(() => systemFiles.remove(path));
  }
  makeDirectory(directory: string): Promise<void> {
    return this.#change(() => systemFiles.makeDirectory(directory));
  }
  syncDirectory(directory: string): Promise<void> {
    return this.#change(() => systemFiles.syncDirectory(directory));
  }
}
