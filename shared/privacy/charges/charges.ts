/**
 * The privacy ledger: one signed record per round, each holding the hash of the one before, so that what a run has cost in (ε, δ)
 * can be stated by one party and checked by any other.
 *
 * Pure data and pure functions; SHA-256 and Ed25519 come in as arguments. A record is appended *before* the noisy sum of its round
 * is opened: a crash in between has then charged a round that revealed nothing (never the reverse), and appending the same
 * round again after a restart changes nothing.
 */
import { FlError, invalidArgument } from '../../errors.js';
import { type Accountant, composedEpsilon, type Spend } from '../accounting/releases.js';
import { type Canonical, canonicalBytes } from './canonical.js';

/** Whose presence the guarantee hides. A ledger keeps to one unit. */
export type PrivacyUnit = 'client' | 'example';

/** What a round did, as far as it bears on privacy. */
export interface RoundSpend {
  readonly runId: string;
  readonly round: number;
  /** The releases of this round, with everything the accountant needs. */
  readonly spends: readonly Spend[];
  /** In model units. */
  readonly clippingBound: number;
  /** Deviation of the noise in the opened sum, in model units, at the least survivor set. */
  readonly noiseStdDev: number;
  /** 'all': everyone available. 'fixed-size': amplifies nothing here. 'poisson-secret': the only one that may claim a rate < 1. */
  readonly sampling: 'all' | 'fixed-size' | 'poisson-secret';
  /** Clients in the opened sum, or the least number if charged before it is known. */
  readonly survivors: number;
}

/** How ε is computed from the spends; fixed for the life of a ledger. */
export interface LedgerTerms {
  readonly unit: PrivacyUnit;
  readonly delta: number;
  readonly accountant: Exclude<Accountant, 'prv'>;
}

export interface LedgerEntry extends RoundSpend, LedgerTerms {
  readonly version: 1;
  readonly sequence: number;
  /** SHA-256 of the previous record as stored, hex; 64 zeros for the first. */
  readonly previous: string;
  /** ε of everything up to and with this round, at `delta`. */
  readonly epsilonAfter: number;
}

export interface LedgerRecord {
  readonly entry: LedgerEntry;
  /** Ed25519 over the canonical bytes of `entry` behind a domain tag, hex. */
  readonly signature: string;
}

/** Newest last. */
export type Ledger = readonly LedgerRecord[];

export interface LedgerSigner {
  sha256(bytes: Uint8Array): Uint8Array;
  sign(bytes: Uint8Array): Uint8Array;
}

export interface Budget {
  readonly epsilon: number;
}

export interface BudgetAnswer {
  readonly exceeds: boolean;
  readonly epsilonBefore: number;
  readonly epsilonAfter: number;
}

export const FIRST_PREVIOUS = '0'.repeat(64);
const SIGNATURE_TAG = new TextEncoder().encode('starling/privacy-ledger/v1\n');

/** Asked before a round: would these spends take the ledger past the budget? Exactly reaching it is allowed. */
export function wouldExceed(ledger: Ledger, next: readonly Spend[], budget: Budget, terms: LedgerTerms): BudgetAnswer {
  checkTerms(ledger, terms);
  const epsilonBefore = ledger.at(-1)?.entry.epsilonAfter ?? 0;
  const epsilonAfter = epsilonOf([...spendsOf(ledger), ...next], terms);
  return { exceeds: !(epsilonAfter <= budget.epsilon), epsilonBefore, epsilonAfter };
}

/**
 * The ledger with `spend` charged and signed. Charging a round again with the same content returns the ledger as it is; with other
 * content throws `already-exists`.
 */
