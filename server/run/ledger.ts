/**
 * ledger.jsonl of a run directory: one signed, hash-chained line for each committed round (shared/ledger). The journal is
 * the truth and comes first: model, journal record, ledger line. Whatever a crash leaves out is written, byte for byte the
 * same, when the run is opened again, for a line follows from the journal's records and Ed25519 draws no random numbers.
 */
import { dirname, join } from 'node:path';
import { diskError, type Files, type OpenFile, systemFiles, writeAll } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import type { Identity } from '../../shared/identity.js';
import type { LedgerHead } from '../../shared/ledger/against.js';
import {
  droppedOf,
  hex,
  isSignedBy,
  type LedgerLine,
  lineSha256,
  openedEntry,
  parseLine,
  type RoundEntry,
  signLine,
} from '../../shared/ledger/entry.js';
import { signProof } from '../../shared/ledger/secure.js';
import { createdIn, type RecordOf, type RunRecord } from '../journal/records.js';

/** Its name in a run directory. */
export const LEDGER_FILE = 'ledger.jsonl';

type Committed = RecordOf<'committed'>;
type Created = RecordOf<'created'>;

/** Where the chain ends. */
interface Tip {
  readonly run: string;
  readonly rounds: number;
  readonly modelSha256: string;
  readonly lineSha256: string;
}

/** The open ledger of a run; owns its file until it is closed. */
export class Ledger {
  readonly #file: OpenFile;
  readonly #identity: Identity;
  #sizeBytes: number;
  #tip: Tip;

  /** Made by {@link openLedger}. */
  constructor(file: OpenFile, identity: Identity, { sizeBytes, tip }: { sizeBytes: number; tip: Tip }) {
    this.#file = file;
    this.#identity = identity;
    this.#sizeBytes = sizeBytes;
    this.#tip = tip;
  }

  /**
   * The line of a round that is in the journal; durable when it resolves, to what a client is to keep.
   * @throws FlError internal: not the round that comes next; resource-exhausted or internal: the disk failed
   */
  async append(record: Committed): Promise<LedgerHead> {
    const [line, tip] = nextLine(this.#tip, record, this.#identity);
    const bytes = Buffer.from(`${line}\n`);
    try {
      await writeAll(this.#file, bytes, this.#sizeBytes);
      await this.#file.datasync();
    } catch (error) {
      throw diskError(LEDGER_FILE, error);
    }
    this.#sizeBytes += bytes.length;
    this.#tip = tip;
    return { run: tip.run, round: tip.rounds, lineSha256: tip.lineSha256 };
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

/**
 * Opens the ledger of a run, or begins it, and writes whatever lines of the journal's records are missing. A last line
 * that was cut short is written again.
 * @throws FlError corrupt: it is not this journal's ledger; failed-precondition: another coordinator has begun it
 */
export async function openLedger(
  directory: string,
  { records, identity, files = systemFiles }: { records: readonly RunRecord[]; identity: Identity; files?: Files },
): Promise<Ledger> {
  const created = createdIn(records);
  const path = join(directory, LEDGER_FILE);
  const content = await files.read(path);
  const committed = records.filter((record) => record.kind === 'committed');
  const lines = wholeLines(content ?? new Uint8Array(0), hex(identity.publicKey));
  checkChain(lines, { created, committed, coordinatorKey: hex(identity.publicKey) });
  const present = lines.map((line) => line.text);
  const last = lines.at(-1)?.entry;
  const rounds = last?.kind === 'round' ? last.round : 0;
  const missing: string[] = [];
  let tip: Tip;
  if (last === undefined) {
    const [line, first] = firstLine(created, identity);
    missing.push(line);
    tip = first;
  } else {
    const modelSha256 = last.kind === 'round' ? last.modelAfter : last.modelSha256;
    tip = { run: last.run, rounds, modelSha256, lineSha256: lineSha256(present[present.length - 1]) };
  }
  for (const record of committed.slice(rounds)) {
    const [line, next] = nextLine(tip, record, identity);
    missing.push(line);
    tip = next;
  }
  const file = await files.open(path, content === undefined ? 'create' : 'existing');
  try {
    const sizeBytes = await complete(file, { present, missing, foundBytes: content?.length ?? 0 });
    if (content === undefined) await files.syncDirectory(dirname(path));
    return new Ledger(file, identity, { sizeBytes, tip });
  } catch (error) {
    await file.close();
    throw diskError(path, error);
  }
}

/** Cuts what is torn and adds what is missing; returns the size. */
async function complete(
  file: OpenFile,
  { present, missing, foundBytes }: { present: readonly string[]; missing: readonly string[]; foundBytes: number },
): Promise<number> {
  const sizeOf = (lines: readonly string[]) => lines.reduce((sum, line) => sum + Buffer.byteLength(line) + 1, 0);
  const keptBytes = sizeOf(present);
  if (foundBytes > keptBytes) {
    await file.truncate(keptBytes);
    await file.datasync();
  }
  for (let at = keptBytes, i = 0; i < missing.length; i++) {
    const bytes = Buffer.from(`${missing[i]}\n`);
    await writeAll(file, bytes, at);
    at += bytes.length;
    await file.datasync(); // each by itself: only the last line of a ledger can be torn
  }
  return keptBytes + sizeOf(missing);
}

function firstLine({ run, spec, modelSha256, atMs }: Created, identity: Identity): [string, Tip] {
  const line = signLine(openedEntry(run, spec, { modelSha256, coordinatorKey: identity.publicKey, atMs }), identity);
  return [line, { run, rounds: 0, modelSha256, lineSha256: lineSha256(line) }];
}

function nextLine(tip: Tip, record: Committed, identity: Identity): [string, Tip] {
  const { round, attempt, modelSha256, survivors, draft, atMs, secure = [], privacy = null } = record;
  if (round !== tip.rounds + 1)
    throw new FlError('internal', `${LEDGER_FILE}: expected round ${tip.rounds + 1}, got ${round}`);
  const entry: RoundEntry = {
    kind: 'round',
    run: tip.run,
    round,
    attempt,
    atMs,
    previous: tip.lineSha256,
    modelBefore: tip.modelSha256,
    modelAfter: modelSha256,
    cohort: draft.cohort,
    survivors: survivors.map(({ client, updateSha256: sha256 }) => ({
      client,
      ...(sha256 && { updateSha256: sha256 }),
    })),
    dropped: droppedOf(draft.dropped),
    secure: secure.map((proof) => signProof(proof, identity)),
    privacy,
  };
  const line = signLine(entry, identity);
  return [line, { run: tip.run, rounds: round, modelSha256, lineSha256: lineSha256(line) }];
}

type StoredLine = LedgerLine & { readonly text: string };

/** The lines that are whole. Only the last can be torn: it lacks its end, or was not written to its end. */
function wholeLines(content: Uint8Array, coordinatorKey: string): StoredLine[] {
  const texts = Buffer.from(content).toString('utf8').split('\n').slice(0, -1);
  return texts.flatMap((text, index) => {
    const isLast = index === texts.length - 1;
    try {
      const line = parseLine(text);
      if (isLast && !isSignedBy(line, keyIn(line, coordinatorKey))) return [];
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
