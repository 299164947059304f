/**
 * ledger.jsonl of a run directory: one signed, hash-chained line for each committed round (shared/ledger). The journal is
 * the truth and comes first: model, journal record, ledger line. Whatever a crash leaves out is written, byte for byte the
 * same, when the run is opened again, for a line follows from the journal's records and Ed25519 draws no random numbers.
 */
import { join } from 'node:path';
import { isSignedBy, lineSha256, signLine } from '../../shared/chain/chain.js';
import type { Files } from '../../shared/disk/files.js';
import { openLines } from '../../shared/disk/lines.js';
import { FlError } from '../../shared/errors.js';
import { fromHex, toHex } from '../../shared/hex.js';
import type { LedgerHead } from '../../shared/ledger/against.js';
import { droppedOf, type LedgerLine, openedEntry, parseLine, type RoundEntry } from '../../shared/ledger/entry.js';
import { signProof } from '../../shared/ledger/secure.js';
import type { Identity } from '../../shared/signing/identity.js';
import { createdIn, type RecordOf, type RunRecord } from '../journal/records.js';

/** In a run directory. */
export const LEDGER_FILE = 'ledger.jsonl';

type Committed = RecordOf<'committed'>;
type Created = RecordOf<'created'>;

/** An open ledger. Between lines it holds no file open: there is nothing to close. */
export interface Ledger {
  /**
   * The line of a round that is in the journal; durable when it resolves, to what a client is to keep.
   * @throws FlError internal: not the round that comes next; resource-exhausted or internal: the disk failed
   */
  append(record: Committed): Promise<LedgerHead>;
}

/**
 * Opens the ledger of a run, or begins it, and writes whatever lines of the journal's records are missing. A last line
 * that was cut short is written again. Each line is durable before the next, so only the last can be torn.
 * @throws FlError corrupt: it is not this journal's ledger; failed-precondition: another coordinator has begun it
 */
export async function openLedger(
  directory: string,
  { records, identity, files }: { records: readonly RunRecord[]; identity: Identity; files?: Files },
): Promise<Ledger> {
  const created = createdIn(records);
  const committed = records.filter((record) => record.kind === 'committed');
  let lines: readonly StoredLine[] = [];
  const file = await openLines(join(directory, LEDGER_FILE), {
    files,
    wholeBytes(content) {
      lines = checkLedger(content, { records, identity });
      return lines.reduce((sum, { text }) => sum + Buffer.byteLength(text) + 1, 0);
    },
  });

  async function write(line: SignedEntry): Promise<Tip> {
    await file.append(Buffer.from(`${line.text}\n`));
    return tipAt(line);
  }

  const last = lines.at(-1);
  let tip = last === undefined ? await write(firstLine(created, identity)) : tipAt(last);
  const ledger: Ledger = {
    async append(record) {
      tip = await write(nextLine(tip, record, identity));
      const { run, round, lineSha256 } = tip;
      return { run, round, lineSha256 };
    },
  };
  for (const record of committed.slice(tip.round)) await ledger.append(record);
  return ledger;
}

/** The whole lines of a ledger file, if they are the first of this journal's. Pure. @throws FlError as {@link openLedger} */
export function checkLedger(
  content: Uint8Array,
  { records, identity }: { records: readonly RunRecord[]; identity: Identity },
): readonly StoredLine[] {
  const coordinatorKey = toHex(identity.publicKey);
  const lines = wholeLines(content, coordinatorKey);
  const committed = records.filter((record) => record.kind === 'committed');
  checkChain(lines, { created: createdIn(records), committed, coordinatorKey });
  return lines;
}

/** All lines that follow from a journal, without their ends: what the file of an undisturbed coordinator holds. */
export function ledgerLines(records: readonly RunRecord[], identity: Identity): string[] {
  let line = firstLine(createdIn(records), identity);
  const lines = [line.text];
  for (const record of records) {
    if (record.kind !== 'committed') continue;
    line = nextLine(tipAt(line), record, identity);
    lines.push(line.text);
  }
  return lines;
}

