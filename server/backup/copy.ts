/** Folders that are copied whole or not at all, and the hash of each file in them. */
import { rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { asideOf, entriesOf, putInPlace } from '../../shared/disk/aside.js';
import { diskError, type Files, writeAll } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import { sha256Hex } from '../../shared/signing/identity.js';

/** One file of a backup; `path` is relative to it, with `/`. */
export interface FileEntry {
  readonly path: string;
  readonly sizeBytes: number;
  readonly sha256: string;
}

/** Writes a file, its folder included; its bytes are on the disk when it resolves. What is there is replaced. */
export async function copyFile(
  files: Files,
  { bytes, to, path }: { readonly bytes: Uint8Array; readonly to: string; readonly path: string },
): Promise<FileEntry> {
  try {
    await files.makeDirectory(dirname(to));
    const isThere = (await files.read(to)) !== undefined;
    const file = await files.open(to, isThere ? 'existing' : 'create');
    try {
      await file.truncate(0);
      await writeAll(file, bytes, 0);
      await file.datasync();
    } finally {
      await file.close();
    }
    await files.syncDirectory(dirname(to));
  } catch (error) {
    throw diskError(to, error);
  }
  return { path, sizeBytes: bytes.length, sha256: sha256Hex(bytes) };
}

/**
 * Makes `directory` of what `build` puts into the folder that it is given. Killed before the end, there is nothing, or what
 * the next try removes; `last` is the file that makes it whole.
 * @throws FlError already-exists: it holds something
 */
export async function newFolder<Result>(
  files: Files,
  { directory, last }: { readonly directory: string; readonly last: string },
  build: (aside: string) => Promise<Result>,
): Promise<Result> {
  if ((await entriesOf(directory)).length > 0) {
    throw new FlError('already-exists', `${directory}: expected a folder that is new or empty; choose another one`);
  }
  await rmdir(directory).catch(() => undefined); // a mount point stays, and is filled file by file
  const aside = await asideOf(directory);
  await rm(aside, { recursive: true, force: true }); // of one that was killed
  try {
    await files.makeDirectory(aside);
    const result = await build(aside);
    await putInPlace(files, aside, directory, last);
    return result;
  } catch (error) {
    await rm(aside, { recursive: true, force: true }).catch(() => undefined); // the first error is the one to tell
    throw error;
  }
}
