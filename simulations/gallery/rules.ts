/**
 * What a page needs before it is one: floors, reference rows with a tuned setting, and nothing set side by side that was
 * measured on different examples. A page that lacks any of it is not made.
 */
import { type Bar, FLOOR_KINDS, type Manifest } from '../../client/workload.js';
import { FlError } from '../../shared/errors.js';
import type { RowName } from '../../shared/run/report.js';
import { headlineIn } from './compare.js';
import { isOld, type Results, type RowResult, type SeedResult } from './results.js';

/** Rows that federation is measured against. */
const REFERENCES: readonly RowName[] = ['local', 'centralised'];

/** @throws FlError failed-precondition with everything that is missing; results of before the rules pass */
export function checkPage(manifest: Manifest, results: Results): void {
  if (isOld(results)) return;
  const faults = [
    ...floorFaults(manifest, results),
    ...results.seeds.flatMap((seed) => referenceFaults(seed, results)),
    ...populationFaults(manifest, results),
  ];
  if (faults.length === 0) return;
  throw new FlError('failed-precondition', `no page of ${manifest.name}:\n- ${faults.join('\n- ')}`);
}

function floorFaults(manifest: Manifest, results: Results): string[] {
  const metric = headlineIn(manifest, results);
  const faults = FLOOR_KINDS.flatMap((kind) => {
    if (manifest.withoutFloors?.[kind] !== undefined) return [];
    const isThere = ({ rows }: SeedResult) => rows.some(({ floor }) => floor === kind);
    if (results.seeds.every(isThere)) return [];
    return [`floors: expected one that is ${kind}, or withoutFloors.${kind} with the reason, got none`];
  });
  const silent = results.seeds.flatMap(({ seed, rows }) =>
    rows
      .filter(({ floor, pooled }) => floor !== undefined && !Object.hasOwn(pooled, metric))
      .map(({ name }) => `${name} of seed ${seed}: expected a figure of ${metric}, got none`),
  );
  return [...faults, ...silent];
}

function referenceFaults({ seed, rows }: SeedResult, { seeds }: Results): string[] {
  const reporting = seeds.map((one) => one.seed);
  return REFERENCES.flatMap((name) => {
    const tuned = rows.find((row) => row.name === name)?.tuned;
    const where = `${name} of seed ${seed}`;
    if (tuned === undefined) {
      return [
        `${where}: expected a rate that was chosen on validation examples (--baselines tuned), got an untuned row`,
      ];
    }
    if (!reporting.includes(tuned.seed)) return [];
    return [`${where}: expected a rate chosen with a seed that does not report, got seed ${tuned.seed}`];
  });
}

function populationFaults(manifest: Manifest, results: Results): string[] {
  const published = (manifest.published ?? []).flatMap(({ metric, against }) =>
    against === undefined ? [] : [{ metric, row: 'federated', against } as const],
  );
  return [...(manifest.bars ?? []), ...published].flatMap((bar) => unlike(bar, manifest, results) ?? []);
}

/** Why the two figures of a comparison are not of the same examples; undefined: they are. */
function unlike(bar: Bar, manifest: Manifest, { seeds }: Results): string | undefined {
  const { metric, row, against, againstMetric = metric } = bar;
  if (against === undefined) return undefined;
  const [left, right] = [metric, againstMetric].map((name) => measuredOn(manifest, name));
  const claim = `${row} ${metric} beside ${against} ${againstMetric}`;
  if (left !== right) return `${claim}: expected one population, got ${left} and ${right}`;
  for (const { rows } of seeds) {
    const [a, b] = [row, against].map((name) => rows.find((one) => one.name === name));
    if (a === undefined || b === undefined || populationOfRow(a) === populationOfRow(b)) continue;
    return `${claim}: expected one population, got test examples ${populationOfRow(a)} and ${populationOfRow(b)}`;
  }
  return undefined;
}

/** In words: what a metric is measured on. */
export function measuredOn({ populations = {} }: Manifest, metric: string): string {
  return populations[metric.replace(/^test\./, '')] ?? 'the test examples of whoever is judged';
}

/** The test examples of a row: their number and the beginning of their hash. */
export function populationOfRow({ population }: RowResult): string {
  return population === undefined ? 'untold' : `${population.examples} (${population.sha256.slice(0, 8)})`;
}
