/** A coordinator's data directory made of a backup: each file is what the backup says, or nothing is made. */
import { join } from 'node:path';
import { z } from 'zod';
import { type Files, systemFiles } from '../../shared/disk/files.js';
import { corrupt, FlError } from '../../shared/errors.js';
import { HEX_32_BYTES } from '../../shared/hex.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { BACKUP_FILE, type Backup } from './backup.js';
import { copyFile, newFolder } from './copy.js';

/** No path leads out of the folder. */
const PATH = /^(?!\.\.?(\/|$))[^/\0]+(\/(?!\.\.?(\/|$))[^/\0]+)*$/;

const backupSchema: z.ZodType<Backup> = z.object({
  version: z.literal(1),
  takenAtMs: z.int(),
  runs: z.array(
    z.object({
      run: z.string(),
      status: z.string(),
      round: z.int().optional(),
      modelSha256: z.string().optional(),
      reason: z.string().optional(),
    }),
  ),
  files: z.array(
    z.object({ path: z.string().regex(PATH), sizeBytes: z.int().min(0), sha256: z.string().regex(HEX_32_BYTES) }),
  ),
});

/**
 * Makes `dataDir`, which must be new or empty, of the backup in `from`; durable when it resolves.
 * @throws FlError not-found: no backup; corrupt: a file of it is not what it says; already-exists · disk faults
 */
export async function restoreBackup(
  from: string,
  dataDir: string,
  { files = systemFiles }: { readonly files?: Files } = {},
): Promise<Backup> {
  const backup = await readBackup(from, files);
  return newFolder(files, { directory: dataDir, last: 'identity.key' }, async (aside) => {
    for (const { path, sizeBytes, sha256 } of backup.files) {
      const bytes = await files.read(join(from, path));
      if (bytes === undefined) throw corrupt(join(from, path), `${sizeBytes} bytes`, 'no file; take another backup');
      const got = await copyFile(files, { bytes, to: join(aside, path), path });
      if (got.sha256 !== sha256)
        throw corrupt(join(from, path), `SHA-256 ${sha256}`, `${got.sha256}; take another backup`);
    }
    return backup;
  });
}

async function readBackup(from: string, files: Files): Promise<Backup> {
  const path = join(from, BACKUP_FILE);
  const file = await files.read(path);
  if (file === undefined) {
    throw new FlError('not-found', `${from}: expected a backup that is whole, it has no ${BACKUP_FILE}`);
  }
  try {
    return backupSchema.parse(JSON.parse(new TextDecoder().decode(file)));
  } catch (cause) {
    const got = `${file.length} bytes (SHA-256 ${sha256Hex(file).slice(0, 12)}…) that are not`;
    throw new FlError('corrupt', `${path}: expected what starling backup writes, got ${got}`, { cause });
  }
}
