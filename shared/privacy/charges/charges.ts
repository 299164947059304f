/**
 * Privacy charges: one signed line for each round (shared/chain), so that what a run has cost in (ε, δ) can be stated by one
 * party and checked by any other.
 *
 * Pure data and pure functions. A round is charged *before* the noisy sum of it is opened: a crash in between has then
 * charged a round that revealed nothing (never the reverse), and charging the same round again after a restart changes
 * nothing.
 */
import { type ChainLine, lineSha256, signEntry } from '../../chain/chain.js';
import { FlError, invalidArgument } from '../../errors.js';
import { canonicalJson } from '../../signing/canonical-json.js';
import type { Identity } from '../../signing/identity.js';
import { type Accountant, composedEpsilon, type Spend } from '../accounting/releases.js';

/** Whose presence the guarantee hides. All charges of one chain have one unit. */
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

/** How ε is computed from the spends; fixed for the life of a chain of charges. */
export interface ChargeTerms {
  readonly unit: PrivacyUnit;
  readonly delta: number;
  readonly accountant: Exclude<Accountant, 'prv'>;
}

/** One round that was charged, as its line states it. */
export interface Charge extends RoundSpend, ChargeTerms {
  readonly version: 1;
  /** From 0. */
  readonly sequence: number;
  /** SHA-256 of the line before, hex; 64 zeros in the first. */
  readonly previous: string;
  /** ε of everything up to and with this round, at `delta`. */
  readonly epsilonAfter: number;
}

/** Newest last. */
export type Charges = readonly ChainLine<Charge>[];

/** ε that must not be passed. */
export interface Budget {
  readonly epsilon: number;
}

/** ε at the delta of the charges, without what was asked for and with it. */
export interface BudgetAnswer {
  readonly exceeds: boolean;
  readonly epsilonBefore: number;
  readonly epsilonAfter: number;
}

/** What the first charge holds in place of a hash. */
export const FIRST_PREVIOUS = '0'.repeat(64);

/** Asked before a round: would these spends take them past the budget? Exactly reaching it is allowed. */
export function wouldExceed(
  charges: Charges,
  next: readonly Spend[],
  budget: Budget,
  terms: ChargeTerms,
): BudgetAnswer {
  checkTerms(charges, terms);
  const epsilonBefore = charges.at(-1)?.entry.epsilonAfter ?? 0;
  const epsilonAfter = epsilonOf([...spendsOf(charges), ...next], terms);
  return { exceeds: !(epsilonAfter <= budget.epsilon), epsilonBefore, epsilonAfter };
}

/**
 * The charges with `spend` charged and signed. Charging a round again with the same content returns them as they are.
 * @throws FlError already-exists: it was charged with other content; failed-precondition: under other terms;
 * invalid-argument: it cannot be what was done
 */
export function charge(charges: Charges, spend: RoundSpend, terms: ChargeTerms, identity: Identity): Charges {
  checkTerms(charges, terms);
  checkSpend(spend);
  const known = charges.find(({ entry }) => entry.runId === spend.runId && entry.round === spend.round);
  if (known !== undefined) {
    if (canonicalJson(pickSpend(known.entry)) === canonicalJson(pickSpend(spend))) return charges;
    throw new FlError(
      'already-exists',
      `charges: round ${spend.round} of ${spend.runId} was charged with other content`,
    );
  }
  const last = charges.at(-1);
  const entry: Charge = {
    ...pickSpend(spend),
    unit: terms.unit,
    delta: terms.delta,
    accountant: terms.accountant,
    version: 1,
    sequence: charges.length,
    previous: last === undefined ? FIRST_PREVIOUS : lineSha256(canonicalJson(last)),
    epsilonAfter: epsilonOf([...spendsOf(charges), ...spend.spends], terms),
  };
  return [...charges, signEntry('privacy-charge', entry, identity)];
}

/** All spends in the order they were charged. */
export function spendsOf(charges: Charges): Spend[] {
  return charges.flatMap(({ entry }) => entry.spends);
}

/** ε of these spends under these terms. */
export function epsilonOf(spends: readonly Spend[], terms: ChargeTerms): number {
  return composedEpsilon(spends, terms.delta, { accountant: terms.accountant });
}

/** Refuses what would make the charge a lie about the mechanism. @throws FlError invalid-argument */
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

function checkTerms(charges: Charges, terms: ChargeTerms): void {
  const entry = charges.at(-1)?.entry;
  if (entry === undefined) return;
  if (entry.unit !== terms.unit || entry.delta !== terms.delta || entry.accountant !== terms.accountant) {
    const told = ({ unit, delta, accountant }: ChargeTerms) => `${unit}, δ=${delta}, ${accountant}`;
    throw new FlError('failed-precondition', `terms of the charges: expected ${told(entry)}, got ${told(terms)}`);
  }
}

function pickSpend(spend: RoundSpend): RoundSpend {
  const { runId, round, spends, clippingBound, noiseStdDev, sampling, survivors } = spend;
  return { runId, round, spends, clippingBound, noiseStdDev, sampling, survivors };
}
