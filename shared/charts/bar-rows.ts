/** Bars that lie below one another, each with its name on the left and its figure at its end. */
import { type Html, html } from './markup.js';
import { text } from './picture.js';
import { px } from './scale.js';

/** From one bar to the next, in pixels. */
export const ROW_HEIGHT = 32;
const BAR = 22;

/** One bar. */
export interface BarRow {
  readonly name: string;
  /** Of the bar, in pixels. */
  readonly length: number;
  readonly figure: string;
  /** As in style.ts. */
  readonly tone: string;
}

/** The bars begin at `left`, the first one at `top`. */
export function barRows(rows: readonly BarRow[], { left, top }: { left: number; top: number }): Html {
  return html`${rows.map(({ name, length, figure, tone }, i) => {
    const y = top + i * ROW_HEIGHT;
    return html`${text(name, { x: left - 10, y: y + 16, anchor: 'end' })}<rect class="bar ${tone}" x="${left}" y="${y}" width="${px(Math.max(1, length))}" height="${BAR}"/>${text(figure, { x: left + length + 6, y: y + 16, look: tone })}`;
  })}`;
}
