/** What surrounds the drawing of a chart: the room for its labels, the grid and the names of its axes. */
import { type Html, html } from './markup.js';
import { px } from './scale.js';

/** Edges of the drawing, in pixels of the view box. */
export interface Frame {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

type Place = (value: number) => number;

/** Room for the widest label of the y axis, at 6.4 pixels a character, and for the x axis below. */
export function frameOf(chart: { width: number; height: number }, labels: readonly string[]): Frame {
  const widest = Math.max(0, ...labels.map((label) => label.length));
  return { left: Math.round(14 + widest * 6.4), right: chart.width - 14, top: 22, bottom: chart.height - 36 };
}

/** Labels that an x axis has room for, at 40 pixels each. */
export function mostTicks({ left, right }: Frame): number {
  return Math.max(2, Math.floor((right - left) / 40));
}

/** Horizontal grid lines with their labels. */
export function gridY(ticks: readonly number[], frame: Frame, y: Place, format: (y: number) => string): Html {
  return html`${ticks.map(
    (tick) =>
      html`<path class="grid" d="M${frame.left} ${px(y(tick))}H${frame.right}"/><text class="tick" x="${frame.left - 7}" y="${px(y(tick) + 4)}" text-anchor="end">${format(tick)}</text>`,
  )}`;
}

/** Labels below the chart, and what they count. */
export function axisX(ticks: readonly number[], frame: Frame, x: Place, name: string, format = grouped): Html {
  return html`${ticks.map(
    (tick) =>
      html`<text class="tick" x="${px(x(tick))}" y="${frame.bottom + 16}" text-anchor="middle">${format(tick)}</text>`,
  )}<text class="axis" x="${(frame.left + frame.right) / 2}" y="${frame.bottom + 32}" text-anchor="middle">${name}</text>`;
}

/** 12345 -> "12,345" */
function grouped(value: number): string {
  return value.toLocaleString('en');
}
