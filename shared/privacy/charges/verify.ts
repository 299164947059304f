/**
 * The stored form of a ledger, one canonical record per line, and its verification by someone who trusts none of it but the signer's
 * key: spelling, chain, signatures, the order of rounds, and ε recomputed from the spends.
 *
 * What it cannot see: records cut off the end. Compare the head with one received elsewhere (`expectedHead`), which is why clients
 * keep the last hash they were shown.
 */
import { FlError } from '../../errors.js';
import { type Canonical, canonicalText, parseCanonical } from './canonical.js';
import {
  checkSpend,
  epsilonOf,
  FIRST_PREVIOUS,
  type Ledger,
  type LedgerEntry,
  type LedgerRecord,
  recordHash,
  signedBytes,
} from './charges.js';

export interface LedgerVerifier {
  sha256(bytes: Uint8Array): Uint8Array;
  verify(bytes: Uint8Array, signature: Uint8Array): boolean;
}

export type Verification =
  | { readonly ok: true; readonly ledger: Ledger; readonly head: string; readonly epsilon: number }
  | { readonly ok: false; readonly record: number; readonly reason: string };

/** Another machine's exp and log may differ in the last digits, and its accountant by its stated rounding. */
const EPSILON_TOLERANCE = 1e-5;

export function encodeLedger(ledger: Ledger): Uint8Array {
  const lines = ledger.map((record) => `${canonicalText(record as unknown as Canonical)}\n`);
  return new TextEncoder().encode(lines.join(''));
}

/** Reads stored records without verifying them; throws `corrupt` on anything that {@link encodeLedger} would not write. */
export function decodeLedger(bytes: Uint8Array): Ledger {
  return linesOf(bytes).map(decodeRecord);
}

/**
 * Checks all of a stored ledger. `recompute`: `last` (default) recomputes the final ε only, `all` that of each record.
 */
export function verifyLedger(
  bytes: Uint8Array,
  verifier: LedgerVerifier,
  options: { readonly expectedHead?: string; readonly recompute?: 'all' | 'last' } = {},
): Verification {
  const ledger: LedgerRecord[] = [];
  let head = FIRST_PREVIOUS;
  try {
    const lines = linesOf(bytes);
    for (const line of lines) {
      const record = decodeRecord(line);
      checkRecord(record, ledger, head, verifier);
      ledger.push(record);
      if (options.recompute === 'all' || ledger.length === lines.length) checkEpsilon(ledger);
      head = recordHash(record, verifier.sha256);
    }
    if (options.expectedHead !== undefined && options.expectedHead !== head) {
      throw new FlError('corrupt', `head: expected ${options.expectedHead}, got ${head}`);
    }
  } catch (thrown) {
    return { ok: false, record: ledger.length, reason: FlError.from(thrown).message };
  }
  return { ok: true, ledger, head, epsilon: ledger.at(-1)?.entry.epsilonAfter ?? 0 };
}

function checkRecord(record: LedgerRecord, before: Ledger, head: string, verifier: LedgerVerifier): void {
  const { entry, signature } = record;
  if (!verifier.verify(signedBytes(entry), fromHex(signature)))
    throw corrupt('signature', 'one by the ledger key', 'another');
  if (entry.sequence !== before.length) throw corrupt('sequence', before.length, entry.sequence);
  if (entry.previous !== head) throw corrupt('previous', head, entry.previous);
  checkSpend(entry);
  const first = before[0]?.entry;
  if (first !== undefined) {
    for (const term of ['unit', 'delta', 'accountant'] as const) {
      if (entry[term] !== first[term]) throw corrupt(term, first[term], entry[term]);
    }
  }
  if (before.some(({ entry: old }) => old.runId === entry.runId && old.round === entry.round)) {
    throw corrupt('round', 'each round of a run once', `${entry.round} of ${entry.runId} again`);
  }
  const last = before.at(-1)?.entry;
  if (last !== undefined && entry.epsilonAfter < last.epsilonAfter * (1 - EPSILON_TOLERANCE)) {
    throw corrupt('epsilonAfter', `at least ${last.epsilonAfter}`, entry.epsilonAfter);
  }
}

function checkEpsilon(ledger: Ledger): void {
  const entry = (ledger.at(-1) as LedgerRecord).entry;
  const spends = ledger.flatMap((record) => record.entry.spends);
  const epsilon = epsilonOf(spends, entry);
  if (Math.abs(entry.epsilonAfter - epsilon) > EPSILON_TOLERANCE * epsilon) {
    throw corrupt('epsilonAfter', epsilon, entry.epsilonAfter);
  }
}

function linesOf(bytes: Uint8Array): string[] {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    throw new FlError('corrupt', 'ledger: expected UTF-8', { cause });
  }
  if (text === '') return [];
  if (!text.endsWith('\n')) throw corrupt('ledger', 'a line end after the last record', 'none');
  return text.slice(0, -1).split('\n');
}

function decodeRecord(line: string): LedgerRecord {
  const value = parseCanonical(line) as unknown as LedgerRecord;
  const entry = value?.entry as LedgerEntry | undefined;
  if (entry?.version !== 1) throw corrupt('version', 1, entry?.version);
  if (typeof value.signature !== 'string' || !Array.isArray(entry.spends))
    throw corrupt('record', 'entry and signature', 'less');
  if (Object.keys(value).length !== 2) throw corrupt('record', 'entry and signature', Object.keys(value).join());
  return value;
}

function fromHex(text: string): Uint8Array {
  if (!/^([0-9a-f]{2})*$/.test(text)) throw corrupt('signature', 'lower-case hex', 'other characters');
  return Uint8Array.from({ length: text.length / 2 }, (_, i) => Number.parseInt(text.slice(2 * i, 2 * i + 2), 16));
}

function corrupt(field: string, expected: unknown, got: unknown): FlError {
  return new FlError('corrupt', `${field}: expected ${String(expected)}, got ${String(got)}`);
}
