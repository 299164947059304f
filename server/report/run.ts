/**
 * The facts by which a run can be told from another, checked and done again.
 */

import { type Html, html, shorten } from '../../shared/charts/markup.js';
import type { Report } from '../../shared/run/report.js';
import { bestWords } from './best.js';
import type { ReportFacts } from './facts.js';
import { formatNumber, plural } from './format.js';
import { lossyNote, overWhom } from './lossy.js';
import { formatMetric, metricNames } from './metrics.js';
import { comparisonRows } from './rows.js';

/** Always there, even for a run that failed at once. */
export function runSection(report: Report, { settings = [] }: Pick<ReportFacts, 'settings'> = {}): Html {
  const { command } = report;
  const lost = lossyNote(report.lossy);
  return html`<section><h2>This run</h2><dl class="facts">
${fact('Run', html`<code>${shorten(report.run, 200)}</code>`)}
${fact('Workload', html`${shorten(report.workload, 200)}, ${shorten(report.scale, 40)} scale`)}
${fact('Seed', html`${report.seed}`)}
${report.evaluated !== undefined && fact('Judged by', html`${overWhom(report.evaluated)}, ${plural(report.evaluated.examples, 'example')}`)}
${lost !== null && fact('On the way, in the mean over rounds', html`${lost}`)}
${fact('Back end', html`${report.backend ?? 'not told'}`)}
${fact('Model, SHA-256', html`<code class="hash">${report.modelSha256 === '' ? 'no model' : shorten(report.modelSha256, 64)}</code>`)}
${report.best !== undefined && fact('Best model', html`<code>${shorten(report.best.path, 80)}</code>, of round ${report.best.round}: ${shorten(bestWords(report.best), 300)}.`)}
${settings.length > 0 && fact('Settings', html`${settings.map(([key, value], i) => html`${i > 0 && ', '}<span class="keep">${shorten(key, 40)} ${shorten(value, 60)}</span>`)}`)}
${fact('Schema', html`<code>${shorten(report.schema, 60)}</code>`)}
</dl>
${command !== undefined && html`<p>To do this run again:</p><pre tabindex="0">${wrapped(command)}</pre>`}
${command !== undefined && report.modelSha256 !== '' && html`<p class="more">${again(report)}</p>`}
${figures(report)}</section>`;
}

function again({ privacy }: Report): string {
  if (privacy?.noise === 'secret') return 'Its noise is secret: done again, it ends in another model.';
  return 'On the same back end it ends in the same model: compare the hash.';
}

/** Breaks lines only between options; copied, it is one line. */
function wrapped(command: string): Html {
  return html`${command.split(/ (?=--)/).map((part, i) => html`${i > 0 && ' '}<span class="keep">${part}</span>`)}`;
}

function fact(name: string, value: Html): Html {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

/** Every metric of the final model beside the baselines, on the test data of all clients. */
function figures(report: Report): Html | null {
  const names = metricNames(report).slice(0, 60);
  if (names.length === 0) return null;
  const rows = comparisonRows(report);
  const resolution = report.rounds.findLast((round) => round.evaluated !== undefined)?.resolution;
  const cell = (name: string, value: number | null) => html`<td class="number">${formatMetric(name, value)}</td>`;
  return html`<details${report.rounds.length < 2 && html` open`}><summary>All final figures</summary><div class="scroll"><table><thead><tr><th scope="col">Metric</th>${rows.map(({ label }) => html`<th scope="col" class="number">${label}</th>`)}${resolution && html`<th scope="col" class="number">Resolution</th>`}</tr></thead><tbody>
${names.map(
  (name) =>
    html`<tr><th scope="row"><code>${shorten(name, 80)}</code></th>${rows.map((row) => cell(name, row.pooled(name)))}${resolution && html`<td class="number">${Object.hasOwn(resolution, name) ? formatNumber(resolution[name]) : ''}</td>`}</tr>`,
)}</tbody></table></div></details>`;
}
