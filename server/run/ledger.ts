/**
 * ledger.jsonl of a run directory: one signed, hash-chained line for each committed round (shared/ledger). The journal is
 * the truth and comes first: model, journal record, ledger line. Whatever a crash leaves out is written, byte for byte the
 * same, when the run is opened again, for a line follows from the journal's records and Ed25519 draws no random numbers.
 */
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { isSignedBy, lineSha256, signLine } from '../../shared/chain/chain.js';
import type { Files } from '../../shared/disk/files.js';
import { openLines } from '../../shared/disk/lines.js';
import { FlError } from '../../shared/errors.js';
import { fromHex, toHex } from '../../shared/hex.js';
import type { LedgerHead } from '../../shared/ledger/against.js';
import {
  droppedOf,
  type LedgerEntry,
  type LedgerLine,
  openedEntry,
  parseLine,
  type RoundEntry,
} from '../../shared/ledger/entry.js';
import { signProof } from '../../shared/ledger/secure.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import type { HandOver } from '../../shared/signing/hand-over.js';
import { allKeysOf, type Identity } from '../../shared/signing/identity.js';
import { checkpointIn, createdIn, type LedgerEnd, type RecordOf, type RunRecord } from '../journal/records.js';

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
  /** Where it ends now: what a checkpoint says of it. */
  readonly end: LedgerEnd;
}

/**
 * Opens the ledger of a run, or begins it, and writes whatever lines of the journal's records are missing. A last line
 * that was cut short is written again. Each line is durable before the next, so only the last can be torn. What a checkpoint
 * among the records says of the ledger is held against it by hashes alone.
 * @throws FlError corrupt: it is not this journal's ledger; failed-precondition: another coordinator has begun it
 */
export async function openLedger(
  directory: string,
  { records, identity, files }: { records: readonly RunRecord[]; identity: Identity; files?: Files },
): Promise<Ledger> {
  const created = createdIn(records);
  const { run } = created;
  const known = checkpointIn(records)?.ledger;
  const committed = records.filter((record) => record.kind === 'committed');
  let stored = known;
  let openedKey: string | undefined;
  const { lines: file } = await openLines(join(directory, LEDGER_FILE), {
    files,
    wholeBytes(content) {
      stored = checkLedger(content, { records, identity });
      if (stored !== undefined) openedKey = openedKeyIn(content);
      return stored?.sizeBytes ?? 0;
    },
  });

  async function write(before: LedgerEnd | undefined, entry: LedgerEntry): Promise<LedgerEnd> {
    const text = signLine('ledger', entry, identity);
    await file.append(Buffer.from(`${text}\n`));
    return endAfter(before, { entry, text });
  }

  let end = stored ?? (await write(undefined, firstEntry(created, identity)));
  openedKey ??= toHex(identity.publicKey);
  const signer = { identity, handOvers: handOversFrom(openedKey, identity) };
  const ledger: Ledger = {
    get end() {
      return end;
    },
    async append(record) {
      end = await write(end, nextEntry(run, end, record, signer));
      const { round, lineSha256 } = end;
      return { run, round, lineSha256 };
    },
  };
  for (const record of committed.slice(end.round - (known?.round ?? 0))) await ledger.append(record);
  return ledger;
}

/**
 * Where a ledger file ends, if its whole lines are the first of this journal's; undefined: it has none. Pure.
 * @throws FlError as {@link openLedger}
 */
export function checkLedger(
  content: Uint8Array,
  { records, identity }: { records: readonly RunRecord[]; identity: Identity },
): LedgerEnd | undefined {
  const created = createdIn(records);
  const known = checkpointIn(records)?.ledger;
  const committed = records.filter((record) => record.kind === 'committed');
  const coordinatorKeys = allKeysOf(identity);
  if (known !== undefined) checkKnown(content, known, { run: created.run, coordinatorKeys });
  const first = known === undefined ? 0 : known.round + 1;
  const lines = wholeLines(content.subarray(known?.sizeBytes), { coordinatorKeys, first });
  checkChain(lines, { created, known, committed, coordinatorKeys });
  return lines.reduce(endAfter, known);
}

/**
 * All lines that follow from all records of a run, without their ends: what the file of an undisturbed coordinator holds.
 * @param found the lines that are there, undefined where one is none: what an earlier key has signed only stays as it is
 */
