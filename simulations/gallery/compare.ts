/** The figures that a claim is about: rows of several seeds against one another. */
import type { Bar, Manifest } from '../../client/workload.js';
import { findMetric } from '../../server/report/metrics.js';
import type { RowName } from '../../shared/run/report.js';
import type { Results } from './results.js';

/** One for each seed; null where a figure is missing. */
export type Values = readonly (number | null)[];

/** What was found. */
export interface Compared {
  /** Of the means over seeds; null where a figure is missing. */
  readonly found: number | null;
  readonly bySeed: Values;
  /** Of a claim about each client: the same of each. */
  readonly each?: readonly Compared[];
}

/** One row's figure of each seed, on the test data of all clients, of each on average, or of one of them. */
export function bySeed(
  { seeds }: Results,
  about: {
    readonly row: RowName;
    readonly metric: string;
    readonly on: 'pooled' | 'own' | { readonly client: string };
  },
): (number | null)[] {
  const { row, metric, on } = about;
  return seeds.map(({ rows }) => {
    const found = rows.find(({ name }) => name === row);
    const figures = typeof on === 'string' ? found?.[on] : found?.each?.[on.client];
    return figures?.[metric] ?? null;
  });
}

/** The headline as the results name it: a manifest may leave the split out. */
export function headlineIn({ headline }: Pick<Manifest, 'headline'>, results: Results): string {
  return metricIn(headline.metric, results);
}

/** The same of any metric. */
export function metricIn(metric: string, { seeds }: Results): string {
  const known = seeds[0]?.rows.find(({ name }) => name === 'federated')?.pooled ?? {};
  return findMetric(metric, (name) => Object.hasOwn(known, name)) ?? metric;
}

/** Null without any value, or where one is missing. */
export function meanOf(values: Values): number | null {
  if (values.length === 0 || values.includes(null)) return null;
  return (values as number[]).reduce((sum, value) => sum + value, 0) / values.length;
}

/** The figure that a bar is about, from the rows that it names. */
export function compareRows(bar: Bar, results: Results): Compared {
  const { on = 'pooled', gainsOf, atLeast } = bar;
  if (on === 'each') {
    const each = clientsWith(bar, results).map((client) => compareMetric(bar, results, { client }));
    return { ...combine(each, atLeast === undefined ? largest : least), each };
  }
  if (gainsOf === undefined) return compareMetric(bar, results, on);
  const gains = gainsOf.map(({ metric, better }) => {
    const gain = (ours: number, other: number) => ((better === 'higher' ? 1 : -1) * (ours - other)) / other;
    return compareBy(gain, metric, { ...bar, againstMetric: metric }, results, on);
  });
  return combine(gains, meanOf);
}

type On = Parameters<typeof bySeed>[1]['on'];

function compareMetric(bar: Bar, results: Results, on: On): Compared {
  const { by } = bar;
  const compare = (ours: number, other: number) => (by === 'ratio' ? ours / other : ours - other);
  return compareBy(compare, bar.metric, bar, results, on);
}

/** Without `against`, the row's own figure. */
function compareBy(
  compare: (ours: number, other: number) => number,
  metric: string,
  { row, against, againstMetric = metric }: Bar,
  results: Results,
  on: On,
): Compared {
  const ours = bySeed(results, { row, metric, on });
  if (against === undefined) return { found: meanOf(ours), bySeed: ours };
  const others = bySeed(results, { row: against, metric: againstMetric, on });
  const known = (a: number | null, b: number | null) => (a === null || b === null ? null : compare(a, b));
  return { found: known(meanOf(ours), meanOf(others)), bySeed: ours.map((value, i) => known(value, others[i])) };
}

function combine(compared: readonly Compared[], into: (values: Values) => number | null): Compared {
  const seeds = compared[0]?.bySeed ?? [];
  return {
    found: into(compared.map(({ found }) => found)),
    bySeed: seeds.map((_, i) => into(compared.map(({ bySeed }) => bySeed[i]))),
  };
}

const least = (values: Values) => (meanOf(values) === null ? null : Math.min(...(values as number[])));
const largest = (values: Values) => (meanOf(values) === null ? null : Math.max(...(values as number[])));

/** The clients whose row has the metric. */
function clientsWith({ row, metric }: Bar, { seeds }: Results): string[] {
  const each = seeds[0]?.rows.find(({ name }) => name === row)?.each ?? {};
  return Object.keys(each).filter((client) => Object.hasOwn(each[client], metric));
}
