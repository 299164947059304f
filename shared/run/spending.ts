/**
 * A run's account of differential privacy: who was charged for how many rounds, and whether the next round still fits the
 * budget. Pure; part of the state of a run, and found again from the journal.
 *
 * A client is charged when it is invited, once for each round: a round that is repeated, or found again after a crash,
 * costs nobody twice, and whoever was invited may have sent something, whatever became of it.
 */
import type { RoundPrivacy } from '../ledger/privacy.js';
import { adaptedBound } from './client-level-privacy.js';
import { costOf, epsilonAfter, isWithinBudget, type PrivacyCost } from './privacy-cost.js';
import type { WorkSpec } from './spec.js';

/** What clients were charged so far; equal for equal journals. */
export interface Spending {
  readonly cost: PrivacyCost;
  /** Of the round to come. */
  readonly clippingBound: number;
  readonly isAdaptive: boolean;
  /** The coordinator adds the noise: what clients send has none, and no hash of it may be written down. */
  readonly isCentral: boolean;
  /** Rounds that each client was charged for. */
  readonly charged: Readonly<Record<string, number>>;
  /** The last round that each client was charged for. */
  readonly lastRound: Readonly<Record<string, number>>;
}

/** A round that is committed: its cohort and how many of it survived. */
interface CommittedRound {
  readonly round: number;
  readonly cohort: readonly string[];
  readonly survivors: number;
  /** With adaptive clipping: the noisy sum of +1 for each update within the bound and -1 for each beyond it. */
  readonly withinBound: number | undefined;
}

/** Nothing spent yet; undefined for a run without privacy. */
export function spendingOf(work: WorkSpec): Spending | undefined {
  const cost = costOf(work);
  if (cost === undefined) return undefined;
  const { clippingBound, adaptive: isAdaptive = false, mode } = work.privacy!;
  return { cost, clippingBound, isAdaptive, isCentral: mode === 'central', charged: {}, lastRound: {} };
}

/** Charges `clients` for `round`; those that were charged for it before are not charged again. */
export function charge(spending: Spending, round: number, clients: readonly string[]): Spending {
  const charged = { ...spending.charged };
  const lastRound = { ...spending.lastRound };
  for (const client of clients) {
    if (of(lastRound, client) === round) continue;
    charged[client] = of(charged, client) + 1;
    lastRound[client] = round;
  }
  return { ...spending, charged, lastRound };
}

/** Whether the last round of this client, if not `round` itself, lies far enough back. */
export function isRested({ cost, lastRound }: Spending, client: string, round: number): boolean {
  const last = of(lastRound, client);
  return cost.tree === undefined || last === 0 || last === round || round - last >= cost.tree.separation;
}

/** 0 for a client that is not in it; `constructor` may be one's name. */
function of(counts: Readonly<Record<string, number>>, client: string): number {
  return Object.hasOwn(counts, client) ? counts[client] : 0;
}

/** Rounds of the client that was charged most often. */
function mostCharged({ charged }: Spending): number {
  return Object.values(charged).reduce((most, rounds) => Math.max(most, rounds), 0);
}

/** ε of the client that was charged most often. */
export function epsilonOf(spending: Spending): number {
  return epsilonAfter(spending.cost, mostCharged(spending));
}

/** Why `clients` may not be charged for `round` too; undefined: they may. */
export function overBudget(spending: Spending, round: number, clients: readonly string[]): string | undefined {
  const after = charge(spending, round, clients);
  if (isWithinBudget(after.cost, mostCharged(after))) return undefined;
  const { unit, epsilonBudget, delta } = after.cost;
  const [spent, next] = [epsilonOf(spending), epsilonOf(after)].map((epsilon) => epsilon.toFixed(4));
  return `round ${round} would take epsilon of one ${unit} from ${spent} to ${next} at delta ${delta}; the budget is ${epsilonBudget}`;
}

/** What a round that is committed leaves: the account for the next, and what journal and ledger say of it. */
export function afterRound(
  spending: Spending,
  { round, cohort, survivors, withinBound }: CommittedRound,
): { spending: Spending; recorded: { readonly privacy: RoundPrivacy; readonly nextClippingBound?: number } } {
  const { cost, clippingBound, lastRound } = spending;
  const here = new Set(cohort);
  const elsewhere = Object.keys(lastRound).filter((client) => lastRound[client] === round && !here.has(client));
  const { unit, spend, tree, tests, delta, samplerError, accountant } = cost;
  const measured = samplerError === undefined ? {} : { samplerError };
  const terms = {
    unit,
    clippingBound,
    spend,
    ...(tree && { tree }),
    ...(tests && { tests }),
    delta,
    ...measured,
    accountant,
  };
  const most = { mostRounds: mostCharged(spending), epsilon: epsilonOf(spending) };
  const privacy: RoundPrivacy = { ...terms, chargedElsewhere: elsewhere.sort(), ...most };
  if (!spending.isAdaptive || withinBound === undefined) return { spending, recorded: { privacy } };
  const nextClippingBound = adaptedBound(clippingBound, withinBound, survivors);
  return { spending: adapted(spending, nextClippingBound), recorded: { privacy, nextClippingBound } };
}

/** The same with the clipping bound of the next round, if it changes. */
export function adapted(spending: Spending, clippingBound: number | undefined): Spending {
  return clippingBound === undefined ? spending : { ...spending, clippingBound };
}
