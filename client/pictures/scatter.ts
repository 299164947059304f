/** A scatter plot: points in the colours of their groups, and a few named marks among them, beside a legend. */
import { extent, group } from 'd3-array';
import { scaleLinear } from 'd3-scale';
import { type Html, html } from '../../shared/charts/markup.js';
import { picture, text, widthOf } from '../../shared/charts/picture.js';
import { px } from '../../shared/charts/scale.js';

const SIDE = 440;
/** Free at each border. */
const ROOM = 20;
const LINE = 22;

/** Ten colours that can be told apart, for as many groups; further ones begin again. */
const COLOURS = '#2563eb #dc2626 #16a34a #d97706 #9333ea #0891b2 #db2777 #65a30d #78716c #0f172a'.split(' ');

/** One dot. */
export interface ScatterPoint {
  readonly at: readonly [x: number, y: number];
  /** Position in the list of groups. */
  readonly group: number;
}

/** A named place. */
export interface ScatterMark {
  readonly at: readonly [x: number, y: number];
  readonly name: string;
}

/** What to draw; a point belongs to one of the groups. */
export interface Scatter {
  readonly points: readonly ScatterPoint[];
  readonly groups: readonly string[];
  readonly marks?: readonly ScatterMark[];
}

/** The plot's borders fit the points and the marks; with neither it is empty. Points that are not finite are left out. */
export function scatterPicture(title: string, { points, groups, marks = [] }: Scatter): Html {
  const shown = points.filter(isFinitePlace);
  const named = marks.filter(isFinitePlace);
  const place = placer([...shown, ...named].map(({ at }) => at));
  const dots = [...group(shown, (point) => point.group)].map(([i, own]) => {
    const path = own.map(({ at }) => `M${place(at).join(' ')}h0`).join(''); // no length and round ends: a dot
    return html`<path d="${path}" stroke="${colourOf(i)}" stroke-width="5" stroke-linecap="round"/>`;
  });
  const labels = named.map(({ at, name }) => {
    const [x, y] = place(at);
    const half = widthOf([name]) / 2 + 3;
    return html`<rect x="${x - half}" y="${y - 10}" width="${2 * half}" height="20" rx="4" fill="#161b22"/>${text(name, { x, y: y + 4.5, anchor: 'middle', look: 'light' })}`;
  });
  const legend = groups.map((name, i) => {
    const y = 12 + i * LINE;
    return html`<rect x="${SIDE + 16}" y="${y - 7}" width="14" height="14" rx="2" fill="${colourOf(i)}"/>${text(name, { x: SIDE + 38, y: y + 4.5 })}`;
  });
  const size = { width: SIDE + 38 + widthOf(groups), height: Math.max(SIDE, groups.length * LINE) };
  return picture(
    title,
    size,
    html`<rect width="${SIDE}" height="${SIDE}" rx="6" fill="#f9fafb"/>${dots}${labels}${legend}`,
  );
}

function colourOf(index: number): string {
  return COLOURS[index % COLOURS.length];
}

function isFinitePlace({ at: [x, y] }: { readonly at: readonly [number, number] }): boolean {
  return Number.isFinite(x + y);
}

/** From the points' own coordinates to pixels within the plot, y upwards; both axes in one scale. */
function placer(all: readonly (readonly [number, number])[]): (at: readonly [number, number]) => [number, number] {
  const bounds = ([0, 1] as const).map((axis) => {
    const [least = 0, most = 0] = extent(all, (at) => at[axis]);
    return { centre: (least + most) / 2, half: (most - least) / 2 };
  });
  const half = Math.max(...bounds.map((one) => one.half), 1e-9);
  const [x, y] = bounds.map(({ centre }, axis) => {
    const ends = [ROOM, SIDE - ROOM];
    return scaleLinear([centre - half, centre + half], axis === 0 ? ends : ends.toReversed());
  });
  return (at) => [px(x(at[0])), px(y(at[1]))];
}
