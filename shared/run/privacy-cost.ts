/**
 * What the rounds of a run cost in (ε, δ): asked by the engine before a round, written into the ledger after it, and
 * computed again by whoever verifies the ledger.
 *
 * A client is charged once for each round that it was invited to, however often the round had to be repeated: what it
 * sends for a round is one release. The figure of a run is that of the client that was charged most often. Which clients
 * a cohort has is known to the coordinator, so no amplification by sampling clients is claimed; the examples of a DP-SGD
 * step are drawn by the client in secret, and there it is.
 */
import { FlError, invalidArgument } from '../errors.js';
import {
  type Accountant,
  composedEpsilon,
  type PrivacyUnit,
  type Release,
  type Spend,
  treeSpend,
} from '../privacy/index.js';
import { canonicalJson } from '../signing/canonical-json.js';
import { boundsOf, isClientLevel, latticeFor } from './client-level-privacy.js';
import { dpSteps } from './privacy-steps.js';
import type { Report } from './report.js';
import type { PrivacySpec, RunSpec, WorkSpec } from './spec.js';
import type { RoundSummary } from './summary.js';

/** What one round costs a client that is invited to it, and how such costs are added. */
export interface PrivacyCost {
  readonly unit: PrivacyUnit;
  readonly spend: Spend;
  /** Rounds are no releases by themselves, but nodes of a tree over this many; `spend` is what one node costs. */
  readonly tree?: { readonly rounds: number; readonly separation: number };
  readonly delta: number;
  readonly accountant: Extract<Accountant, 'pld' | 'rdp'>;
  readonly epsilonBudget?: number;
}

/** A ε of the loss distributions is up to this part too large, which makes it ten times cheaper to find. */
const RELATIVE_ERROR = 1e-3;

/** Undefined for a run without privacy. @throws FlError invalid-argument: noise that no integers can carry */
export function costOf(work: WorkSpec): PrivacyCost | undefined {
  const { privacy, training } = work;
  if (privacy === undefined) return undefined;
  const { delta, epsilonBudget } = privacy;
  const terms = { delta, ...(epsilonBudget !== undefined && { epsilonBudget }) };
  if (privacy.mode === 'example') {
    const { noiseMultiplier } = privacy;
    const samplingRate = samplingRateOf(privacy);
    const spend: Spend = {
      release: { mechanism: 'gaussian', noiseMultiplier, ...(samplingRate < 1 && { samplingRate }) },
      count: dpSteps(training, samplingRate),
    };
    return { unit: 'example', spend, accountant: 'pld', ...terms };
  }
  const releases = work.phases.map((_, at) => latticeFor(work, firstRoundOf(work, at)).release);
  const tree = privacy.tree && { rounds: work.rounds, separation: privacy.tree.separation };
  return {
    unit: 'client',
    spend: { release: dearest(releases), count: 1 },
    ...(tree && { tree }),
    accountant: 'rdp',
    ...terms,
  };
}

/** @throws FlError invalid-argument when a run with example-level privacy does not say it */
export function samplingRateOf({ samplingRate }: PrivacySpec): number {
  if (samplingRate !== undefined) return samplingRate;
  throw new FlError('invalid-argument', 'privacy.samplingRate: expected a rate with mode example, got nothing');
}

const known = new Map<string, number>();
const MAX_KNOWN = 10_000;

/** ε of a client that was charged for so many rounds. */
export function epsilonAfter(cost: PrivacyCost, rounds: number): number {
  const { delta, accountant } = cost;
  if (rounds === 0) return 0;
  const spends = spendsOf(cost, rounds);
  const key = canonicalJson({ spends, delta, accountant });
  let epsilon = known.get(key);
  if (epsilon === undefined) {
    epsilon = composedEpsilon(spends, delta, { accountant, relativeError: RELATIVE_ERROR });
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(key, epsilon);
  }
  return epsilon;
}

