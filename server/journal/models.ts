/**
 * Models on disk, each under the SHA-256 of its parameter bytes (not of its file: metadata may differ):
 * `models/<sha256>.safetensors`. A file is there whole or not at all, and never changes. `models/final.safetensors` is a copy
 * of the last one of a run that has ended, for people to find.
 *
 * Order matters to the caller: `put` first, then the journal record that names the hash, then the announcement.
 */
import { join } from 'node:path';
import { diskError, type Files, systemFiles, writeDurably } from '../../shared/disk/files.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { HEX_32_BYTES } from '../../shared/hex.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import type { Layout, Params } from '../../shared/tensors/params.js';
import { decode, type Metadata } from '../../shared/tensors/safetensors.js';

const SUFFIX = '.safetensors';
/** Beside the models: the one of a run that has ended. */
export const FINAL_MODEL_FILE = `final${SUFFIX}`;

/** Models of one run by the SHA-256 of their parameters (64 hex digits). */
export interface ModelStore {
  /** Resolves when the model is durable. `file` is a safetensors file, `sha256` that of its parameters. */
  put(file: Uint8Array, sha256: string): Promise<void>;
  /** The file's bytes as stored, unchecked. @throws FlError not-found */
  get(sha256: string): Promise<Uint8Array>;
  /** The model, checked against its name. @throws FlError not-found; corrupt, if it is not what its name says. */
  load(sha256: string, options?: { expect?: Layout }): Promise<{ params: Params; metadata: Metadata }>;
  has(sha256: string): boolean;
  /**
   * Makes `final.safetensors` a copy of this model, durably; undefined: removes it, if it is there.
   * @throws FlError not-found
   */
  setFinal(sha256: string | undefined): Promise<void>;
  /** Removes every model that is not in `keep`; resolves to the removed hashes, sorted. */
  prune(keep: ReadonlySet<string>): Promise<string[]>;
}

/** Opens or creates the store in `directory` (under the caller's lock) and clears what a crash left half-written. */
export async function openModels(directory: string, options: { files?: Files } = {}): Promise<ModelStore> {
  const files = options.files ?? systemFiles;
  await files.makeDirectory(directory);
  const present = new Set<string>();
  for (const name of await files.list(directory)) {
    if (name.endsWith('.tmp')) await files.remove(join(directory, name));
    else if (name.endsWith(SUFFIX) && HEX_32_BYTES.test(name.slice(0, -SUFFIX.length)))
      present.add(name.slice(0, -SUFFIX.length));
  }
  await files.syncDirectory(directory); // a rename seen above may not have been durable yet
  return new Models(directory, files, present);
}

class Models implements ModelStore {
  readonly #directory: string;
  readonly #files: Files;
  readonly #present: Set<string>;
  readonly #writing = new Map<string, Promise<void>>();

  constructor(directory: string, files: Files, present: Set<string>) {
    this.#directory = directory;
    this.#files = files;
    this.#present = present;
  }

  async put(file: Uint8Array, sha256: string): Promise<void> {
    const path = this.#path(sha256);
    if (this.#present.has(sha256)) return;
    const writing = this.#writing.get(sha256) ?? this.#write(path, file, sha256);
    this.#writing.set(sha256, writing);
    await writing;
  }

  async get(sha256: string): Promise<Uint8Array> {
    const file = await this.#files.read(this.#path(sha256));
    if (file === undefined) throw new FlError('not-found', `model ${sha256}: expected it in ${this.#directory}`);
    return file;
  }

  async load(sha256: string, options: { expect?: Layout } = {}): Promise<{ params: Params; metadata: Metadata }> {
    const model = decode(await this.get(sha256), options);
    const got = sha256Of(model.params);
    if (got !== sha256) throw new FlError('corrupt', `model ${sha256}: its parameters hash to ${got}`);
    return model;
  }

  has(sha256: string): boolean {
    this.#path(sha256);
    return this.#present.has(sha256);
  }

  async prune(keep: ReadonlySet<string>): Promise<string[]> {
    const removed = [...this.#present].filter((sha256) => !keep.has(sha256)).sort();
    for (const sha256 of removed) {
      this.#present.delete(sha256);
      await this.#files.remove(this.#path(sha256));
    }
    return removed;
  }

  async setFinal(sha256: string | undefined): Promise<void> {
    const path = join(this.#directory, FINAL_MODEL_FILE);
    const file = sha256 === undefined ? undefined : await this.get(sha256);
    try {
      if (file !== undefined) return await writeDurably(this.#files, path, `${path}.tmp`, file);
      if ((await this.#files.list(this.#directory)).includes(FINAL_MODEL_FILE)) await this.#files.remove(path);
    } catch (error) {
      throw diskError(FINAL_MODEL_FILE, error);
    }
  }

  async #write(path: string, file: Uint8Array, sha256: string): Promise<void> {
    try {
      await writeDurably(this.#files, path, `${path}.tmp`, file);
      this.#present.add(sha256);
    } catch (error) {
      throw diskError(path, error);
    } finally {
      this.#writing.delete(sha256);
    }
  }

  /** Only a hash becomes a file name, so no name leads out of the folder. */
  #path(sha256: string): string {
    if (!HEX_32_BYTES.test(sha256)) throw invalidArgument('sha256', '64 lower-case hex digits', sha256);
    return join(this.#directory, `${sha256}${SUFFIX}`);
  }
}
