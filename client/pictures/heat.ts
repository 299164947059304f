/** Cells whose colour is a share and whose words say it, under the names of their columns. */
import { scaleLinear } from 'd3-scale';
import { type Html, html } from '../../shared/charts/markup.js';
import { text, widthOf } from '../../shared/charts/picture.js';

const CELL = 38;
/** From one cell to the next. */
export const STEP = CELL + 2;
const EMPTY = '#f3f4f6';
const COLOURS = {
  right: scaleLinear([0, 1], [EMPTY, '#1d4ed8']).clamp(true),
  wrong: scaleLinear([0, 1], [EMPTY, '#dc2626']).clamp(true),
};
/** From here on light words are read better. */
const DARK = 0.45;

/** One cell; (x, y) is its left upper corner. */
export interface HeatCell {
  readonly x: number;
  readonly y: number;
  /** 0: empty, 1: in full colour. */
  readonly strength: number;
  readonly tone: keyof typeof COLOURS;
  readonly words: string;
}

/** A square of the colour of its strength, its words in the middle. */
export function heatCell({ x, y, strength, tone, words }: HeatCell): Html {
  const look = strength > DARK ? 'light' : '';
  return html`<rect x="${x}" y="${y}" width="${CELL}" height="${CELL}" fill="${COLOURS[tone](strength)}"/>${words !== '' && text(words, { x: x + CELL / 2, y: y + CELL / 2 + 4, anchor: 'middle', look })}`;
}

/** Above the columns that begin at `x`; where names are longer than a cell, every other one a line higher. */
export function heatNames(names: readonly string[], { x, y }: { x: number; y: number }): Html {
  const isLong = widthOf(names) > STEP;
  return html`${names.map((name, i) => {
    const lift = isLong && i % 2 === 0 ? 17 : 0;
    return text(name, { x: x + i * STEP + CELL / 2, y: y - lift, anchor: 'middle' });
  })}`;
}