/** What so many rounds cost a client. */
function spendsOf({ spend: { release, count }, tree }: PrivacyCost, rounds: number): Spend[] {
  if (tree === undefined) return [{ release, count: count * rounds }];
  const noiseMultiplier = 1 / Math.sqrt(2 * rhoOf(release));
  return [
    treeSpend({ steps: tree.rounds, noiseMultiplier, participation: { most: rounds, separation: tree.separation } }),
  ];
}

/**
 * What one round costs at most, whatever rounds come before and after it: for whoever adds up and does not know how many
 * there will be. Under a tree a round costs the more the more of a client's rounds share its nodes.
 */
export function roundSpend(cost: PrivacyCost): Spend {
  if (cost.tree === undefined) return cost.spend;
  const most = Math.ceil(cost.tree.rounds / cost.tree.separation);
  const [{ release, count }] = spendsOf(cost, most);
  return { release: { mechanism: 'zcdp', rho: rhoOf(release) / most }, count };
}

/** Whether a client may be charged for so many rounds; reaching the budget exactly is allowed. */
export function isWithinBudget(cost: PrivacyCost, rounds: number): boolean {
  return cost.epsilonBudget === undefined || epsilonAfter(cost, rounds) <= cost.epsilonBudget;
}

/** Phases differ in their numbers' count, and by a hair in what a round costs: each is charged as the dearest. */
function dearest(releases: readonly Release[]): Release {
  return releases.reduce((most, release) => (rhoOf(release) > rhoOf(most) ? release : most));
}

function rhoOf(release: Release): number {
  return release.mechanism === 'zcdp' ? release.rho : Number.POSITIVE_INFINITY;
}

/** A round of the phase at this index. */
function firstRoundOf({ phases }: WorkSpec, index: number): number {
  return 1 + phases.slice(0, index).reduce((sum, { rounds = 0 }) => sum + rounds, 0);
}

/**
 * Whether a run can be carried out as privately as it says, asked before it begins.
 * @throws FlError invalid-argument naming what cannot be
 */
export function checkPrivacySpec({ work, engine }: RunSpec): void {
  const cost = costOf(work);
  if (cost === undefined) return;
  const { privacy } = work;
  if (isClientLevel(privacy)) {
    const cohortMax = Math.ceil(engine.cohort * (1 + engine.overSelection));
    if (privacy.cohortMax! < cohortMax)
      throw invalidArgument('privacy.cohortMax', `at least ${cohortMax}`, privacy.cohortMax);
    work.phases.forEach((_, at) => void boundsOf({ work, round: firstRoundOf(work, at) }));
    checkTree(work);
    if ((engine.aggregator ?? 'mean') !== 'mean') {
      throw invalidArgument(
        'aggregator',
        `mean with privacy ${privacy.mode}, whose noise is made for a sum`,
        engine.aggregator,
      );
    }
  }
  if (isWithinBudget(cost, 1)) return;
  const epsilon = epsilonAfter(cost, 1).toFixed(4);
  throw invalidArgument(
    'epsilon-budget',
    `at least ${epsilon}, which one round costs at this noise`,
    cost.epsilonBudget,
  );
}

/** The nodes of a tree are sums of equal units over all rounds. */
function checkTree({ privacy, phases }: WorkSpec): void {
  if (privacy?.tree === undefined) return;
  if (privacy.mode !== 'central') throw invalidArgument('noise tree', 'privacy central', privacy.mode);
  if (privacy.adaptive) throw invalidArgument('noise tree', 'a fixed clipping bound', 'adaptive');
  if (phases.length > 1) throw invalidArgument('noise tree', 'a workload with one phase', phases.length);
}

/** What a report says of the privacy of a run after these rounds; null for a run without. */
export function privacyReport(work: WorkSpec, rounds: readonly RoundSummary[]): Report['privacy'] {
  const cost = costOf(work);
  if (cost === undefined) return null;
  const { delta, accountant, epsilonBudget } = cost;
  const epsilon = rounds.reduce((most, round) => Math.max(most, round.epsilon ?? 0), 0);
  return { mode: work.privacy!.mode, epsilon, delta, accountant, budget: epsilonBudget ?? null };
}
