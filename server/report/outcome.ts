/**
 * The top of the page: how the run ended, in one sentence; how far that is from training alone and from pooling all
 * data; and the figures that people ask for next.
 */

import { type Html, html, shorten } from '../../shared/charts/markup.js';
import type { Headline, Report } from '../../shared/run/report.js';
import type { RunStatus } from '../../shared/run/summary.js';
import { awaited, clientCount, largestCohort, type ReportFacts, total } from './facts.js';
import { capital, formatBytes, formatCount, formatDuration, formatNumber, formatPercent, plural } from './format.js';
import { finalValue, formatMetric, isFraction, metricValue, readable } from './metrics.js';
import { belowResolution } from './resolution.js';
import { comparisonRows } from './rows.js';
import { warningsOf } from './warnings.js';

const STATUS: Readonly<Record<RunStatus, string>> = {
  running: 'still running',
  completed: 'completed',
  stopped: 'stopped',
  'budget-exhausted': 'privacy budget spent',
  failed: 'failed',
};

/** Title, sentence, comparison and tiles. */
export function outcomeSection(report: Report, headline: Headline | null, facts: ReportFacts): Html {
  const status = Object.hasOwn(STATUS, report.status) ? report.status : 'failed';
  const warnings = warningsOf(report.rounds);
  return html`<header class="hero ${status}">
<p class="brand">${birds()}<span>Starling run report</span><span class="status ${status}">${STATUS[status]}</span></p>
<h1>${shorten(report.workload, 80)} <small>${shorten(report.scale, 40)} scale</small></h1>
<p class="outcome">${sentence(report, headline, facts)}</p>
${report.reason !== null && report.reason !== '' && html`<p class="reason ${status}"><strong>Reason:</strong> ${shorten(report.reason, 600)}</p>`}
${warnings.map((warning) => html`<p class="reason failed"><strong>Warning:</strong> ${shorten(warning, 1500)}</p>`)}
${report.rounds.length > 0 && html`<p class="lead">In every round the coordinator sends the current model to a group of clients, the cohort. Each trains it on data that never leaves it and returns an update; the updates together make the next model.${report.secureAggregation === true && ' Secure aggregation was on: the coordinator learned sums over the clients and nothing of one client, so no figures of single clients exist.'}</p>`}
${headline !== null && comparison(report, headline)}
</header>
${report.rounds.length > 0 && tiles(report, facts)}`;
}

/** "92.4 % test accuracy after 12 rounds with 10 clients; training alone reached 21.3 %." */
export function sentence(report: Report, headline: Headline | null, facts: ReportFacts): Html {
  const rounds = report.rounds.length;
  if (rounds === 0) return html`${withoutRounds(report.status)}`;
  const value = headline === null ? null : finalValue(report, headline.metric);
  const alone = headline === null ? null : metricValue(report.baselines.local?.metrics, headline.metric);
  const name = headline?.metric ?? '';
  const clients = clientCount(report, facts);
  const cohort = largestCohort(report);
  const who = `${plural(clients, 'client')}${cohort < clients ? ` (up to ${formatCount(cohort)} a round)` : ''}`;
  const of = facts.plannedRounds !== undefined && facts.plannedRounds > rounds ? ` of ${facts.plannedRounds}` : '';
  const after = `${formatCount(rounds)}${of} ${rounds === 1 && of === '' ? 'round' : 'rounds'} with ${who}`;
  const compared = alone === null ? '' : `; training alone reached ${formatMetric(name, alone)}`;
  const unseen = belowResolution(report.rounds.at(-1), name);
  if (value === null && unseen !== null)
    return html`${capital(`${ending(report.status)}${after}`)}; ${shorten(readable(name), 80)} is ${unseen}.`;
  if (value === null) return html`${capital(`${ending(report.status)}${after}`)}.`;
  const reached = html`<b>${formatMetric(name, value)} ${shorten(readable(name), 80)}</b>`;
  if (report.status === 'completed') return html`${reached} after ${after}${compared}.`;
  return html`${capital(ending(report.status))}${after}, at ${reached}${compared}.`;
}