export function ledgerLines(
  records: readonly RunRecord[],
  identity: Identity,
  found: readonly (LedgerLine | undefined)[] = [],
): string[] {
  const created = createdIn(records);
  let end: LedgerEnd | undefined;
  const earlier = allKeysOf(identity).slice(1);
  const isEarlier = (line: LedgerLine) => earlier.some((key) => isSignedBy('ledger', line, fromHex(key)));
  const lines: string[] = [];
  const put = (entry: LedgerEntry) => {
    const line = found[lines.length];
    const isKept = line !== undefined && isEarlier(line) && saysTheSame(line.entry, entry);
    const kept = isKept ? line : undefined;
    const text = kept === undefined ? signLine('ledger', entry, identity) : canonicalJson(kept);
    end = endAfter(end, { entry: kept?.entry ?? entry, text });
    lines.push(text);
  };
  const [first] = found;
  put(firstEntry(created, identity));
  const openedKey = first?.entry.kind === 'opened' ? first.entry.coordinatorKey : toHex(identity.publicKey);
  const signer = { identity, handOvers: handOversFrom(openedKey, identity) };
  for (const record of records) if (record.kind === 'committed') put(nextEntry(created.run, end!, record, signer));
  return lines;
}

/** But for what depends on the key that signs. */
function saysTheSame(stored: LedgerEntry, entry: LedgerEntry): boolean {
  const bare = (one: LedgerEntry) => {
    if (one.kind === 'opened') return { ...one, coordinatorKey: '' };
    const { handOvers: _, ...rest } = one;
    return { ...rest, secure: rest.secure.map((proof) => ({ ...proof, coordinatorSignature: '' })) };
  };
  return canonicalJson(bare(stored)) === canonicalJson(bare(entry));
}

/** The key that a ledger was begun by; undefined: its first line is none. */
function openedKeyIn(content: Uint8Array): string | undefined {
  const [text] = Buffer.from(content.subarray(0, content.indexOf(0x0a)))
    .toString('utf8')
    .split('\n', 1);
  const { entry } = parseLine(text);
  return entry.kind === 'opened' ? entry.coordinatorKey : undefined;
}

/** The words by which a key that was this identity's has led to the one of now; none, if it is that. */
function handOversFrom(openedKey: string, { handOvers = [] }: Identity): readonly HandOver[] {
  const first = handOvers.findIndex(({ from }) => from === openedKey);
  return first < 0 ? [] : handOvers.slice(first);
}

/** Who signs a line, and how the key of the first line led there. */
interface Signer {
  readonly identity: Identity;
  readonly handOvers: readonly HandOver[];
}

function endAfter(before: LedgerEnd | undefined, { entry, text }: Pick<StoredLine, 'entry' | 'text'>): LedgerEnd {
  const [round, modelSha256] = entry.kind === 'round' ? [entry.round, entry.modelAfter] : [0, entry.modelSha256];
  const sizeBytes = (before?.sizeBytes ?? 0) + Buffer.byteLength(text) + 1;
  return { round, modelSha256, lineSha256: lineSha256(text), sizeBytes };
}

function firstEntry({ run, spec, modelSha256, atMs }: Created, { publicKey }: Identity): LedgerEntry {
  return openedEntry(run, spec, { modelSha256, coordinatorKey: publicKey, atMs });
}

function nextEntry(run: string, tip: LedgerEnd, record: Committed, { identity, handOvers }: Signer): RoundEntry {
  const { round, attempt, modelSha256, survivors, draft, atMs, secure = [], privacy = null, clientHandOvers } = record;
  if (round !== tip.round + 1)
    throw new FlError('internal', `${LEDGER_FILE}: expected round ${tip.round + 1}, got ${round}`);
  return {
    kind: 'round',
    run,
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
    ...(handOvers.length > 0 && { handOvers }),
    ...(clientHandOvers !== undefined && { clientHandOvers }),
  };
}

type StoredLine = LedgerLine & { readonly text: string };

/** The lines that are whole. Only the last can be torn: it lacks its end, or was not written to its end. */
function wholeLines(
  content: Uint8Array,
  { coordinatorKeys, first }: { coordinatorKeys: readonly string[]; first: number },
): StoredLine[] {
  const texts = Buffer.from(content).toString('utf8').split('\n').slice(0, -1);
  return texts.flatMap((text, index) => {
    const isLast = index === texts.length - 1;
    try {
      const line = parseLine(text);
      const keys = keysIn(line, coordinatorKeys);
      if (isLast && !keys.some((key) => isSignedBy('ledger', line, fromHex(key)))) return [];
      return { ...line, text };
    } catch (thrown) {
      if (isLast) return [];
      throw new FlError('corrupt', `${LEDGER_FILE}, line ${first + index + 1}: ${FlError.from(thrown).message}`, {
        cause: thrown,
      });
    }
  });
}