export function charge(ledger: Ledger, spend: RoundSpend, terms: LedgerTerms, signer: LedgerSigner): Ledger {
  checkTerms(ledger, terms);
  checkSpend(spend);
  const known = ledger.find(({ entry }) => entry.runId === spend.runId && entry.round === spend.round);
  if (known !== undefined) {
    if (sameSpend(known.entry, spend)) return ledger;
    throw new FlError(
      'already-exists',
      `ledger: round ${spend.round} of ${spend.runId} was charged with other content`,
    );
  }
  const last = ledger.at(-1);
  const entry: LedgerEntry = {
    ...pickSpend(spend),
    unit: terms.unit,
    delta: terms.delta,
    accountant: terms.accountant,
    version: 1,
    sequence: ledger.length,
    previous: last === undefined ? FIRST_PREVIOUS : recordHash(last, signer.sha256),
    epsilonAfter: epsilonOf([...spendsOf(ledger), ...spend.spends], terms),
  };
  return [...ledger, { entry, signature: toHex(signer.sign(signedBytes(entry))) }];
}

/** All spends in the order they were charged. */
export function spendsOf(ledger: Ledger): Spend[] {
  return ledger.flatMap(({ entry }) => entry.spends);
}

/** ε of these spends under a ledger's terms. */
export function epsilonOf(spends: readonly Spend[], terms: LedgerTerms): number {
  return composedEpsilon(spends, terms.delta, { accountant: terms.accountant });
}

/** What the signature covers. */
export function signedBytes(entry: LedgerEntry): Uint8Array {
  const body = canonicalBytes(entry as unknown as Canonical);
  const bytes = new Uint8Array(SIGNATURE_TAG.length + body.length);
  bytes.set(SIGNATURE_TAG);
  bytes.set(body, SIGNATURE_TAG.length);
  return bytes;
}

/** Links the next record: hash of the stored bytes, signature included. */
export function recordHash(record: LedgerRecord, sha256: (bytes: Uint8Array) => Uint8Array): string {
  return toHex(sha256(canonicalBytes(record as unknown as Canonical)));
}

export function toHex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** Refuses what would make the record a lie about the mechanism. */
export function checkSpend(spend: RoundSpend): void {
  const { round, survivors, clippingBound, noiseStdDev, sampling, spends } = spend;
  if (!Number.isSafeInteger(round) || round < 0) throw invalidArgument('round', 'an integer >= 0', round);
  if (!Number.isSafeInteger(survivors) || survivors < 0)
    throw invalidArgument('survivors', 'an integer >= 0', survivors);
  if (!(clippingBound > 0)) throw invalidArgument('clippingBound', 'a number > 0', clippingBound);
  if (!(noiseStdDev >= 0)) throw invalidArgument('noiseStdDev', 'a number >= 0', noiseStdDev);
  const rates = spends.map(({ release }) => ('samplingRate' in release ? (release.samplingRate ?? 1) : 1));
  if (sampling !== 'poisson-secret' && rates.some((rate) => rate < 1)) {
    throw invalidArgument(
      'samplingRate',
      `1 under sampling '${sampling}', which amplifies nothing`,
      Math.min(...rates),
    );
  }
}

function checkTerms(ledger: Ledger, terms: LedgerTerms): void {
  const entry = ledger.at(-1)?.entry;
  if (entry === undefined) return;
  if (entry.unit !== terms.unit || entry.delta !== terms.delta || entry.accountant !== terms.accountant) {
    const told = ({ unit, delta, accountant }: LedgerTerms) => `${unit}, δ=${delta}, ${accountant}`;
    throw new FlError('failed-precondition', `ledger terms: expected ${told(entry)}, got ${told(terms)}`);
  }
}

function pickSpend(spend: RoundSpend): RoundSpend {
  const { runId, round, spends, clippingBound, noiseStdDev, sampling, survivors } = spend;
  return { runId, round, spends, clippingBound, noiseStdDev, sampling, survivors };
}

function sameSpend(a: RoundSpend, b: RoundSpend): boolean {
  return (
    toHex(canonicalBytes(pickSpend(a) as unknown as Canonical)) ===
    toHex(canonicalBytes(pickSpend(b) as unknown as Canonical))
  );
}
