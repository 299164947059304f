/** Whether a workload keeps what it claims: bars of its manifest against the mean over seeds. */

import type { Bar } from '../../client/workload.js';
import { formatNumber } from '../../server/report/format.js';
import { formatMetric, isFraction, readable } from '../../server/report/metrics.js';
import type { RowName } from '../../shared/report.js';
import type { Results } from './results.js';

export interface CheckedBar {
  readonly bar: Bar;
  /** What was compared, in words: "federated − all data in one place: test accuracy". */
  readonly claim: string;
  /** "≥ −0.05". */
  readonly required: string;
  /** The mean over seeds, and each seed's; null where a figure is missing, and then the bar is not met. */
  readonly found: number | null;
  readonly bySeed: readonly (number | null)[];
  readonly isMet: boolean;
  /** A figure of this comparison as it is read: in points, as a factor, or as the metric is. */
  readonly format: (value: number) => string;
}

export function checkBars(bars: readonly Bar[], results: Results): CheckedBar[] {
  return bars.map((bar) => checkBar(bar, results));
}

function checkBar(bar: Bar, results: Results): CheckedBar {
  const { metric, row, against, againstMetric = metric, by = 'difference', on = 'pooled' } = bar;
  const ours = bySeed(results, { row, metric, on });
  const others = against && bySeed(results, { row: against, metric: againstMetric, on });
  const compare = (a: number | null, b: number | null | undefined) => {
    if (others === undefined) return a;
    if (a === null || b === null || b === undefined) return null;
    return by === 'ratio' ? a / b : a - b;
  };
  const found = compare(meanOf(ours), others && meanOf(others));
  const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = bar;
  return {
    ...{ bar, claim: claimOf(bar, results), required: requiredOf(bar), found, format: formatOf(bar) },
    bySeed: ours.map((value, i) => compare(value, others?.[i])),
    isMet: found !== null && Number.isFinite(found) && found >= atLeast && found <= atMost,
  };
}

/** One row's figure of each seed. */
export function bySeed(
  { seeds }: Results,
  { row, metric, on }: { readonly row: RowName; readonly metric: string; readonly on: 'pooled' | 'own' },
): (number | null)[] {
  return seeds.map(({ rows }) => rows.find(({ name }) => name === row)?.[on][metric] ?? null);
}

/** Null without any value, or where one is missing. */
export function meanOf(values: readonly (number | null)[]): number | null {
  let sum = 0;
  for (const value of values) {
    if (value === null) return null;
    sum += value;
  }
  return values.length === 0 ? null : sum / values.length;
}

/** Without what is of one run: "(ε 4.2)", "(10 of 30)". */
export function bareLabel(label: string): string {
  return label.replace(/ \(.*\)$/, '');
}

function claimOf({ metric, row, against, againstMetric = metric, by, on, note }: Bar, { seeds }: Results): string {
  const label = (name: RowName) =>
    bareLabel(seeds[0]?.rows.find((one) => one.name === name)?.label ?? name).toLowerCase();
  const where = on === 'own' ? ', own test data' : '';
  const because = note === undefined ? '' : ` (${note})`;
  if (against === undefined) return `${label(row)}: ${readable(metric)}${where}${because}`;
  const sign = by === 'ratio' ? '/' : '−';
  const other = againstMetric === metric ? '' : ` ${readable(againstMetric)}`;
  const own = againstMetric === metric ? '' : ` ${readable(metric)}`;
  const what = againstMetric === metric ? `: ${readable(metric)}` : '';
  return `${label(row)}${own} ${sign} ${label(against)}${other}${what}${where}${because}`;
}

function requiredOf(bar: Bar): string {
  const { atLeast, atMost } = bar;
  const figure = formatOf(bar);
  const least = atLeast === undefined ? [] : [`≥ ${figure(atLeast)}`];
  const most = atMost === undefined ? [] : [`≤ ${figure(atMost)}`];
  return [...least, ...most].join(' and ');
}

function formatOf({ metric, against, by }: Bar): CheckedBar['format'] {
  if (against === undefined) return (value) => formatMetric(metric, value).replace('-', '−');
  if (by === 'ratio') return (value) => `× ${formatNumber(value)}`;
  const sign = (value: number) => (value < 0 ? '−' : value > 0 ? '+' : '');
  if (isFraction(metric)) return (value) => `${sign(value)}${Math.abs(100 * value).toFixed(1)} points`;
  return (value) => `${sign(value)}${formatNumber(Math.abs(value))}`;
}
