/**
 * receipts.jsonl of a client: what the coordinator has signed about the ledger line of each round that this client was part
 * of. Only ever added to. `starling verify RUN_DIR --against receipts.jsonl` shows a ledger that says something else.
 */
import { join } from 'node:path';
import { openLines } from '../../shared/disk/lines.js';
import type { SignedHead } from '../../shared/ledger/against.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';

/** In the folder of a client. */
export const HEADS_FILE = 'receipts.jsonl';

/** Adds heads to the file in `directory`, in the order of the calls; durable when the promise resolves. */
export async function headsFile(directory: string): Promise<(head: SignedHead) => Promise<void>> {
  const lines = await openLines(join(directory, HEADS_FILE));
  return (head) => lines.append(Buffer.from(`${canonicalJson(head)}\n`));
}
