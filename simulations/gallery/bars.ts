/** Whether a workload keeps what it claims: bars of its manifest against the interval of the difference over seeds. */
import type { Bar, Manifest } from '../../client/workload.js';
import { formatNumber } from '../../server/report/format.js';
import { formatMetric, isFraction, readable } from '../../server/report/metrics.js';
import type { RowName } from '../../shared/run/report.js';
import { type Compared, compareRows } from './compare.js';
import { type Interval, meanInterval } from './interval.js';
import { tooFewClients } from './private-rows.js';
import { isOld, type Results } from './results.js';

/** A figure of the federation beside another, in words. */
export interface ReadableComparison extends Compared {
  /** What was compared, in words: "federated − all data in one place: test accuracy". */
  readonly claim: string;
  /** Of the mean over seeds; undefined with one seed, or where a figure is missing. */
  readonly interval?: Interval;
  /** A figure of this comparison as it is read: in points, as a factor, or as the metric is. */
  readonly format: (value: number) => string;
}

/** A comparison and what a manifest asks of it. */
export interface CheckedBar extends ReadableComparison {
  /** "≥ −0.05". */
  readonly required: string;
  readonly verdict: Verdict;
}

/** `not shown`: the seeds do not tell, or what is compared means nothing. */
export type Verdict = 'met' | 'not met' | 'not shown';

/** Each bar of the manifest in turn. */
export function checkBars(manifest: Manifest, results: Results): CheckedBar[] {
  return (manifest.bars ?? []).map((bar) => {
    const compared = readComparison(bar, results);
    const verdict = meansSomething(bar, manifest, results) ? verdictOf(bar, compared) : 'not shown';
    // what nobody has tuned, or set beside a floor, shows nothing; that a bar was missed all the same, it does
    const isShown = !isOld(results) || verdict === 'not met';
    return { ...compared, required: requiredOf(bar), verdict: isShown ? verdict : 'not shown' };
  });
}

/** What a bar compares, whether or not it asks for anything. */
export function readComparison(bar: Bar, results: Results): ReadableComparison {
  const compared = compareRows(bar, results);
  return { claim: claimOf(bar, results), ...compared, interval: intervalOf(compared), format: formatOf(bar) };
}

/** A private row that is not shown as one carries no claim. */
function meansSomething({ row, against }: Bar, manifest: Manifest, results: Results): boolean {
  const rows = (results.seeds[0]?.rows ?? []).filter(({ name }) => name === row || name === against);
  return rows.every((one) => tooFewClients(one, manifest, results) === undefined);
}

/** Of each client where the claim is about each: then each has to clear it, in every seed. */
function verdictOf(bar: Bar, { each, ...compared }: Compared): Verdict {
  const { atLeast = Number.NEGATIVE_INFINITY, atMost = Number.POSITIVE_INFINITY } = bar;
  if (each !== undefined) {
    const verdicts = each.map((one) => verdictOf(bar, one));
    const isKept = (value: number | null) => value !== null && value >= atLeast && value <= atMost;
    const isAlways = each.length > 0 && each.every(({ bySeed }) => bySeed.every(isKept));
    if (isAlways && verdicts.every((verdict) => verdict === 'met')) return 'met';
    return verdicts.includes('not met') ? 'not met' : 'not shown';
  }
  const interval = intervalOf(compared);
  if (interval === undefined) return 'not shown';
  const { low, high } = interval;
  if (low >= atLeast && high <= atMost) return 'met';
  return high < atLeast || low > atMost ? 'not met' : 'not shown';
}

function intervalOf({ bySeed }: Compared): Interval | undefined {
  const values = bySeed.filter((value): value is number => value !== null && Number.isFinite(value));
  return values.length < bySeed.length ? undefined : meanInterval(values);
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
