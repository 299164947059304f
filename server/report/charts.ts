/**
 * Line charts as plain SVG: values in, markup out. Colours come from the page's style sheet through class names, so a
 * chart follows light and dark; hovering a round shows its figures without any script (and `<title>` says them to
 * assistive technology). Coordinates are pixels of the view box.
 */
import { formatCount } from './format.js';
import { type Html, html } from './markup.js';
import { type Domain, domainOf, linear, niceDomain, px, ticks } from './scale.js';

export interface Point {
  readonly x: number;
  readonly y: number;
}

/** `tone` is a class of the style sheet: fed, alone, central, drop, soft. */
export interface Series {
  readonly label: string;
  readonly tone: string;
  readonly points: readonly Point[];
}

/** A level to compare with: a dashed line across the chart. */
export interface Reference {
  readonly label: string;
  readonly tone: string;
  readonly y: number;
}

export interface LineChart {
  /** What the picture shows, in one sentence, for those who cannot see it. */
  readonly description: string;
  readonly width: number;
  readonly height: number;
  readonly series: readonly Series[];
  readonly references?: readonly Reference[];
  readonly format: (y: number) => string;
  readonly xName: string;
  /** The y axis begins at 0 and reaches all references, however far they are from the curves. */
  readonly fromZero?: boolean;
}

export interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Most places of one chart that answer to the pointer; more rounds are thinned out evenly. */
const MAX_HOVERS = 120;
/** Up to here every value gets a dot. */
const MAX_DOTS = 30;
/** A reference further away than this many spans of the curves would flatten them; it is put on the chart's edge. */
const REFERENCE_REACH = 1.5;

/** The chart, or a sentence when there is no finite value to draw. */
export function lineChart(chart: LineChart): Html {
  const series = chart.series.map((one) => ({
    ...one,
    points: one.points.filter((point) => Number.isFinite(point.y)),
  }));
  const all = series.flatMap((one) => one.points);
  const own = domainOf(all.map((point) => point.y));
  const xs = domainOf(all.map((point) => point.x));
  if (own === null || xs === null) return html`<p class="none">Nothing was measured.</p>`;
  const domain = niceDomain(reach(own, chart), 5);
  const frame = frameOf(chart, ticks(domain, 5).map(chart.format));
  const x = linear(xs, frame.left, frame.right);
  const y = linear(domain, frame.bottom, frame.top);
  return html`<svg class="chart" viewBox="0 0 ${chart.width} ${chart.height}" role="img" aria-label="${chart.description}">
${gridY(domain, frame, y, chart.format)}${axisX(xs, frame, x, chart)}
${references(chart, domain, frame, y)}
${series.map((one) => curve(one, x, y))}
${hovers(series, frame, x, chart)}</svg>`;
}

/** Room for the widest label of the y axis, at 6.4 pixels a character, and for the x axis below. */
export function frameOf(chart: { width: number; height: number }, labels: readonly string[]): Frame {
  const widest = Math.max(0, ...labels.map((label) => label.length));
  return { left: Math.round(14 + widest * 6.4), right: chart.width - 14, top: 22, bottom: chart.height - 36 };
}

/** Horizontal grid lines with their labels. */
export function gridY(domain: Domain, frame: Frame, y: (value: number) => number, format: (y: number) => string): Html {
  return html`${ticks(domain, 5).map(
    (tick) =>
      html`<path class="grid" d="M${frame.left} ${px(y(tick))}H${frame.right}"/><text class="tick" x="${frame.left - 7}" y="${px(y(tick) + 4)}" text-anchor="end">${format(tick)}</text>`,
  )}`;
}

/** Whole numbers below the chart, and what they count. */
export function axisX(xs: Domain, frame: Frame, x: (value: number) => number, chart: { xName: string }): Html {
  const most = Math.max(2, Math.floor((frame.right - frame.left) / 40));
  return html`${ticks(xs, most, 1).map(
    (tick) =>
      html`<text class="tick" x="${px(x(tick))}" y="${frame.bottom + 16}" text-anchor="middle">${formatCount(tick)}</text>`,
  )}<text class="axis" x="${(frame.left + frame.right) / 2}" y="${frame.bottom + 32}" text-anchor="middle">${chart.xName}</text>`;
}

