/**
 * What a report may know of a metric that it has only the name of: how it is read ("test accuracy"), whether it is a
 * fraction, which way is better, and which of many is looked at first. The workload's manifest has the last word on
 * the headline; the guesses serve reports that were written without one.
 */
import { mean } from 'd3-array';
import type { Headline, MetricsReport, Report } from '../../shared/run/report.js';
import { formatNumber, formatPercent, NONE } from './format.js';

/** Values by the name of the metric. */
export type Metrics = Readonly<Record<string, number>>;

const SPLIT = /^(train|test|validation|val|eval)\.(.+)$/s;
const FRACTION =
  /(^|[._-])(acc|accuracy|auroc|auc|f1|recall|precision|miou|iou|dice|top\d+|knn|probe|ece|rate|within)$/i;
const ABBREVIATION = /\b(ece|fid|auroc|auc|mse|rmse|mae|nll|psnr|ssim|iou|miou|bpc|f1)\b/gi;
const LOWER = /(^|[._-])(loss|error|err|mse|rmse|mae|nll|fid|ece|bpc|perplexity|angle|brier|divergence)([._-]|$)/i;

/** "test.top1" is of the split "test" and the family "top1"; without a known split the whole name is the family. */
export function splitMetric(name: string): { readonly split: string; readonly family: string } {
  const match = SPLIT.exec(name);
  return match === null ? { split: '', family: name } : { split: match[1], family: match[2] };
}

/** "test.next_char.accuracy" -> "test next char accuracy", "test.auroc" -> "test AUROC". */
export function readable(name: string): string {
  return name
    .replace(/[._]+/g, ' ')
    .trim()
    .replace(ABBREVIATION, (word) => word.toUpperCase().replace(/^MIOU$/, 'mIoU'));
}

/** Told by its name: a value in 0..1 that is read as a percentage. */
export function isFraction(name: string): boolean {
  return FRACTION.test(name);
}

/** Told by its name; what is neither a loss nor an error is better the higher it is. */
export function betterOf(name: string): 'higher' | 'lower' {
  return LOWER.test(name) && !/within$/i.test(name) ? 'lower' : 'higher';
}

/** "92.4 %" for a fraction, else four significant digits; a dash for none. */
export function formatMetric(name: string, value: number | null): string {
  if (value === null) return NONE;
  return isFraction(name) && Math.abs(value) <= 1 ? formatPercent(value) : formatNumber(value);
}

/** The full name of a manifest's metric: it may be named without its split ("accuracy"), then the test split is meant. */
export function findMetric(metric: string, isThere: (name: string) => boolean): string | undefined {
  return [metric, `test.${metric}`].find(isThere);
}

/**
 * The metric to look at first: the given one, or what the run says, if the report has it.
 * Without a manifest: test accuracy, another test fraction, any test metric that is no loss, any test metric, any.
 */
export function headlineOf(report: Report, given = report.headline): Headline | null {
  const names = metricNames(report);
  if (given !== undefined) {
    const found = findMetric(given.metric, (name) => names.includes(name));
    if (found !== undefined) return { metric: found, better: given.better };
  }
  const tests = names.filter((name) => name.startsWith('test.'));
  const best =
    names.find((name) => name === 'test.accuracy') ??
    tests.find((name) => isFraction(name) && betterOf(name) === 'higher') ??
    tests.find((name) => betterOf(name) === 'higher') ??
    tests[0] ??
    names[0];
  return best === undefined ? null : { metric: best, better: betterOf(best) };
}

/** All names with at least one finite value, sorted. */
export function metricNames(report: Report): string[] {
  const names = new Set<string>();
  for (const metrics of [report.final.metrics, ...report.rounds.map((round) => round.metrics)]) {
    for (const name of Object.keys(metrics)) if (Number.isFinite(metrics[name])) names.add(name);
  }
  return [...names].sort();
}

/** A finite value of a metric, or null. */
export function metricValue(metrics: Metrics | undefined, name: string): number | null {
  if (metrics === undefined || !Object.hasOwn(metrics, name)) return null;
  const value = metrics[name];
  return Number.isFinite(value) ? value : null;
}

/** The metric of the last model: of the final evaluation, else of the last round that was evaluated. */
export function finalValue(report: Report, name: string): number | null {
  const final = metricValue(report.final.metrics, name);
  if (final !== null) return final;
  for (const round of report.rounds.toReversed()) {
    const value = metricValue(round.metrics, name);
    if (value !== null) return value;
  }
  return null;
}

/** The mean of a metric over the clients that have it, each judged on its own data; null without any. */
export function clientMean(part: MetricsReport | undefined, name: string): number | null {
  const values = Object.values(part?.perClient ?? {})
    .map((metrics) => metricValue(metrics, name))
    .filter((value) => value !== null);
  return mean(values) ?? null;
}
