/**
 * The last words of `starling simulate`: what the federation reached against training alone and against all data in
 * one place, the hash of the model, and where the report lies.
 */

import { bestWords } from '../../server/report/best.js';
import { formatDuration, plural } from '../../server/report/format.js';
import { evaluatedWords, lossyNote } from '../../server/report/lossy.js';
import { formatMetric, headlineOf } from '../../server/report/metrics.js';
import { comparisonRows, failuresBeside } from '../../server/report/rows.js';
import { testNoiseWords } from '../../server/report/test-noise.js';
import { warningsOf } from '../../server/report/warnings.js';
import { printable, shorten } from '../../shared/charts/markup.js';
import type { Headline, Report } from '../../shared/run/report.js';

/** What the last words need beside the report. */
export interface ResultOptions {
  readonly headline?: Headline;
  /** As the user can open it. */
  readonly reportPath?: string;
}

/**
 * Plain lines without colour, so that they read the same in a log. "pooled test" is the test data of all clients
 * together; "own test" the mean over clients, each judged on its own.
 */
export function resultLines(report: Report, options: ResultOptions = {}): string[] {
  const headline = headlineOf(report, options.headline);
  return [
    outcome(report),
    ...warningsOf(report.rounds).map((warning) => `WARNING  ${plain(warning)}`),
    '',
    ...(headline === null ? [] : [...table(report, headline), '']),
    ...(report.evaluated === undefined
      ? []
      : [`tested   ${plain(evaluatedWords(report.evaluated, zeroedIn(report)))}`]),
    ...lossyLine(report),
    ...privacyLine(report, headline?.metric),
    ...(report.modelSha256 === '' ? [] : [`model    ${report.modelSha256}`]),
    ...bestLine(report),
    ...(options.reportPath === undefined ? [] : [`report   ${plain(options.reportPath)}`]),
  ];
}

/** Evaluations of zeros in the last round that was evaluated. */
function zeroedIn({ rounds }: Report): number {
  return rounds.findLast(({ evaluated }) => evaluated !== undefined)?.zeroedTests ?? 0;
}

function outcome(report: Report): string {
  const spent = report.rounds.reduce((sum, round) => sum + round.durationMs, 0);
  const why = report.reason === null || report.reason === '' ? '' : `: ${plain(report.reason)}`;
  return `${plain(report.workload)} ${report.status}${why}  ${plural(report.rounds.length, 'round')}  ${formatDuration(spent)}  ${plain(report.backend ?? '')}`.trimEnd();
}

function table(report: Report, { metric, better }: Headline): string[] {
  const rows = comparisonRows(report);
  const cell = (value: number | null) => (value === null ? '-' : formatMetric(metric, value)).padStart(13);
  const title = `${shorten(plain(metric), 40)}${better === 'lower' ? ' (less is better)' : ''}`;
  const width = Math.max(title.length, ...rows.map(({ label }) => label.length));
  return [
    `${title.padEnd(width)}${'pooled test'.padStart(13)}${'own test'.padStart(13)}`,
    ...rows.map((row) => `${row.label.toLowerCase().padEnd(width)}${cell(row.pooled(metric))}${cell(row.own(metric))}`),
    ...failures(report),
  ];
}

function failures(report: Report): string[] {
  return Object.entries(failuresBeside(report)).map(([who, why]) => `failed: ${plain(who)}: ${plain(why)}`);
}

/** What is none to warn of is said all the same. */
function lossyLine({ lossy }: Report): string[] {
  const note = lossyNote(lossy);
  return note === null ? [] : [`lossy    ${note}, in the mean over rounds`];
}

/** Chosen and judged by the same examples, a model looks better than it is. */
function bestLine({ best }: Report): string[] {
  if (best === undefined) return [];
  return [`best     ${plain(best.path)}, of round ${best.round}: ${plain(bestWords(best))}`];
}

const NOISE = {
  'from-seed':
    'simulated: the noise follows from the seed and can be taken off; --secret-noise draws it from the system',
  secret: 'simulated with secret noise: the seed does not give it, nor this model again',
} as const;

function privacyLine({ privacy }: Report, metric = ''): string[] {
  if (privacy === null) return [];
  const unit = privacy.mode === 'example' ? 'example of any client' : 'client';
  const budget = privacy.budget === null ? '' : ` of ${privacy.budget}`;
  return [
    `privacy  epsilon ${Number(privacy.epsilon.toPrecision(4))}${budget} at delta ${privacy.delta} for one ${unit}; ${plain(privacy.mode)} noise`,
    ...(privacy.tests === undefined ? [] : [`         ${testNoiseWords(privacy.tests, metric)}`]),
    ...(privacy.noise === undefined ? [] : [`         ${NOISE[privacy.noise]}`]),
  ];
}

function plain(text: string): string {
  return printable(text).replace(/\s+/g, ' ');
}