/** Where the chain ends; `round` is 0 in its first line. */
interface Tip extends LedgerHead {
  readonly modelSha256: string;
}

function tipAt({ entry, text }: SignedEntry): Tip {
  const { run } = entry;
  const [round, modelSha256] = entry.kind === 'round' ? [entry.round, entry.modelAfter] : [0, entry.modelSha256];
  return { run, round, modelSha256, lineSha256: lineSha256(text) };
}

function firstLine({ run, spec, modelSha256, atMs }: Created, identity: Identity): SignedEntry {
  const entry = openedEntry(run, spec, { modelSha256, coordinatorKey: identity.publicKey, atMs });
  return { entry, text: signLine('ledger', entry, identity) };
}

function nextLine(tip: Tip, record: Committed, identity: Identity): SignedEntry {
  const entry = nextEntry(tip, record, identity);
  return { entry, text: signLine('ledger', entry, identity) };
}

function nextEntry(tip: Tip, record: Committed, identity: Identity): RoundEntry {
  const { round, attempt, modelSha256, survivors, draft, atMs, secure = [], privacy = null } = record;
  if (round !== tip.round + 1)
    throw new FlError('internal', `${LEDGER_FILE}: expected round ${tip.round + 1}, got ${round}`);
  return {
    kind: 'round',
    run: tip.run,
    round,
    attempt,
    atMs,
    previous: tip.lineSha256,
    modelBefore: tip.modelSha256,
    modelAfter: modelSha256,
    cohort: draft.cohort,
    survivors: survivors.map(({ client, updateSha256 }) => ({ client, updateSha256: updateSha256 || undefined })),
    dropped: droppedOf(draft.dropped),
    secure: secure.map((proof) => signProof(proof, identity)),
    privacy,
  };
}

type StoredLine = LedgerLine & { readonly text: string };
type SignedEntry = Pick<StoredLine, 'entry' | 'text'>;

/** The lines that are whole. Only the last can be torn: it lacks its end, or was not written to its end. */
function wholeLines(content: Uint8Array, coordinatorKey: string): StoredLine[] {
  const texts = Buffer.from(content).toString('utf8').split('\n').slice(0, -1);
  return texts.flatMap((text, index) => {
    const isLast = index === texts.length - 1;
    try {
      const line = parseLine(text);
      if (isLast && !isSignedBy('ledger', line, fromHex(keyIn(line, coordinatorKey)))) return [];
      return { ...line, text };
    } catch (thrown) {
      if (isLast) return [];
      throw new FlError('corrupt', `${LEDGER_FILE}, line ${index + 1}: ${FlError.from(thrown).message}`, {
        cause: thrown,
      });
    }
  });
}

/** A first line is by the key that it names: whose ledger this is, is another question. */
function keyIn({ entry }: LedgerLine, coordinatorKey: string): string {
  return entry.kind === 'opened' ? entry.coordinatorKey : coordinatorKey;
}

/** That these are the first lines of this journal's ledger. Signatures are for `starling verify`. */
function checkChain(
  lines: readonly StoredLine[],
  { created, committed, coordinatorKey }: { created: Created; committed: readonly Committed[]; coordinatorKey: string },
): void {
  const wrong = (index: number, what: string) => new FlError('corrupt', `${LEDGER_FILE}, line ${index + 1}: ${what}`);
  for (const [index, { entry }] of lines.entries()) {
    if (index === 0) {
      if (entry.kind !== 'opened' || entry.run !== created.run) throw wrong(0, `not the first of run ${created.run}`);
      if (entry.coordinatorKey === coordinatorKey) continue;
      throw new FlError('failed-precondition', `${LEDGER_FILE}: begun under another coordinator's key`);
    }
    const record = committed[index - 1];
    if (record === undefined) throw wrong(index, 'the journal has no such round');
    if (entry.kind !== 'round' || entry.round !== record.round || entry.modelAfter !== record.modelSha256) {
      throw wrong(index, `not round ${record.round} of the journal`);
    }
    if (entry.previous !== lineSha256(lines[index - 1].text))
      throw wrong(index, 'does not follow from the line before');
  }
}
