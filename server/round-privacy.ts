/**
 * The round engine's account of differential privacy: who was charged for how many rounds, and whether the next round
 * still fits the budget. Pure; part of the state of a run, and found again from the journal.
 *
 * A client is charged when it is invited, once for each round: a round that is repeated, or found again after a crash,
 * costs nobody twice, and whoever was invited may have sent something, whatever became of it.
 */
import type { RoundPrivacy } from '../shared/ledger/privacy.js';
import { costOf, epsilonAfter, isWithinBudget, type PrivacyCost } from '../shared/privacy-cost.js';
import { adaptedBound } from '../shared/private-sum.js';
import type { WorkSpec } from '../shared/round.js';
import type { Cohort, RunState } from './round-state.js';

export interface Spending {
  readonly cost: PrivacyCost;
  /** Of the round to come. */
  readonly clippingBound: number;
  readonly isAdaptive: boolean;
  /** Rounds that each client was charged for. */
  readonly charged: Readonly<Record<string, number>>;
  /** The last round that each client was charged for. */
  readonly lastRound: Readonly<Record<string, number>>;
  /** Who is charged for `round` already, sorted; nobody yet in a later round. */
  readonly round: number;
  readonly inRound: readonly string[];
}

/** Nothing spent yet; undefined for a run without privacy. */
export function spendingOf(work: WorkSpec): Spending | undefined {
  const cost = costOf(work);
  if (cost === undefined) return undefined;
  const { clippingBound, adaptive: isAdaptive = false } = work.privacy!;
  return { cost, clippingBound, isAdaptive, charged: {}, lastRound: {}, round: 0, inRound: [] };
}

/** Charges `clients` for `round`; those that were charged for it before are not charged again. */
export function charge(spending: Spending, round: number, clients: readonly string[]): Spending {
  const before = new Set(spending.round === round ? spending.inRound : []);
  const charged = { ...spending.charged };
  for (const client of clients) if (!before.has(client)) charged[client] = (charged[client] ?? 0) + 1;
  const lastRound = { ...spending.lastRound, ...Object.fromEntries(clients.map((client) => [client, round])) };
  return { ...spending, charged, lastRound, round, inRound: [...new Set([...before, ...clients])].sort() };
}

/** Whether the last round of this client, if not `round` itself, lies far enough back. */
export function isRested({ cost, lastRound }: Spending, client: string, round: number): boolean {
  const last = lastRound[client];
  return cost.tree === undefined || last === undefined || last === round || round - last >= cost.tree.separation;
}

/** Rounds of the client that was charged most often. */
export function mostCharged({ charged }: Spending): number {
  return Object.values(charged).reduce((most, rounds) => Math.max(most, rounds), 0);
}

/** ε of the client that was charged most often. */
export function epsilonOf(spending: Spending): number {
  return epsilonAfter(spending.cost, mostCharged(spending));
}

/** Why these clients may not be charged for `round`; undefined: they may. */
export function overBudget(spending: Spending, round: number, clients: readonly string[]): string | undefined {
  const after = charge(spending, round, clients);
  if (isWithinBudget(after.cost, mostCharged(after))) return undefined;
  const { unit, epsilonBudget, delta } = after.cost;
  const [spent, next] = [epsilonOf(spending), epsilonOf(after)].map((epsilon) => epsilon.toFixed(4));
  return `round ${round} would take epsilon of one ${unit} from ${spent} to ${next} at delta ${delta}; the budget is ${epsilonBudget}`;
}

/** What a round that is committed leaves: the account for the next, and what journal and ledger say of it. */
export function settle(
  { spending }: RunState,
  cohort: Cohort,
  withinBound: number | undefined,
): [Spending | undefined, { readonly privacy?: RoundPrivacy; readonly nextClippingBound?: number }] {
  if (spending === undefined) return [undefined, {}];
  const { cost, clippingBound, inRound } = spending;
  const { unit, spend, tree, delta, accountant } = cost;
  const privacy: RoundPrivacy = {
    ...{ unit, clippingBound, spend, ...(tree && { tree }), delta, accountant },
    chargedElsewhere: inRound.filter((client) => !cohort.names.includes(client)),
    ...{ mostRounds: mostCharged(spending), epsilon: epsilonOf(spending) },
  };
  if (!spending.isAdaptive || withinBound === undefined) return [spending, { privacy }];
  const nextClippingBound = adaptedBound(clippingBound, withinBound, cohort.counts.arrived);
  return [adapted(spending, nextClippingBound), { privacy, nextClippingBound }];
}

export function adapted(spending: Spending, clippingBound: number | undefined): Spending {
  return clippingBound === undefined ? spending : { ...spending, clippingBound };
}
