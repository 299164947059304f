/**
 * The little of a file system that durability needs, as an interface: the journal and the model store do all their
 * writing through it, so that tests can tear writes, fill the disk and fail an fsync.
 *
 * What a crash may do, and the code must survive: bytes not yet `datasync`ed are there in part or not at all; a file
 * created, renamed or removed is so for certain only after `syncDirectory` on its folder (fsync(2), rename(2)).
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open, readdir, readFile, rename, unlink } from 'node:fs/promises';
import { dirname } from 'node:path';
import { FlError } from '../errors.js';

/** One write never asks for more than this: Linux moves at most 2 GiB at a time. */
const WRITE_BYTES = 64 << 20;

/** A file that is being written. */
export interface OpenFile {
  /** Writes some of `bytes` at `position` and says how many: a short write is no error. */
  write(bytes: Uint8Array, position: number): Promise<number>;
  truncate(sizeBytes: number): Promise<void>;
  /** Resolves when data and size are on the disk. */
  datasync(): Promise<void>;
  close(): Promise<void>;
}

/** Every method rejects with what the system says, an error with a `code`. */
export interface Files {
  /** Opens for writing; 'create' makes the file and fails if it is there, 'existing' fails if it is not. */
  open(path: string, mode: 'create' | 'existing'): Promise<OpenFile>;
  /** The whole content, or undefined if there is no such file. */
  read(path: string): Promise<Uint8Array | undefined>;
  rename(from: string, to: string): Promise<void>;
  remove(path: string): Promise<void>;
  /** The names in a folder, in no order. */
  list(directory: string): Promise<string[]>;
  /** Makes the folder and its parents; no error if it is there. */
  makeDirectory(directory: string): Promise<void>;
  syncDirectory(directory: string): Promise<void>;
}

/** The real ones; files 0600, folders 0700. */
export const systemFiles: Files = {
  async open(path, mode) {
    const { O_RDWR, O_CREAT, O_EXCL } = constants;
    const handle = await open(path, mode === 'create' ? O_RDWR | O_CREAT | O_EXCL : O_RDWR, 0o600);
    return {
      write: async (bytes, position) => (await handle.write(bytes, 0, bytes.length, position)).bytesWritten,
      truncate: (sizeBytes) => handle.truncate(sizeBytes),
      datasync: () => handle.datasync(),
      close: () => handle.close(),
    };
  },
  async read(path) {
    try {
      return await readFile(path);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
      throw error;
    }
  },
  rename,
  remove: unlink,
  list: readdir,
  async makeDirectory(directory) {
    await mkdir(directory, { recursive: true, mode: 0o700 });
  },
  async syncDirectory(directory) {
    const handle = await open(directory, constants.O_RDONLY);
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  },
};

/** Writes all of `bytes`, however short the single writes are. */
export async function writeAll(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const written = await file.write(bytes.subarray(done, done + WRITE_BYTES), position + done);
    if (written <= 0) throw new FlError('internal', `write: expected at least 1 byte to be written, got ${written}`);
    done += written;
  }
}

/**
 * A file that is there whole or not at all, whenever the machine stops: temporary file, fdatasync, rename, fsync of the
 * folder. Resolves when durable. `temporary` must lie in the same folder and be no other writer's.
 */
export async function writeDurably(files: Files, path: string, temporary: string, bytes: Uint8Array): Promise<void> {
  const file = await files.open(temporary, 'create');
  try {
    try {
      await writeAll(file, bytes, 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await files.rename(temporary, path);
  } catch (error) {
    await files.remove(temporary).catch(() => undefined); // the first error is the one to tell
    throw error;
  }
  await files.syncDirectory(dirname(path));
}

/** A full disk is the operator's to solve and named so; every other failure of the disk is our end. */
export function diskError(what: string, cause: unknown): FlError {
  const { code, message } = cause as NodeJS.ErrnoException;
  const full = code === 'ENOSPC' || code === 'EDQUOT' || code === 'EFBIG';
  return new FlError(full ? 'resource-exhausted' : 'internal', `${what}: ${message}`, { cause });
}

/**
 * {@link writeDurably} on the real disk, with a temporary file that is nobody else's: in a container every process is
 * number 1, and what a killed one left must not be in the way of the next.
 * @throws FlError resource-exhausted or internal: the disk failed, and at which file
 */
export async function writeFileDurably(path: string, bytes: Uint8Array, files: Files = systemFiles): Promise<void> {
  try {
    await writeDurably(files, path, `${path}.${randomUUID()}.tmp`, bytes);
  } catch (error) {
    throw diskError(path, error);
  }
}
