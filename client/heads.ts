/**
 * receipts.jsonl of a client: what the coordinator has signed about the ledger line of each round that this client was part
 * of. Only ever added to. `starling verify RUN_DIR --against receipts.jsonl` shows a ledger that says something else.
 */
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { diskError } from '../shared/disk/files.js';
import { canonicalJson } from '../shared/identity.js';
import type { SignedHead } from '../shared/ledger/against.js';

export const HEADS_FILE = 'receipts.jsonl';

/** Adds heads to the file in `directory`, in the order of the calls; durable when the promise resolves. */
export async function headsFile(directory: string): Promise<(head: SignedHead) => Promise<void>> {
  const path = join(directory, HEADS_FILE);
  await cutTorn(path);
  let last: Promise<void> = Promise.resolve();
  return (head) => {
    last = last.then(() => append(path, `${canonicalJson(head)}\n`));
    return last;
  };
}

async function append(path: string, line: string): Promise<void> {
  try {
    const file = await open(path, 'a', 0o600);
    try {
      await file.appendFile(line);
      await file.datasync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskError(path, error);
  }
}

/** A crash may have cut the last line short. */
async function cutTorn(path: string): Promise<void> {
  const file = await open(path, 'a+', 0o600);
  try {
    const content = await file.readFile();
    const endBytes = content.lastIndexOf(0x0a) + 1;
    if (endBytes < content.length) await file.truncate(endBytes);
  } finally {
    await file.close();
  }
}
