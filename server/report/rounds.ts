/**
 * What the rounds cost and who was missing: survivors, time and bytes of each round, and the dropped clients with
 * their reasons in plain words.
 */
import { group } from 'd3-array';
import { barChart } from '../../shared/charts/bar-chart.js';
import { type Html, html, shorten } from '../../shared/charts/markup.js';
import type { DropReason } from '../../shared/errors.js';
import type { Report, RoundReport } from '../../shared/run/report.js';
import { legend } from './curves.js';
import { awaited } from './facts.js';
import { formatBytes, formatCount, formatDuration, formatNumber, plural } from './format.js';

const WHY: Readonly<Record<DropReason, string>> = {
  deadline: 'No complete update before the deadline',
  refused: 'The client declined to take part',
  failed: 'Training failed on the client',
  'invalid-update': 'The update had a wrong shape, size or hash, or impossible numbers',
  superseded: 'Not needed: enough others were faster',
  dropout: 'Left the round',
  excluded: 'Suspended or revoked by an operator',
  'round-aborted': 'The round was aborted',
};
const MAX_DROPPED = 200;

/** Three charts; null without a round. */
export function roundsSection(report: Report): Html | null {
  if (report.rounds.length === 0) return null;
  const bars = (pick: (round: RoundReport) => readonly number[]) =>
    report.rounds.map((round) => ({ round: round.round, parts: pick(round) }));
  return html`<section><h2>Rounds</h2><div class="charts">
${stacked(
  'Survivors',
  'updates that came in time',
  ['arrived', 'missing'],
  ['fed', 'drop'],
  formatNumber,
  bars((round) => [round.survivors, Math.max(0, awaited(round) - round.survivors)]),
)}
${stacked(
  'Duration',
  'of each round',
  ['clients at work', 'overhead'],
  ['fed', 'alone'],
  formatDuration,
  bars(({ durationMs, overheadMs }) => [Math.max(0, durationMs - overheadMs), overheadMs]),
)}
${stacked(
  'Traffic',
  'of all clients together',
  ['up', 'down'],
  ['fed', 'central'],
  formatBytes,
  bars(({ bytesUp, bytesDown }) => [bytesUp, bytesDown]),
)}
</div></section>`;
}

function stacked(
  title: string,
  note: string,
  labels: readonly string[],
  tones: readonly string[],
  format: (value: number) => string,
  bars: readonly { readonly round: number; readonly parts: readonly number[] }[],
): Html {
  const chart = { description: `Bar chart: ${title} ${note}, ${labels.join(' and ')}`, labels, tones, format, bars };
  return html`<figure><figcaption><b>${title}</b> <span>${note}</span>${legend(labels.map((label, i) => ({ label, tone: tones[i] })))}</figcaption>
${barChart({ ...chart, width: 290, height: 200 })}</figure>`;
}

/** How often and why; then, folded away, who and when. Null when nobody was dropped. */
export function droppedSection(report: Report): Html | null {
  const all = report.rounds.flatMap((round) => round.dropped.map((dropped) => ({ ...dropped, round: round.round })));
  if (all.length === 0) return null;
  const reasons = [...group(all, (dropped) => dropped.reason)].sort((a, b) => b[1].length - a[1].length);
  const listed = all.slice(0, MAX_DROPPED);
  return html`<section><h2>Dropped clients</h2>
<p>A round goes on without a client that does not deliver. This happened ${plural(all.length, 'time')}, to ${plural(new Set(all.map(({ client }) => client)).size, 'client')}.</p>
<div class="scroll"><table><thead><tr><th scope="col">Reason</th><th scope="col">What it means</th><th scope="col" class="number">Times</th></tr></thead><tbody>
${reasons.map(
  ([reason, group]) =>
    html`<tr><th scope="row"><code>${shorten(reason, 40)}</code></th><td>${Object.hasOwn(WHY, reason) && WHY[reason]}</td><td class="number">${formatCount(group.length)}</td></tr>`,
)}</tbody></table></div>
<details><summary>Who and when</summary><div class="scroll"><table><thead><tr><th scope="col" class="number">Round</th><th scope="col">Client</th><th scope="col">Reason</th><th scope="col">Detail</th></tr></thead><tbody>
${listed.map(
  ({ round, client, reason, detail }) =>
    html`<tr><td class="number">${round}</td><th scope="row"><bdi>${shorten(client, 60)}</bdi></th><td>${shorten(reason, 40)}</td><td class="detail">${detail !== undefined && shorten(detail, 200)}</td></tr>`,
)}</tbody></table></div>
${all.length > listed.length && html`<p class="more">The first ${listed.length} of ${formatCount(all.length)}; all are in report.json.</p>`}</details></section>`;
}
