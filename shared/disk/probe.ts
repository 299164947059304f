/** Whether a disk takes what is written: by writing, durably, since no flag and no figure says as much. */
import { randomUUID } from 'node:crypto';
import { unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from './files.js';

/** A journal needs no less: one block of the disk. */
const PROBE_BYTES = 4_096;

/** Resolves when a block was made durable in `directory` and removed. @throws FlError: the disk, and what it says */
export async function probeDisk(directory: string): Promise<void> {
  const probe = join(directory, `health-${randomUUID()}.tmp`); // a name that the next start removes
  await writeFileDurably(probe, new Uint8Array(PROBE_BYTES));
  await unlink(probe);
}
