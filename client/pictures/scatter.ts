/**
 * A scatter plot: points in the colours of their groups, and a few named marks among them, over a legend.
 */
import { Canvas, type Colour, INK, PAPER } from './canvas.js';
import { textWidth } from './font.js';

const GROUND: Colour = [249, 250, 251];
const SIDE = 640;
const MARGIN = 26;
const LINE = 24;
const DOT = 4;

/** Ten colours that can be told apart, for as many groups; further ones begin again. */
const GROUP_COLOURS: readonly Colour[] = [
  [37, 99, 235],
  [220, 38, 38],
  [22, 163, 74],
  [217, 119, 6],
  [147, 51, 234],
  [8, 145, 178],
  [219, 39, 119],
  [101, 163, 13],
  [120, 113, 108],
  [15, 23, 42],
];

export interface ScatterPoint {
  readonly at: readonly [x: number, y: number];
  /** Position in the list of groups. */
  readonly group: number;
}

export interface ScatterMark {
  readonly at: readonly [x: number, y: number];
  readonly name: string;
}

/** The plot's borders fit the points and the marks; with neither it is empty. Points that are not finite are left out. */
export function scatterPicture(
  title: string,
  {
    points,
    groups,
    marks = [],
  }: { points: readonly ScatterPoint[]; groups: readonly string[]; marks?: readonly ScatterMark[] },
): Uint8Array {
  const legendWidth = Math.max(0, ...groups.map((name) => textWidth(name, 2))) + 24;
  const width = Math.max(SIDE + legendWidth + 20, textWidth(title, 2)) + 2 * MARGIN;
  const canvas = new Canvas(width, SIDE + 2 * MARGIN + 34, PAPER);
  const top = MARGIN + 34;
  canvas.text(title, MARGIN, MARGIN + 8, { colour: INK, scale: 2 });
  canvas.rect(MARGIN, top, SIDE, SIDE, GROUND);
  const place = placer([...points, ...marks].map(({ at }) => at));
  for (const { at, group } of points) {
    const [x, y] = place(at);
    if (Number.isFinite(x + y))
      canvas.rect(MARGIN + x - 1, top + y - 1, DOT, DOT, GROUP_COLOURS[group % GROUP_COLOURS.length]);
  }
  for (const { at, name } of marks) {
    const [x, y] = place(at);
    if (!Number.isFinite(x + y)) continue;
    const half = textWidth(name, 2) / 2 + 4;
    canvas.rect(Math.round(MARGIN + x - half), top + y - 11, Math.round(2 * half), 22, INK);
    canvas.text(name, MARGIN + x, top + y, { colour: PAPER, scale: 2, align: 'centre' });
  }
  for (const [i, name] of groups.entries()) {
    const y = top + 12 + i * LINE;
    canvas.rect(MARGIN + SIDE + 20, y - 7, 14, 14, GROUP_COLOURS[i % GROUP_COLOURS.length]);
    canvas.text(name, MARGIN + SIDE + 44, y, { colour: INK, scale: 2 });
  }
  return canvas.png();
}

/** From the points' own coordinates to pixels within the plot, y upwards; both axes in one scale. */
function placer(all: readonly (readonly [number, number])[]): (at: readonly [number, number]) => [number, number] {
  const finite = all.filter(([x, y]) => Number.isFinite(x + y));
  const bounds = [0, 1].map((axis) => {
    const values = finite.map((at) => at[axis]);
    return [values.reduce((a, b) => Math.min(a, b), Infinity), values.reduce((a, b) => Math.max(a, b), -Infinity)];
  });
  const span = Math.max(...bounds.map(([least, most]) => most - least), 1e-9);
  const scale = (SIDE - 40) / span;
  const centre = bounds.map(([least, most]) => (least + most) / 2);
  return ([x, y]) => [Math.round(SIDE / 2 + (x - centre[0]) * scale), Math.round(SIDE / 2 - (y - centre[1]) * scale)];
}
