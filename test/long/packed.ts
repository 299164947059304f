/** The product as npm would publish it, and what of it and its dependencies lies on a user's disk. */
import { execFile } from 'node:child_process';
import { lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from '../e2e/support.js';

/** For npm: from its cache where it can, and quiet. */
export const NPM = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel', 'error'];

/** Of what is built now, since `prepare` would build it anew below the tests that are running. @returns the tarball */
export async function packInto(folder: string): Promise<string> {
  const execute = promisify(execFile);
  await execute(process.execPath, ['dist/cli/finish-build.js'], { cwd: ROOT });
  const { stdout } = await execute(process.execPath, ['dist/cli/pack.js', folder], { cwd: ROOT });
  return stdout.trim();
}

/** Blocks of the disk, as du counts them, in bytes; a file with several names counts once. */
export async function sizeOnDiskBytes(folder: string): Promise<number> {
  const seen = new Set<number>();
  let bytes = 0;
  for (const path of ['.', ...(await readdir(folder, { recursive: true }))]) {
    const { ino, blocks } = await lstat(join(folder, path));
    if (!seen.has(ino)) bytes += blocks * 512;
    seen.add(ino);
  }
  return bytes;
}
