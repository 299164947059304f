/**
 * Whether the cohorts of a run can be summed securely at all, asked before anything starts: how many of a cohort may drop
 * out follows from its size and from how many may collude, whatever a run asks for (shared/secagg/graph.ts).
 */
import { FlError, invalidArgument } from '../errors.js';
import { COMPLETE_GRAPH_MAX } from '../secagg/constants.js';
import { graphParameters, type ThreatModel } from '../secagg/graph.js';
import type { RunSpec } from './spec.js';

/** How far a mend is looked for. */
const LARGEST_MEND = 2 * COMPLETE_GRAPH_MAX;
/** Fewest clients that anything is summed over. */
const LEAST_ROSTER = 3;

/**
 * Whether every cohort that may be drawn has a safe graph, of the round and, with groups, of each group.
 * @throws FlError invalid-argument with the numbers and what mends them
 */
export function checkSecureCohort({ work: { secure }, engine }: Pick<RunSpec, 'work' | 'engine'>): void {
  if (secure === undefined) return;
  const { groupSize } = secure;
  const { minClients } = engine;
  const cohortMax = Math.ceil(engine.cohort * (1 + engine.overSelection));
  const least = groupSize ?? LEAST_ROSTER;
  if (minClients < least) {
    const why =
      groupSize === undefined ? 'with secure-aggregation' : 'with these secure-groups, for a group is no smaller';
    throw invalidArgument('min-clients', `at least ${least} ${why}`, minClients);
  }
  const smallest = groupSize ?? Math.min(minClients, cohortMax);
  const largest = groupSize === undefined ? cohortMax : Math.min(2 * groupSize - 1, cohortMax);
  for (let size = smallest; size <= Math.min(largest, COMPLETE_GRAPH_MAX); size++) checkGraph(size, secure);
  if (largest > COMPLETE_GRAPH_MAX) checkGraph(largest, secure);
}

/**
 * Whether a sum over so few can ever come about: a cohort may lose members before keys are exchanged, down to three, and
 * afterwards as many as its graph stands. @throws FlError invalid-argument with the numbers and what mends them
 */
export function checkFewestSurvivors(minSurvivors: number, cohort: number, threat: ThreatModel): void {
  const fewest = fewestSurvivors(minSurvivors, cohort, threat);
  if (minSurvivors >= fewest) return;
  throw new FlError(
    'invalid-argument',
    `min-survivors: expected at least ${fewest} with secure-aggregation, got ${minSurvivors}: ${toleranceOf(cohort, threat)}`,
  );
}

/** What a cohort stands, in words, and which one stands a drop-out more. */
function toleranceOf(cohort: number, threat: ThreatModel): string {
  const most = toleratedDrops(cohort, threat) ?? 0;
  const larger = firstCohort(cohort, (size) => (toleratedDrops(size, threat) ?? 0) > most);
  const mend = larger === undefined ? '' : `; for ${most + 1} take a cohort of ${larger}`;
  return `a cohort of ${cohort} with adversary-fraction ${threat.adversaryFraction} tolerates ${plural(most)}${mend}`;
}

/**
 * Members that may drop out after keys were exchanged, and the sum still be opened; undefined where no graph is safe. Of a
 * ring, which only bounds the chance of more: as many as it was asked for.
 */
export function toleratedDrops(cohort: number, { adversaryFraction, dropFraction }: ThreatModel): number | undefined {
  try {
    if (cohort > COMPLETE_GRAPH_MAX) {
      graphParameters(cohort, { adversaryFraction, dropFraction });
      return Math.floor(dropFraction * cohort);
    }
    const { degree, threshold } = graphParameters(cohort, { adversaryFraction, dropFraction: 0 });
    return degree - threshold;
  } catch {
    return undefined;
  }
}

function fewestSurvivors(minSurvivors: number, cohort: number, threat: ThreatModel): number {
  if (cohort > COMPLETE_GRAPH_MAX) return minSurvivors;
  let fewest = cohort;
  for (let roster = Math.max(LEAST_ROSTER, minSurvivors); roster <= cohort; roster++) {
    const drops = toleratedDrops(roster, threat);
    if (drops !== undefined) fewest = Math.min(fewest, Math.max(minSurvivors, roster - drops));
  }
  return fewest;
}

function checkGraph(cohort: number, threat: ThreatModel): void {
  if (isSafe(cohort, threat)) return;
  const { adversaryFraction, dropFraction } = threat;
  const most = toleratedDrops(cohort, { adversaryFraction, dropFraction: 0 });
  if (most === undefined) {
    throw new FlError(
      'invalid-argument',
      `adversary-fraction: expected one that leaves ${cohort} clients a safe graph, got ${adversaryFraction}: too many of them may collude; lower it or take a larger cohort`,
    );
  }
  const asked = Math.floor(dropFraction * cohort + 1e-9);
  const below = Number(((most + 1) / cohort).toPrecision(3));
  const larger = firstCohort(cohort, (size) => isSafe(size, threat));
  const mend =
    larger === undefined
      ? `no cohort stands that: lower drop-fraction below ${below}`
      : `for ${asked} take a cohort (and min-clients) of ${larger}, or lower drop-fraction below ${below}`;
  throw new FlError(
    'invalid-argument',
    `drop-fraction: expected one that a cohort of ${cohort} stands, got ${dropFraction}, which is ${plural(asked)} of it: ` +
      `a cohort of ${cohort} with adversary-fraction ${adversaryFraction} tolerates ${plural(most)}; ${mend}`,
  );
}

function isSafe(cohort: number, threat: ThreatModel): boolean {
  try {
    graphParameters(cohort, threat);
    return true;
  } catch {
    return false;
  }
}

function firstCohort(above: number, isGood: (size: number) => boolean): number | undefined {
  for (let size = above + 1; size <= LARGEST_MEND; size++) if (isGood(size)) return size;
  return undefined;
}

function plural(drops: number): string {
  return `${drops} drop-out${drops === 1 ? '' : 's'}`;
}
