/**
 * Directories that are made in several steps, and are there whole or not at all, whenever the machine stops: they are built
 * under a name that nothing lists, made durable, and renamed last. What a crash leaves under such a name was promised to
 * nobody.
 */
import { type Dirent, promises } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import type { Files } from './files.js';

const PREFIX = '.new-';
const GONE_PREFIX = '.gone-';

/** Where `directory` is built: beside it, so that one rename is enough; in it if it is there, for it may be a disk of its own. */
export async function asideOf(directory: string): Promise<string> {
  const path = resolve(directory);
  return (await isThere(path)) ? join(path, `${PREFIX}files`) : join(dirname(path), `${PREFIX}${basename(path)}`);
}

/**
 * Gives what was built in `aside`, each file durable, its name `directory`; durable when it resolves. Where a folder with
 * other things is already, the files go into it, and `last`, the one without which it is nothing, after all others.
 */
export async function putInPlace(files: Files, aside: string, directory: string, last: string): Promise<void> {
  await files.syncDirectory(aside);
  const path = resolve(directory);
  if (!(await isThere(path))) await files.rename(aside, path);
  else {
    await moveInto(files, aside, path, (name) => name !== last);
    await moveInto(files, aside, path, (name) => name === last);
    await promises.rm(aside, { recursive: true });
  }
  await files.syncDirectory(dirname(path));
  await files.syncDirectory(dirname(dirname(path))); // the folder of all of them may be new, too
}

/** Gives `directory` another name, on the same disk, in one rename; durable when it resolves. */
export async function moveDirectory(files: Files, directory: string, target: string): Promise<void> {
  await files.makeDirectory(dirname(target));
  await files.rename(directory, target);
  await files.syncDirectory(dirname(target));
  await files.syncDirectory(dirname(directory));
  await files.syncDirectory(dirname(dirname(target))); // the folder may be new, too
}

/** `directory` is nobody's any more when this resolves, whatever happens; `remove` then frees its space. */
export async function discard(files: Files, directory: string): Promise<{ remove(): Promise<void> }> {
  const gone = join(dirname(directory), `${GONE_PREFIX}${basename(directory)}`);
  await promises.rm(gone, { recursive: true, force: true });
  await moveDirectory(files, directory, gone);
  return { remove: () => promises.rm(gone, { recursive: true }) };
}

async function isThere(path: string): Promise<boolean> {
  return promises.access(path).then(
    () => true,
    () => false,
  );
}

async function moveInto(files: Files, from: string, to: string, isMoved: (name: string) => boolean): Promise<void> {
  for (const entry of await promises.readdir(from, { withFileTypes: true })) {
    if (!isMoved(entry.name)) continue;
    const [source, target] = [join(from, entry.name), join(to, entry.name)];
    if (!entry.isDirectory()) await files.rename(source, target);
    else {
      await files.makeDirectory(target);
      await moveInto(files, source, target, () => true);
    }
  }
  await files.syncDirectory(to);
}

/** Removes directories below `parent` that were being built, or deleted, when their process ended; their names, sorted. */
export function removeUnfinished(parent: string): Promise<string[]> {
  return removeWhere(
    parent,
    (entry) => entry.isDirectory() && [PREFIX, GONE_PREFIX].some((prefix) => entry.name.startsWith(prefix)),
  );
}

/** Removes files of `directory` that were being written when their process ended (they may hold secrets); sorted. */
export function removeTemporaries(directory: string): Promise<string[]> {
  return removeWhere(directory, (entry) => entry.isFile() && entry.name.endsWith('.tmp'));
}

async function removeWhere(directory: string, isLeftOver: (entry: Dirent) => boolean): Promise<string[]> {
  const entries = await entriesOf(directory);
  const names = entries.filter(isLeftOver).map(({ name }) => name);
  for (const name of names) await promises.rm(join(directory, name), { recursive: true, force: true });
  return names.sort();
}

/** What is in a folder; nothing when there is no such folder. Any other failure of the disk is thrown. */
export async function entriesOf(directory: string): Promise<Dirent[]> {
  try {
    return await promises.readdir(directory, { withFileTypes: true });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
}
