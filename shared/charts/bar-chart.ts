/**
 * Stacked bars over rounds (survivors and dropped, up and down, clients' time and overhead) as plain SVG. Rounds that
 * do not fit are put together, and a bar then shows the mean of its rounds.
 */
import { cumsum, max, sum, ticks } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import { axisX, type Frame, frameOf, gridY, mostTicks } from './frame.js';
import { type Html, html } from './markup.js';
import { niceDomain, px, wholeTicks } from './scale.js';

/** `parts` lie on one another from the axis upwards, in the order of `tones`. */
export interface Bar {
  readonly round: number;
  readonly parts: readonly number[];
}

/** What to draw; `labels` and `tones` belong to the parts of a bar. */
export interface BarChart {
  readonly description: string;
  readonly width: number;
  readonly height: number;
  readonly bars: readonly Bar[];
  readonly labels: readonly string[];
  readonly tones: readonly string[];
  readonly format: (value: number) => string;
}

/** Rounds `first` to `last` as one bar. */
interface Bin {
  readonly first: number;
  readonly last: number;
  readonly parts: readonly number[];
}

const MAX_BARS = 80;
/** Of the y axis, about. */
const STEPS = 4;

/** The chart, or a sentence when there is nothing to draw. */
export function barChart(chart: BarChart): Html {
  const bins = binned(chart.bars);
  if (bins.length === 0) return html`<p class="none">No round ended.</p>`;
  const domain = niceDomain([0, max(bins, (bin) => sum(bin.parts)) || 1], STEPS);
  const yTicks = ticks(...domain, STEPS);
  const frame = frameOf(chart, yTicks.map(chart.format));
  const y = scaleLinear(domain, [frame.bottom, frame.top]);
  const [first, last] = [bins[0].first, bins[bins.length - 1].last];
  // Half a round of room on both sides, so that a bar stands on its round.
  const x = scaleLinear([first - 0.5, last + 0.5], [frame.left, frame.right]);
  const rounds = wholeTicks([first, last], mostTicks(frame));
  return html`<svg class="chart" viewBox="0 0 ${chart.width} ${chart.height}" role="img" aria-label="${chart.description}">
${gridY(yTicks, frame, y, chart.format)}${axisX(rounds, frame, x, 'round')}
${bins.map((bin) => column(bin, chart, frame, x, y))}</svg>`;
}

/** One bin for each bar up to MAX_BARS of them, then the means of equally many rounds. */
function binned(bars: readonly Bar[]): Bin[] {
  const size = Math.ceil(bars.length / MAX_BARS);
  const out: Bin[] = [];
  for (let start = 0; start < bars.length; start += size) {
    const group = bars.slice(start, start + size);
    const parts = group[0].parts.map((_, part) => sum(group, (bar) => finite(bar.parts[part])) / group.length);
    out.push({ first: group[0].round, last: group[group.length - 1].round, parts });
  }
  return out;
}

function column(bin: Bin, chart: BarChart, frame: Frame, x: (v: number) => number, y: (v: number) => number): Html {
  const from = x(bin.first - 0.5);
  const to = x(bin.last + 0.5);
  const gap = Math.min(3, (to - from) * 0.12);
  const width = Math.min(56, to - from - 2 * gap);
  const left = (from + to - width) / 2;
  const rounds = bin.first === bin.last ? `round ${bin.first}` : `rounds ${bin.first} to ${bin.last}, mean`;
  const text = `${rounds}: ${bin.parts.map((part, i) => `${chart.labels[i]} ${chart.format(part)}`).join(', ')}`;
  const tops = cumsum(bin.parts);
  const stack = bin.parts.map((_, i) => {
    const top = y(tops[i]);
    const bottom = y(i === 0 ? 0 : tops[i - 1]);
    if (!(bottom - top > 0)) return null;
    return html`<rect class="bar ${chart.tones[i]}" x="${px(left)}" y="${px(top)}" width="${px(width)}" height="${px(bottom - top)}"/>`;
  });
  return html`<g class="hover"><title>${text}</title><rect class="hit" x="${px(from)}" y="${frame.top}" width="${px(to - from)}" height="${frame.bottom - frame.top}"/>${stack}<text x="${frame.left}" y="12">${text}</text></g>`;
}

function finite(value: number): number {
  return Number.isFinite(value) ? value : 0;
}
