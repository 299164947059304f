/**
 * A plot of a few measured points, as an SVG of its own: lines with markers and values, and dashed rules to compare with.
 * The horizontal axis may be logarithmic; the vertical one is linear.
 */
import { round, text } from './svg.js';

export interface PlotAxis {
  readonly label: string;
  readonly scale?: 'linear' | 'log';
  /** Both ends; absent: the smallest and the largest value shown. */
  readonly range?: readonly [number, number];
  readonly format?: (value: number) => string;
}

export interface PlotSeries {
  readonly label: string;
  readonly points: readonly { readonly x: number; readonly y: number; readonly note?: string }[];
}

export interface LinePlot {
  readonly title: string;
  readonly x: PlotAxis;
  readonly y: PlotAxis;
  readonly series: readonly PlotSeries[];
  /** Dashed lines across the plot. */
  readonly rules?: readonly { readonly y: number; readonly label: string }[];
}

const WIDTH = 720;
const HEIGHT = 420;
const AREA = { left: 72, right: WIDTH - 24, top: 64, bottom: HEIGHT - 60 };
const COLOURS = ['#1d4ed8', '#dc2626', '#047857', '#b45309'];
const TICKS = 5;
/** Part of an axis that is left free at both ends. */
const MARGIN = 0.06;

/** UTF-8 of the SVG. @throws RangeError without a point, or with one that is not finite or not above 0 on a log axis */
export function linePlot({ title, x, y, series, rules = [] }: LinePlot): Uint8Array {
  const points = series.flatMap((one) => one.points);
  const across = scaleOf(
    x,
    points.map((point) => point.x),
    [AREA.left, AREA.right],
  );
  const up = scaleOf(y, [...points.map((point) => point.y), ...rules.map((rule) => rule.y)], [AREA.bottom, AREA.top]);
  const parts = [
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#fff"/>`,
    text(title, { x: 24, y: 30, size: 16, weight: 600 }),
    ...across.ticks.map(({ at, label }) => text(label, { x: at, y: AREA.bottom + 20, anchor: 'middle' })),
    ...up.ticks.flatMap(({ at, label }) => [
      `<path d="M${AREA.left} ${round(at)}H${AREA.right}" stroke="#e5e7eb"/>`,
      text(label, { x: AREA.left - 8, y: at + 4, anchor: 'end' }),
    ]),
    text(x.label, { x: (AREA.left + AREA.right) / 2, y: HEIGHT - 16, anchor: 'middle', colour: '#6b7280' }),
    text(y.label, { x: 24, y: AREA.top - 12, colour: '#6b7280' }),
    ...rules.flatMap(({ y: height, label }) => [
      `<path d="M${AREA.left} ${round(up.at(height))}H${AREA.right}" stroke="#6b7280" stroke-dasharray="6 5"/>`,
      text(label, { x: AREA.right, y: up.at(height) - 6, anchor: 'end', colour: '#6b7280' }),
    ]),
    ...series.flatMap((one, i) => lineOf(one, COLOURS[i % COLOURS.length], across, up)),
    ...(series.length > 1 ? legendOf(series) : []),
  ];
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="system-ui,sans-serif">${parts.join('')}</svg>`;
  return new TextEncoder().encode(svg);
}

interface Scale {
  readonly at: (value: number) => number;
  readonly ticks: readonly { readonly at: number; readonly label: string }[];
}

function scaleOf(axis: PlotAxis, values: readonly number[], [from, to]: readonly [number, number]): Scale {
  const isLog = axis.scale === 'log';
  const transform = isLog ? Math.log10 : (value: number) => value;
  const wrong = values.find((value) => !Number.isFinite(transform(value)));
  if (values.length === 0 || wrong !== undefined) {
    throw new RangeError(`${axis.label}: expected finite values${isLog ? ' above 0' : ''}, got ${wrong ?? 'none'}`);
  }
  const [least, most] = axis.range ?? [Math.min(...values), Math.max(...values)];
  const [low, high] = [transform(least), transform(most)];
  const span = high - low || 1;
  const margin = axis.range === undefined ? MARGIN : 0; // so that no marker lies on the frame
  const inner = (share: number) => margin + share * (1 - 2 * margin);
  const at = (value: number) => from + inner((transform(value) - low) / span) * (to - from);
  const { format = (value: number) => String(Number(value.toPrecision(3))) } = axis;
  const even = Array.from({ length: TICKS }, (_, i) => low + (i * span) / (TICKS - 1));
  const marks = isLog ? [...new Set(values)].sort((a, b) => a - b) : even; // on a log axis the measured places
  return { at, ticks: marks.map((value) => ({ at: at(value), label: format(value) })) };
}

function lineOf({ points }: PlotSeries, colour: string, across: Scale, up: Scale): string[] {
  const places = points.map(({ x, y }) => `${round(across.at(x))} ${round(up.at(y))}`);
  return [
    `<path d="M${places.join('L')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
    ...points.flatMap(({ x, y, note }) => [
      `<circle cx="${round(across.at(x))}" cy="${round(up.at(y))}" r="4.5" fill="${colour}"/>`,
      ...(note === undefined ? [] : [text(note, { x: across.at(x), y: up.at(y) + 20, anchor: 'middle', colour })]),
    ]),
  ];
}

function legendOf(series: readonly PlotSeries[]): string[] {
  return series.map(({ label }, i) =>
    text(label, { x: AREA.right, y: AREA.bottom - 12 - 18 * i, anchor: 'end', colour: COLOURS[i % COLOURS.length] }),
  );
}