/** A first line is by the key that it names: whose ledger this is, is another question. */
function keysIn({ entry }: LedgerLine, coordinatorKeys: readonly string[]): readonly string[] {
  return entry.kind === 'opened' ? [entry.coordinatorKey] : coordinatorKeys;
}

function wrong(index: number, what: string): FlError {
  return new FlError('corrupt', `${LEDGER_FILE}, line ${index + 1}: ${what}`);
}

/** That these are the lines of this journal's ledger, its first or those after `known`. Signatures are for `starling verify`. */
function checkChain(
  lines: readonly StoredLine[],
  about: { created: Created; known?: LedgerEnd; committed: readonly Committed[]; coordinatorKeys: readonly string[] },
): void {
  const { created, known, committed, coordinatorKeys } = about;
  const first = known === undefined ? 0 : known.round + 1;
  let previous = known?.lineSha256;
  for (const [at, { entry, text }] of lines.entries()) {
    const index = first + at;
    if (index === 0) checkFirst(entry, { run: created.run, coordinatorKeys });
    else {
      const record = committed[index - 1 - (known?.round ?? 0)];
      if (record === undefined) throw wrong(index, 'the journal has no such round');
      if (entry.kind !== 'round' || entry.round !== record.round || entry.modelAfter !== record.modelSha256) {
        throw wrong(index, `not round ${record.round} of the journal`);
      }
      if (entry.previous !== previous) throw wrong(index, 'does not follow from the line before');
    }
    previous = lineSha256(text);
  }
}

function checkFirst(
  entry: LedgerEntry,
  { run, coordinatorKeys }: { run: string; coordinatorKeys: readonly string[] },
): void {
  if (entry.kind !== 'opened' || entry.run !== run) throw wrong(0, `not the first of run ${run}`);
  if (coordinatorKeys.includes(entry.coordinatorKey)) return;
  throw new FlError('failed-precondition', `${LEDGER_FILE}: begun under another coordinator's key`);
}

const PREVIOUS = /"previous":"([0-9a-f]{64})"/; // in a name or a reason the quotes would be escaped

/** That the lines up to a checkpoint are what they were: each hash is in the line after it, the last in the checkpoint. */
function checkKnown(
  content: Uint8Array,
  known: LedgerEnd,
  of: { run: string; coordinatorKeys: readonly string[] },
): void {
  const texts = Buffer.from(content.subarray(0, known.sizeBytes)).toString('utf8').split('\n');
  const lines = texts.slice(0, -1);
  if (content.length < known.sizeBytes || texts.at(-1) !== '' || lines.length !== known.round + 1) {
    throw wrong(lines.length, `expected ${known.round + 1} lines in ${known.sizeBytes} bytes, of the checkpoint`);
  }
  let expected: string | undefined = known.lineSha256;
  for (const [index, text] of [...lines.entries()].reverse()) {
    if (lineSha256(text) !== expected) throw wrong(index, 'not what its successor, or the checkpoint, has the hash of');
    expected = PREVIOUS.exec(text)?.[1];
  }
  checkFirst(parseLine(lines[0]).entry, of);
}

/**
 * The line of one round, from the file, of which a piece at a time is held; undefined: there is no such line.
 * @throws FlError not-found: there is no ledger, so that nothing is known of any round
 */
export async function readLedgerRound(directory: string, round: number): Promise<RoundEntry | undefined> {
  const text = await lineAt(join(directory, LEDGER_FILE), round);
  if (text === undefined) return undefined;
  const { entry } = parseLine(text);
  return entry.kind === 'round' && entry.round === round ? entry : undefined;
}

/** The line of this index, without its end; undefined: there is no such line, or it has no end. */
async function lineAt(path: string, index: number): Promise<string | undefined> {
  const parts: Buffer[] = [];
  let line = 0;
  try {
    for await (const piece of createReadStream(path) as AsyncIterable<Buffer>) {
      for (let from = 0, to = 0; to >= 0; from = to + 1) {
        to = piece.indexOf(0x0a, from);
        if (line === index) parts.push(piece.subarray(from, to < 0 ? undefined : to));
        if (to >= 0 && line++ === index) return Buffer.concat(parts).toString('utf8');
      }
    }
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw new FlError('not-found', `${LEDGER_FILE}: expected the ledger of a run, got no file`);
  }
  return undefined;
}