function reach(own: Domain, chart: LineChart): Domain {
  const span = own.high - own.low || Math.abs(own.high) || 1;
  const near = (chart.references ?? [])
    .map((reference) => reference.y)
    .filter((y) => chart.fromZero || (y >= own.low - span * REFERENCE_REACH && y <= own.high + span * REFERENCE_REACH));
  return domainOf([own.low, own.high, ...near, ...(chart.fromZero ? [0] : [])]) ?? own;
}

function curve({ tone, points }: Series, x: (value: number) => number, y: (value: number) => number): Html {
  const path = points.map((point, i) => `${i === 0 ? 'M' : 'L'}${px(x(point.x))} ${px(y(point.y))}`).join('');
  const dots = points.length > MAX_DOTS ? [] : points;
  return html`<path class="curve ${tone}" d="${path}"/>${dots.map(
    (point) => html`<circle class="dot ${tone}" cx="${px(x(point.x))}" cy="${px(y(point.y))}" r="2.6"/>`,
  )}`;
}

/** Dashed lines; labels at the end that is further from the curves, kept a line's height apart from one another. */
function references(chart: LineChart, domain: Domain, frame: Frame, y: (value: number) => number): Html {
  let lowest = Number.NEGATIVE_INFINITY;
  const shown = (chart.references ?? [])
    .filter((reference) => Number.isFinite(reference.y))
    .toSorted((a, b) => b.y - a.y);
  return html`${shown.map((reference) => {
    const level = px(Math.min(frame.bottom, Math.max(frame.top, y(reference.y))));
    const off = reference.y > domain.high ? ' (above)' : reference.y < domain.low ? ' (below)' : '';
    const under = curvesAbove(reference, chart) && level + 14 < frame.bottom;
    const label = Math.max(under ? level + 14 : level - 6, lowest + 15);
    lowest = label;
    const left = roomAt(0, reference, chart) > roomAt(-1, reference, chart);
    const at = left ? frame.left + 6 : frame.right;
    return html`<path class="reference ${reference.tone}" d="M${frame.left} ${level}H${frame.right}"/><text class="note ${reference.tone}" x="${at}" y="${px(label)}" text-anchor="${left ? 'start' : 'end'}">${reference.label} ${chart.format(reference.y)}${off}</text>`;
  })}`;
}

/** The curves run above this level for the most part. */
function curvesAbove({ y }: Reference, chart: LineChart): boolean {
  const points = chart.series.flatMap((one) => one.points);
  return points.filter((point) => point.y > y).length > points.length / 2;
}

/** Distance of the level from the nearest curve at its first (0) or last (-1) point. */
function roomAt(end: 0 | -1, { y }: Reference, chart: LineChart): number {
  const distances = chart.series.flatMap(({ points }) => {
    const point = points.at(end);
    return point === undefined ? [] : [Math.abs(point.y - y)];
  });
  return Math.min(...distances);
}

/** One invisible column for each round; under the pointer it shows a line and the figures above the chart. */
function hovers(series: readonly Series[], frame: Frame, x: (value: number) => number, chart: LineChart): Html {
  const places = thin([...new Set(series.flatMap((one) => one.points.map((point) => point.x)))].sort((a, b) => a - b));
  const half =
    places.length > 1 ? (frame.right - frame.left) / (places.length - 1) / 2 : (frame.right - frame.left) / 2;
  const values = series.map((one) => new Map(one.points.map((point) => [point.x, point.y])));
  return html`${places.map((place) => {
    const middle = px(x(place));
    const said = series.flatMap((one, i) => {
      const value = values[i].get(place);
      return value === undefined ? [] : [`${one.label} ${chart.format(value)}`.trim()];
    });
    const text = `${chart.xName} ${place}: ${said.join(', ')}`;
    return html`<g class="hover"><title>${text}</title><rect class="hit" x="${px(middle - half)}" y="${frame.top}" width="${px(half * 2)}" height="${frame.bottom - frame.top}"/><path d="M${middle} ${frame.top}V${frame.bottom}"/><text x="${frame.left}" y="12">${text}</text></g>`;
  })}`;
}

/** At most MAX_HOVERS of them, evenly, always with the first and the last. */
function thin(places: readonly number[]): number[] {
  if (places.length <= MAX_HOVERS) return [...places];
  const step = (places.length - 1) / (MAX_HOVERS - 1);
  return Array.from({ length: MAX_HOVERS }, (_, i) => places[Math.round(i * step)]);
}
