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
import { checkSpends } from '../accounting/limits.js';
import { type Accountant, composedEpsilon, mergeSpends, PRICE_ERROR, type Spend } from '../accounting/releases.js';
import { withSamplerError } from '../accounting/sampler-error.js';

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
  /** Total variation distance of all its noise from the ideal; charged to δ. Absent: none. */
  readonly samplerError?: number;
}

/**
 * How ε is computed from the spends; fixed for the life of a chain of charges, but that one begun with accountant `rdp` may
 * go on with `pld`: from then on all that was ever spent counts by its loss distribution.
 */
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
  const epsilonBefore = chargedEpsilon(charges, terms);
  const after = epsilonOf([...spendsOf(charges), ...next], terms, samplerErrorOf(charges));
  const epsilonAfter = Math.max(epsilonBefore, after);
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
    const { samplerError } = known.entry; // which an older version did not write down
    const again = samplerError === undefined ? { ...spend, samplerError } : spend;
    if (canonicalJson(pickSpend(known.entry)) === canonicalJson(pickSpend(again))) return charges;
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
    epsilonAfter: Math.max(
      last?.entry.accountant === terms.accountant ? last.entry.epsilonAfter : 0, // no charge is a refund, on any grid
      epsilonOf([...spendsOf(charges), ...spend.spends], terms, samplerErrorOf(charges) + (spend.samplerError ?? 0)),
    ),
  };
  return [...charges, signEntry('privacy-charge', entry, identity)];
}

/** All spends in the order they were charged. */
export function spendsOf(charges: Charges): Spend[] {
  return charges.flatMap(({ entry }) => entry.spends);
}

/** ε of all that was charged: as the last charge states it, or anew where that was by another accountant. */
export function chargedEpsilon(charges: Charges, terms: ChargeTerms): number {
  const entry = charges.at(-1)?.entry;
  if (entry === undefined) return 0;
  if (entry.accountant === terms.accountant) return entry.epsilonAfter;
  return epsilonOf(spendsOf(charges), terms, samplerErrorOf(charges));
}

/** The distance from the ideal of all noise that was charged. */
export function samplerErrorOf(charges: Charges): number {
  return charges.reduce((sum, { entry }) => sum + (entry.samplerError ?? 0), 0);
}

const figures = new Map<string, number>(); // a memo: a figure depends on its key alone
const MOST_FIGURES = 256;

/** ε of these spends under these terms, up to {@link PRICE_ERROR} of itself too large; bounded work. */
export function epsilonOf(spends: readonly Spend[], { delta, accountant }: ChargeTerms, samplerError = 0): number {
  const merged = mergeSpends(spends);
  const key = JSON.stringify({ merged, delta, accountant, samplerError });
  let epsilon = figures.get(key);
  if (epsilon === undefined) {
    const ideal = (at: number) => composedEpsilon(merged, at, { accountant, relativeError: PRICE_ERROR });
    epsilon = withSamplerError(ideal, { delta, samplerError });
    if (figures.size >= MOST_FIGURES) figures.clear();
    figures.set(key, epsilon);
  }
  return epsilon;
}

/** Refuses what would make the charge a lie about the mechanism. @throws FlError invalid-argument */
export function checkSpend(spend: RoundSpend): void {
  const { round, survivors, clippingBound, noiseStdDev, sampling, spends, samplerError = 0 } = spend;
  if (!Number.isSafeInteger(round) || round < 0) throw invalidArgument('round', 'an integer >= 0', round);
  if (!Number.isSafeInteger(survivors) || survivors < 0)
    throw invalidArgument('survivors', 'an integer >= 0', survivors);
  if (!(clippingBound > 0)) throw invalidArgument('clippingBound', 'a number > 0', clippingBound);
  checkSpends(spends);
  if (!(samplerError >= 0 && samplerError <= 1)) throw invalidArgument('samplerError', 'a probability', samplerError);
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
  if (entry.unit !== terms.unit || entry.delta !== terms.delta || !mayFollow(entry.accountant, terms.accountant)) {
    const told = ({ unit, delta, accountant }: ChargeTerms) => `${unit}, δ=${delta}, ${accountant}`;
    throw new FlError('failed-precondition', `terms of the charges: expected ${told(entry)}, got ${told(terms)}`);
  }
}

/** Whether a charge by accountant `next` may come after one by `last`: the same, or the tighter one, never back. */
export function mayFollow(last: ChargeTerms['accountant'], next: ChargeTerms['accountant']): boolean {
  return last === next || (last === 'rdp' && next === 'pld');
}

function pickSpend(spend: RoundSpend): RoundSpend {
  const { runId, round, spends, clippingBound, noiseStdDev, sampling, survivors, samplerError } = spend;
  const measured = samplerError === undefined ? {} : { samplerError };
  return { runId, round, spends, clippingBound, noiseStdDev, sampling, survivors, ...measured };
}
