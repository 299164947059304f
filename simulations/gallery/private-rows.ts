/** Whether a row with privacy means something: its ε says so, and it is better than what needs no training at all. */
import type { Manifest } from '../../client/workload.js';
import { formatNumber } from '../../server/report/format.js';
import { costOf, epsilonAfter, roundsWithinBudget } from '../../shared/run/privacy-cost.js';
import type { RowName } from '../../shared/run/report.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { bySeed, headlineIn, meanOf } from './compare.js';
import type { Results, RowResult } from './results.js';

/** Beyond it a guarantee is none. */
export const MOST_EPSILON = 10;

/**
 * Clients among whom ε would be {@link MOST_EPSILON} at most, with the same cohorts, rounds and noise: a client is charged
 * for the rounds that it is invited to, and of more clients each is invited less often. Undefined: one round costs more.
 */
export function enoughClients({ work, engine }: Pick<RunSpec, 'work' | 'engine'>): number | undefined {
  const cost = costOf(work);
  if (cost === undefined || epsilonAfter(cost, 1) > MOST_EPSILON) return undefined;
  const invitations = roundsWithinBudget({ ...cost, epsilonBudget: MOST_EPSILON }, work.rounds);
  return Math.ceil((work.rounds * engine.cohort) / invitations);
}

/** Why a row with privacy is not shown as private; undefined: it is, or it has none. */
export function tooFewClients(row: RowResult, manifest: Manifest, results: Results): string | undefined {
  if (row.privacy === undefined) return undefined;
  const epsilon = Math.max(...results.seeds.flatMap(({ rows }) => epsilonsIn(rows, row.name)));
  if (!(epsilon <= MOST_EPSILON)) {
    const enough =
      row.enoughClients === undefined ? 'no number would be enough' : `${row.enoughClients} would be enough`;
    return `too few clients: ε ${formatNumber(epsilon)}, above ${MOST_EPSILON}; ${enough}`;
  }
  const floor = floorAbove(row.name, manifest, results);
  if (floor === undefined) return undefined;
  return `too few clients: not above its ${floor.toLowerCase()}; how many would be enough this run does not say`;
}

/** The label of a floor that the row is not better than, by the headline. */
function floorAbove(name: RowName, manifest: Manifest, results: Results): string | undefined {
  const [first] = results.seeds;
  const metric = headlineIn(manifest, results);
  const sign = manifest.headline.better === 'higher' ? 1 : -1;
  const mean = (row: RowName) => meanOf(bySeed(results, { row, metric, on: 'pooled' }));
  const own = mean(name);
  return first.rows.find((row) => {
    const floor = row.floor === undefined ? null : mean(row.name);
    return floor !== null && (own === null || sign * own <= sign * floor);
  })?.label;
}

function epsilonsIn(rows: readonly RowResult[], name: RowName): number[] {
  return rows.flatMap((row) => (row.name === name && row.privacy ? [row.privacy.epsilon] : []));
}
