/**
 * ledger-heads.jsonl of a client: what the coordinator has signed about the ledger line of each round that this client was
 * part of. Only ever added to. `starling verify RUN_DIR --against ledger-heads.jsonl` shows a ledger that says something else.
 */
import { join } from 'node:path';
import { systemFiles } from '../../shared/disk/files.js';
import { openLines } from '../../shared/disk/lines.js';
import type { SignedHead } from '../../shared/ledger/against.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';

/** The file in a client's directory. */
export const LEDGER_HEADS_FILE = 'ledger-heads.jsonl';
/** What version 0.1 called it. */
const OLD_FILE = 'receipts.jsonl';

/**
 * Adds heads to the file in `directory`, in the order of the calls; durable when the promise resolves. A file that has the
 * old name, and only that, gets the new one first: the heads of a home are in one file.
 * @throws FlError resource-exhausted or internal, as what it returns does: the disk failed
 */
export async function ledgerHeads(directory: string): Promise<(head: SignedHead) => Promise<void>> {
  const names = await systemFiles.list(directory);
  if (names.includes(OLD_FILE) && !names.includes(LEDGER_HEADS_FILE)) {
    await systemFiles.rename(join(directory, OLD_FILE), join(directory, LEDGER_HEADS_FILE));
    await systemFiles.syncDirectory(directory);
  }
  const { lines } = await openLines(join(directory, LEDGER_HEADS_FILE));
  return (head) => lines.append(Buffer.from(`${canonicalJson(head)}\n`));
}
