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
import { checkNoise, checkRate, MOST_STEPS } from '../privacy/accounting/limits.js';
import {
  type Accountant,
  composedEpsilon,
  discreteGaussianError,
  gaussianLattice,
  type NoiseLattice,
  PRICE_ERROR,
  type PrivacyUnit,
  type Release,
  roundedGaussianError,
  type Spend,
  treeSpend,
  withSamplerError,
} from '../privacy/index.js';
import { canonicalJson } from '../signing/canonical-json.js';
import { contributionLayout } from '../tensors/channels.js';
import { layoutOf, sizeOf } from '../tensors/params.js';
import { boundsOf, isClientLevel, latticeFor } from './client-level-privacy.js';
import { dpSteps } from './privacy-steps.js';
import type { Report } from './report.js';
import type { PrivacySpec, RunSpec, WorkSpec } from './spec.js';
import type { RoundSummary } from './summary.js';
import { testSpend } from './test-noise.js';

/** What one round costs a client that is invited to it, and how such costs are added. */
export interface PrivacyCost {
  readonly unit: PrivacyUnit;
  readonly spend: Spend;
  /** Rounds are no releases by themselves, but nodes of a tree over this many; `spend` is what one node costs. */
  readonly tree?: { readonly rounds: number; readonly separation: number };
  /** What all evaluations of the run cost, where test figures are noised; counted from the first round on. */
  readonly tests?: Spend;
  readonly delta: number;
  /** Total variation distance of one round's noise from the ideal; absent in what older versions wrote: not charged. */
  readonly samplerError?: number;
  readonly accountant: Extract<Accountant, 'pld' | 'rdp'>;
  readonly epsilonBudget?: number;
}

/** What a spec may count up to and still be priced at once. */
const MOST_PHASES = 64;

/**
 * Undefined for a run without privacy. Bounded work, whatever the spec says.
 * @throws FlError invalid-argument: noise that no integers can carry, or that nobody can have meant
 */
export function costOf(work: WorkSpec): PrivacyCost | undefined {
  const { privacy, training } = work;
  if (privacy === undefined) return undefined;
  if (work.phases.length > MOST_PHASES) {
    throw invalidArgument('phases', `at most ${MOST_PHASES} with privacy`, work.phases.length);
  }
  checkNoise(privacy.noiseMultiplier);
  checkTests(privacy);
  const { delta, epsilonBudget } = privacy;
  const terms = { delta, ...(epsilonBudget !== undefined && { epsilonBudget }) };
  if (privacy.mode === 'example') {
    const { noiseMultiplier } = privacy;
    const samplingRate = samplingRateOf(privacy);
    checkRate(samplingRate);
    const steps = dpSteps(training, samplingRate);
    if (!(steps * work.rounds <= MOST_STEPS)) {
      throw invalidArgument('rounds x local-steps', `at most ${MOST_STEPS}`, steps * work.rounds);
    }
    const spend: Spend = {
      release: { mechanism: 'gaussian', noiseMultiplier, ...(samplingRate < 1 && { samplingRate }) },
      count: steps,
    };
    const tests = privacy.tests && { ...testSpend(privacy.tests), count: privacy.tests.evaluations };
    const samplerError = steps * stepError(work);
    return { unit: 'example', spend, ...(tests && { tests }), accountant: 'pld', samplerError, ...terms };
  }
  const lattices = work.phases.map((_, at) => latticeFor(work, firstRoundOf(work, at)));
  const releases = lattices.map(({ release }) => release);
  const tree = privacy.tree && { rounds: work.rounds, separation: privacy.tree.separation };
  return {
    unit: 'client',
    spend: { release: dearest(releases), count: 1 },
    ...(tree && { tree }),
    accountant: 'rdp',
    samplerError: Math.max(...lattices.map(latticeError)),
    ...terms,
  };
}

/** Of the noise of one DP-SGD step on one client; the lattice depends on noise and dimension alone. */
function stepError({ privacy, model, phases }: WorkSpec): number {
  const dimension = Math.max(sizeOf(layoutOf(model)), ...phases.map((phase) => sizeOf(contributionLayout(phase))));
  const { latticeStdDev } = gaussianLattice({
    ...{ sensitivity: privacy!.clippingBound, noiseMultiplier: privacy!.noiseMultiplier, dimension },
  });
  return dimension * roundedGaussianError(latticeStdDev);
}

/** Of all shares of noise that certainly protect a client. */
function latticeError({ ringLength, certainShares, shareVariance }: NoiseLattice): number {
  return ringLength * certainShares * discreteGaussianError(Math.sqrt(shareVariance));
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
  const spends = [...spendsOf(cost, rounds), ...(cost.tests ? [cost.tests] : [])];
  const samplerError = samplerErrorOf(cost, rounds);
  const key = canonicalJson({ spends, samplerError, delta, accountant });
  let epsilon = known.get(key);
  if (epsilon === undefined) {
    const ideal = (at: number) => composedEpsilon(spends, at, { accountant, relativeError: PRICE_ERROR });
    epsilon = withSamplerError(ideal, { delta, samplerError });
    if (known.size >= MAX_KNOWN) known.clear();
    known.set(key, epsilon);
  }
  return epsilon;
}

/** A tree of so many rounds has fewer than twice as many nodes, and any of them may hold a client. */
function samplerErrorOf({ samplerError = 0, tree }: PrivacyCost, rounds: number): number {
  return samplerError * (tree === undefined ? rounds : 2 * tree.rounds);
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

/** The distance of one round's noise from the ideal, to be added up as {@link roundSpend} is. */
export function roundSamplerError(cost: PrivacyCost): number {
  const most = cost.tree ? Math.ceil(cost.tree.rounds / cost.tree.separation) : 1;
  return samplerErrorOf(cost, 1) / most;
}

/** Rounds from `round` to the last in which one client may take part at most: all, or under a tree every so many. */
export function roundsLeft({ rounds, privacy }: WorkSpec, round: number): number {
  const left = Math.max(1, rounds - round + 1);
  return Math.ceil(left / (privacy?.tree?.separation ?? 1));
}

/** Whether a client may be charged for so many rounds; reaching the budget exactly is allowed. */
export function isWithinBudget(cost: PrivacyCost, rounds: number): boolean {
  return cost.epsilonBudget === undefined || epsilonAfter(cost, rounds) <= cost.epsilonBudget;
}

/** Rounds, of so many at most, that a client may be charged for within the budget. */
export function roundsWithinBudget(cost: PrivacyCost, most: number): number {
  let [within, beyond] = [0, most + 1]; // ε rises with the rounds
  while (beyond - within > 1) {
    const middle = Math.floor((within + beyond) / 2);
    if (isWithinBudget(cost, middle)) within = middle;
    else beyond = middle;
  }
  return within;
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
  const evaluations = evaluationsOf(work.rounds, engine.evaluateEvery);
  if (privacy?.tests !== undefined && privacy.tests.evaluations < evaluations) {
    throw invalidArgument('privacy.tests.evaluations', `at least ${evaluations}`, privacy.tests.evaluations);
  }
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

/** Figures of examples hide an example, and no client. */
function checkTests({ mode, tests }: PrivacySpec): void {
  if (tests === undefined) return;
  if (mode !== 'example') throw invalidArgument('test-noise-multiplier', 'privacy example', mode);
  checkNoise(tests.noiseMultiplier, 'test-noise-multiplier');
}

/** How often a run judges its model. */
export function evaluationsOf(rounds: number, evaluateEvery: number): number {
  return evaluateEvery === 0 ? 1 : Math.ceil(rounds / evaluateEvery);
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
