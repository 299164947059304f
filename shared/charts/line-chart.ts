/**
 * Line charts as plain SVG: values in, markup out. Colours come from style.ts through class names, so a chart on a page
 * follows light and dark; hovering a round shows its figures without any script (and `<title>` says them to assistive
 * technology). Coordinates are pixels of the view box.
 */
import { ascending, min, ticks, union } from 'd3-array';
import { scaleLinear, scaleLog } from 'd3-scale';
import { line } from 'd3-shape';
import { axisX, type Frame, frameOf, gridY, mostTicks } from './frame.js';
import { type Html, html } from './markup.js';
import { type Domain, domainOf, niceDomain, px, wholeTicks } from './scale.js';

/** A measured value. */
export interface Point {
  readonly x: number;
  readonly y: number;
  /** Written below the dot. */
  readonly note?: string;
}

/** `tone` is a class of style.ts: fed, alone, central, drop, soft. */
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

/** What to draw; points that are not finite are left out. */
export interface LineChart {
  /** What the picture shows, in one sentence, for those who cannot see it. */
  readonly description: string;
  readonly width: number;
  readonly height: number;
  readonly series: readonly Series[];
  readonly references?: readonly Reference[];
  readonly format: (y: number) => string;
  readonly xName: string;
  /** Present: the x axis is logarithmic, with a tick at each measured place in this format; all x are above 0. */
  readonly logX?: (x: number) => string;
  /** Of the y axis; absent: it fits the curves and what is near them. */
  readonly range?: Domain;
  /** Drawn for a file, where nothing answers to a pointer. */
  readonly isStill?: boolean;
  /** The y axis begins at 0 and reaches all references, however far they are from the curves. */
  readonly fromZero?: boolean;
}

/** Most places of one chart that answer to the pointer; more rounds are thinned out evenly. */
const MAX_HOVERS = 120;
/** Up to here every value gets a dot. */
const MAX_DOTS = 30;
/** Of the y axis, about. */
const STEPS = 5;
/** Free at both ends of a logarithmic axis, so that no marker and no label is cut. */
const LOG_ROOM = 36;
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
  if (own === null) return html`<p class="none">Nothing was measured.</p>`;
  const domain = chart.range ?? niceDomain(reach(own, chart), STEPS);
  const yTicks = ticks(...domain, STEPS);
  const frame = frameOf(chart, yTicks.map(chart.format));
  const places = [...union(all.map((point) => point.x))].sort(ascending);
  const { x, xTicks } = acrossOf(places, frame, chart.logX);
  const y = scaleLinear(domain, [frame.bottom, frame.top]);
  return html`<svg class="chart" viewBox="0 0 ${chart.width} ${chart.height}" role="img" aria-label="${chart.description}">
${gridY(yTicks, frame, y, chart.format)}${axisX(xTicks, frame, x, chart.xName, chart.logX)}
${references(chart, domain, frame, y)}
${series.map((one) => curve(one, x, y))}
${!chart.isStill && hovers(series, thin(places), { frame, x, chart })}</svg>`;
}

type Place = (value: number) => number;

function acrossOf(places: readonly number[], frame: Frame, logX: LineChart['logX']) {
  const { left, right } = frame;
  const xs = [places[0], places[places.length - 1]] as const;
  const x: Place =
    logX === undefined ? scaleLinear(xs, [left, right]) : scaleLog(xs, [left + LOG_ROOM, right - LOG_ROOM]);
  return { x, xTicks: logX === undefined ? wholeTicks(xs, mostTicks(frame)) : places };
}

function reach([low, high]: Domain, chart: LineChart): Domain {
  const span = high - low || Math.abs(high) || 1;
  const near = (chart.references ?? [])
    .map((reference) => reference.y)
    .filter((y) => chart.fromZero || (y >= low - span * REFERENCE_REACH && y <= high + span * REFERENCE_REACH));
  return domainOf([low, high, ...near, chart.fromZero ? 0 : low]) ?? [low, high];
}

function curve({ tone, points }: Series, x: Place, y: Place): Html {
  const path = line<Point>(
    (point) => x(point.x),
    (point) => y(point.y),
  ).digits(2);
  const dots = points.length > MAX_DOTS ? [] : points;
  return html`<path class="curve ${tone}" d="${path(points)}"/>${dots.map(
    (point) =>
      html`<circle class="dot ${tone}" cx="${px(x(point.x))}" cy="${px(y(point.y))}" r="2.6"/>${note(point, tone, x, y)}`,
  )}`;
}

function note({ note: words, ...at }: Point, tone: string, x: Place, y: Place): Html | null {
  if (words === undefined) return null;
  return html`<text class="note ${tone}" x="${px(x(at.x))}" y="${px(y(at.y) + 18)}" text-anchor="middle">${words}</text>`;
}

/** Dashed lines; labels at the end that is further from the curves, kept a line's height apart from one another. */
function references(chart: LineChart, [low, high]: Domain, frame: Frame, y: Place): Html {
  let lowest = Number.NEGATIVE_INFINITY;
  const shown = (chart.references ?? [])
    .filter((reference) => Number.isFinite(reference.y))
    .toSorted((a, b) => b.y - a.y);
  return html`${shown.map((reference) => {
    const level = px(Math.min(frame.bottom, Math.max(frame.top, y(reference.y))));
    const off = reference.y > high ? ' (above)' : reference.y < low ? ' (below)' : '';
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
  return min(distances) ?? Infinity;
}

/** One invisible column for each round; under the pointer it shows a line and the figures above the chart. */
function hovers(
  series: readonly Series[],
  places: readonly number[],
  { frame, x, chart }: { frame: Frame; x: Place; chart: LineChart },
): Html {
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
