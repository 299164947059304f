/**
 * The facts by which a run can be told from another, checked and done again.
 */
import type { Report } from '../../shared/report.js';
import type { ReportFacts } from './facts.js';
import { type Html, html, shorten } from './markup.js';
import { finalValue, formatMetric, metricNames, metricValue } from './metrics.js';

/** Always there, even for a run that failed at once. */
export function runSection(report: Report, facts: ReportFacts): Html {
  return html`<section><h2>This run</h2><dl class="facts">
${fact('Run', html`<code>${shorten(report.run, 200)}</code>`)}
${fact('Workload', html`${shorten(report.workload, 200)}, ${shorten(report.scale, 40)} scale`)}
${fact('Seed', html`${report.seed}`)}
${fact('Back end', html`${report.backend ?? 'not told'}`)}
${fact('Model, SHA-256', html`<code class="hash">${report.modelSha256 === '' ? 'no model' : shorten(report.modelSha256, 64)}</code>`)}
${fact('Schema', html`<code>${shorten(report.schema, 60)}</code>`)}
</dl>
${facts.command !== undefined && html`<p>To do this run again:</p><pre tabindex="0">${wrapped(facts.command)}</pre>`}
${facts.command !== undefined && report.modelSha256 !== '' && html`<p class="more">On the same back end it ends in the same model: compare the hash.</p>`}
${figures(report)}</section>`;
}

/** Breaks lines only between options; copied, it is one line. */
function wrapped(command: string): Html {
  return html`${command.split(/ (?=--)/).map((part, i) => html`${i > 0 && ' '}<span class="keep">${part}</span>`)}`;
}

function fact(name: string, value: Html): Html {
  return html`<div><dt>${name}</dt><dd>${value}</dd></div>`;
}

/** Every metric of the final model beside the baselines. */
function figures(report: Report): Html | null {
  const names = metricNames(report).slice(0, 60);
  if (names.length === 0) return null;
  const { local, centralised } = report.baselines;
  const cell = (name: string, value: number | null) =>
    html`<td class="number">${value === null ? '–' : formatMetric(name, value)}</td>`;
  return html`<details${report.rounds.length < 2 && html` open`}><summary>All final figures</summary><div class="scroll"><table><thead><tr><th scope="col">Metric</th><th scope="col" class="number">Federated</th>${local && html`<th scope="col" class="number">Alone</th>`}${centralised && html`<th scope="col" class="number">All data in one place</th>`}</tr></thead><tbody>
${names.map(
  (name) =>
    html`<tr><th scope="row"><code>${shorten(name, 80)}</code></th>${cell(name, finalValue(report, name))}${local && cell(name, metricValue(local.metrics, name))}${centralised && cell(name, metricValue(centralised.metrics, name))}</tr>`,
)}</tbody></table></div></details>`;
}
