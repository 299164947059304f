/**
 * Does each client gain? Federated model against its own model trained alone, both judged on the client's own test
 * data: a table that can be sorted, and for many clients the two ends of it.
 */

import { type Html, html, shorten } from '../../shared/charts/markup.js';
import type { Headline, Report } from '../../shared/run/report.js';
import { capital, formatCount, plural } from './format.js';
import { formatMetric, isFraction, metricValue, readable } from './metrics.js';
import { bar } from './outcome.js';

/** More clients than this, and only those with the largest and the smallest gain are listed. */
const MAX_ROWS = 100;

interface Row {
  readonly client: string;
  readonly fed: number | null;
  readonly alone: number | null;
  /** Positive: the federated model is better, whichever way the metric runs. */
  readonly gain: number | null;
  readonly dropped: number;
}

/** Null when nothing was measured per client. */
export function clientsSection(report: Report, headline: Headline | null): Html | null {
  if (headline === null) return null;
  const rows = rowsOf(report, headline);
  if (rows.length === 0) return null;
  const compared = rows.some((row) => row.alone !== null);
  const shown = rows.length > MAX_ROWS ? ends(rows, compared) : rows;
  const name = capital(shorten(readable(headline.metric), 80));
  return html`<section><h2>Clients</h2>
<p>${name} on each client's own test data${headline.better === 'lower' && '; less is better'}. ${verdict(rows, headline)}</p>
${rows.length > shown.length && html`<p class="more">The ${shown.length} of ${formatCount(rows.length)} clients with the ${compared ? 'largest and the smallest gain' : 'best and the worst figures'}; all are in report.json.</p>`}
<div class="scroll"><table class="sortable clients"><thead><tr>${column('Client')}<th scope="col" class="wide">${key()}</th>${column('Federated', true)}${compared && column('Alone', true)}${compared && column(isFraction(headline.metric) ? 'Gain, points' : 'Gain', true)}${column('Dropped', true)}</tr></thead><tbody>
${shown.map((row) => line(row, headline, compared, extent(rows, headline)))}</tbody></table></div></section>`;

  function key(): Html {
    return html`<span class="legend"><span class="fed">federated</span>${compared && html` <span class="alone">alone</span>`}</span>`;
  }
}

function column(label: string, number = false): Html {
  return html`<th scope="col"${number && html` class="number"`}><button type="button">${label}</button></th>`;
}

function line(row: Row, { metric }: Headline, compared: boolean, full: number): Html {
  const gain = row.gain === null ? '' : `${row.gain > 0 ? '+' : ''}${difference(metric, row.gain)}`;
  const tone = row.gain === null || row.gain === 0 ? '' : row.gain > 0 ? 'up' : 'down';
  return html`<tr><th scope="row"><bdi>${shorten(row.client, 60)}</bdi></th><td class="wide">${row.fed !== null && bar(row.fed / full, 'fed')}${row.alone !== null && bar(row.alone / full, 'alone')}</td>${figure(row.fed, metric)}${compared && figure(row.alone, metric)}${compared && html`<td class="number ${tone}" data-value="${row.gain}">${gain}</td>`}<td class="number" data-value="${row.dropped}">${row.dropped}</td></tr>`;
}

function figure(value: number | null, metric: string): Html {
  return html`<td class="number" data-value="${value}">${formatMetric(metric, value)}</td>`;
}

/** Differences of fractions are percentage points, not per cent; the heading says so. */
function difference(metric: string, gain: number): string {
  return isFraction(metric) ? (gain * 100).toFixed(1) : formatMetric(metric, gain);
}

function verdict(rows: readonly Row[], { metric, better }: Headline): string {
  const gains = rows.flatMap((row) => (row.gain === null ? [] : [row.gain]));
  const values = rows.flatMap((row) => (row.fed === null ? [] : [row.fed])).sort((a, b) => a - b);
  if (better === 'lower') values.reverse();
  const at = (quantile: number) => formatMetric(metric, values[Math.round(quantile * (values.length - 1))]);
  const spread = values.length > 1 ? `Worst ${at(0)}, median ${at(0.5)}, best ${at(1)}.` : '';
  if (gains.length === 0) return spread;
  const winners = gains.filter((gain) => gain > 0).length;
  return `The federated model is better than training alone for ${formatCount(winners)} of ${plural(gains.length, 'client')}. ${spread}`;
}

function rowsOf(report: Report, { metric, better }: Headline): Row[] {
  const local = report.baselines.local?.perClient ?? {};
  const dropped = new Map<string, number>();
  for (const round of report.rounds) {
    for (const { client } of round.dropped) dropped.set(client, (dropped.get(client) ?? 0) + 1);
  }
  const names = new Set([...Object.keys(report.final.perClient), ...Object.keys(local)]);
  const natural = new Intl.Collator('en', { numeric: true });
  return [...names].sort(natural.compare).flatMap((client) => {
    const fed = own(report.final.perClient, client, metric);
    const alone = own(local, client, metric);
    if (fed === null && alone === null) return [];
    const gain = fed === null || alone === null ? null : better === 'higher' ? fed - alone : alone - fed;
    return [{ client, fed, alone, gain, dropped: dropped.get(client) ?? 0 }];
  });
}

function own(perClient: Readonly<Record<string, Readonly<Record<string, number>>>>, client: string, metric: string) {
  return Object.hasOwn(perClient, client) ? metricValue(perClient[client], metric) : null;
}

/** The two ends, by gain, else by the figure itself. */
function ends(rows: readonly Row[], compared: boolean): Row[] {
  const by = (row: Row) => (compared ? row.gain : row.fed) ?? 0;
  const sorted = rows.toSorted((a, b) => by(b) - by(a));
  return [...sorted.slice(0, MAX_ROWS / 2), ...sorted.slice(-MAX_ROWS / 2)];
}

/** The figure that fills a bar: 1 for fractions, else the largest one (bars of negative figures stay empty). */
function extent(rows: readonly Row[], { metric }: Headline): number {
  if (isFraction(metric)) return 1;
  return rows.reduce((most, row) => Math.max(most, row.fed ?? 0, row.alone ?? 0), 0) || 1;
}