function withoutRounds(status: RunStatus): string {
  if (status === 'failed') return 'The run failed before its first round ended.';
  if (status === 'running') return 'The run has begun; no round has ended yet.';
  if (status === 'budget-exhausted') return 'No round was run: the privacy budget does not allow even one.';
  return status === 'stopped' ? 'Stopped before the first round ended.' : 'The run ended without a round.';
}

function ending(status: RunStatus): string {
  if (status === 'failed') return 'failed after ';
  if (status === 'running') return 'running: ';
  if (status === 'budget-exhausted') return 'ended by the privacy budget after ';
  return status === 'stopped' ? 'stopped after ' : '';
}

/** A bar for each row, and what it is on each client's own test data. Left out where there is nothing to compare with. */
function comparison(report: Report, { metric, better }: Headline): Html | null {
  const rows = comparisonRows(report).flatMap((row) => {
    const pooled = row.pooled(metric);
    return pooled === null ? [] : [{ ...row, pooled, own: row.own(metric) }];
  });
  if (rows.length < 2) return null;
  const full = isFraction(metric) ? 1 : Math.max(...rows.map((row) => row.pooled));
  const hasOwn = rows.some(({ own }) => own !== null);
  return html`<table class="versus"><caption>${capital(shorten(readable(metric), 80))} on the test data of all clients${hasOwn && ' (bar), and on their own on average'}${better === 'lower' && '; less is better'}</caption>
${hasOwn && html`<thead><tr><th scope="col">Trained by</th><th scope="col" class="wide"></th><th scope="col" class="number">All clients’ data</th><th scope="col" class="number">Own data</th></tr></thead>`}
<tbody>${rows.map(
    ({ label, tone, pooled, own }) =>
      html`<tr><th scope="row">${label}</th><td class="wide">${bar(pooled / full, tone)}</td><td class="number ${tone}">${formatMetric(metric, pooled)}</td>${hasOwn && html`<td class="number own">${formatMetric(metric, own)}</td>`}</tr>`,
  )}</tbody></table>`;
}

/** A bar that is `share` of its cell long; decoration beside a figure. */
export function bar(share: number, tone: string): Html {
  const width = Math.min(100, Math.max(0, Math.round(share * 1000) / 10)) || 0;
  return html`<svg class="meter" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect class="track" width="100" height="10"/><rect class="bar ${tone}" width="${width}" height="10"/></svg>`;
}

function tiles(report: Report, facts: ReportFacts): Html {
  const invited = total(report, awaited);
  const up = total(report, (round) => round.bytesUp);
  const down = total(report, (round) => round.bytesDown);
  const spent = total(report, (round) => round.durationMs);
  const overhead = total(report, (round) => round.overheadMs);
  const rounds = report.rounds.length;
  return html`<dl class="tiles">
${tile('Rounds', formatCount(rounds), rounds > 0 && `${formatDuration(spent / rounds)} each`)}
${tile('Clients', formatCount(clientCount(report, facts)), rounds > 0 && `cohort of ${formatCount(largestCohort(report))}`)}
${tile('Updates arrived', invited > 0 ? formatPercent(total(report, (round) => round.survivors) / invited) : '–', invited > 0 && `${formatCount(invited - total(report, (round) => round.survivors))} of ${formatCount(invited)} missing`)}
${tile('Time in rounds', formatDuration(spent), spent > 0 && `${formatPercent(overhead / spent)} of it overhead`)}
${tile('Traffic', formatBytes(up + down), up + down > 0 && `${formatBytes(up)} up, ${formatBytes(down)} down`)}
${tile('Privacy spent', report.privacy === null ? 'none' : `ε ${formatNumber(report.privacy.epsilon)}`, report.privacy === null ? 'no noise was added' : `at δ = ${formatNumber(report.privacy.delta)}`)}
</dl>`;
}

function tile(name: string, value: string, note: string | false): Html {
  return html`<div><dt>${name}</dt><dd>${value}${note !== false && html`<small>${note}</small>`}</dd></div>`;
}

/** The mark: three birds of a flock. */
function birds(): Html {
  return html`<svg class="birds" viewBox="0 0 40 24" aria-hidden="true"><path d="M2 12q5-6 8 0q3-6 8 0M16 6q4-5 6.5 0q2.5-5 6.5 0M21 19q4-5 6.5 0q2.5-5 6.5 0"/></svg>`;
}
