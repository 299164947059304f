/** Whether a workload keeps what it claims: bars of its manifest against the mean over seeds. */

import type { Bar } from '../../client/workload.js';
import { formatNumber } from '../../server/report/format.js';
import { formatMetric, isFraction, readable } from '../../server/report/metrics.js';
import type { RowName } from '../../shared/run/report.js';
import { compareRows, type Values } from './compare.js';
import type { Results } from './results.js';

/** A figure of the federation beside another, in words. */
export interface ReadableComparison {
  /** What was compared, in words: "federated − all data in one place: test accuracy". */
  readonly claim: string;
  /** The mean over seeds, and each seed's; null where a figure is missing, and then the bar is not met. */
  readonly found: number | null;
  readonly bySeed: Values;
  /** A figure of this comparison as it is read: in points, as a factor, or as the metric is. */
  readonly format: (value: number) => string;
}

/** A comparison and what a manifest asks of it. */
export interface CheckedBar extends ReadableComparison {
  /** "≥ −0.05". */
  readonly required: string;
  readonly isMet: boolean;
}

/** Each bar in turn, on the mean over seeds. */
export function checkBars(bars: readonly Bar[], results: Results): CheckedBar[] {
  return bars.map((bar) => {
    const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = bar;
    const compared = readComparison(bar, results);
    const { found } = compared;
    const isMet = found !== null && Number.isFinite(found) && found >= atLeast && found <= atMost;
    return { ...compared, required: requiredOf(bar), isMet };
  });
}

/** What a bar compares, whether or not it asks for anything. */
export function readComparison(bar: Bar, results: Results): ReadableComparison {
  return { claim: claimOf(bar, results), ...compareRows(bar, results), format: formatOf(bar) };
}

/** Without what is of one run: "(ε 4.2)", "(10 of 30)". */
export function bareLabel(label: string): string {
  return label.replace(/ \(.*\)$/, '');
}

const WHOSE = {
  pooled: '',
  own: ', own test data',
  each: ', own test data of each client, the worst of them',
} as const;

function claimOf(bar: Bar, { seeds }: Results): string {
  const { metric, row, against, againstMetric = metric, by, on = 'pooled', gainsOf, note } = bar;
  const label = (name: RowName) =>
    bareLabel(seeds[0]?.rows.find((one) => one.name === name)?.label ?? name).toLowerCase();
  const where = `${WHOSE[on]}${note === undefined ? '' : ` (${note})`}`;
  if (against === undefined) return `${label(row)}: ${readable(metric)}${where}`;
  const sign = gainsOf !== undefined ? 'over' : by === 'ratio' ? '/' : '−';
  if (againstMetric === metric) return `${label(row)} ${sign} ${label(against)}: ${readable(metric)}${where}`;
  return `${label(row)} ${readable(metric)} ${sign} ${label(against)} ${readable(againstMetric)}${where}`;
}

function requiredOf(bar: Bar): string {
  const { atLeast, atMost } = bar;
  const figure = formatOf(bar);
  const least = atLeast === undefined ? [] : [`≥ ${figure(atLeast)}`];
  const most = atMost === undefined ? [] : [`≤ ${figure(atMost)}`];
  return [...least, ...most].join(' and ');
}

function formatOf({ metric, against, by, gainsOf }: Bar): CheckedBar['format'] {
  if (against === undefined) return (value) => formatMetric(metric, value).replace('-', '−');
  if (by === 'ratio') return (value) => `× ${formatNumber(value)}`;
  const sign = (value: number) => (value < 0 ? '−' : value > 0 ? '+' : '');
  if (gainsOf !== undefined) return (value) => `${sign(value)}${Math.abs(100 * value).toFixed(1)} %`;
  if (isFraction(metric)) return (value) => `${sign(value)}${Math.abs(100 * value).toFixed(1)} points`;
  return (value) => `${sign(value)}${formatNumber(Math.abs(value))}`;
}
