/**
 * Attention as a picture: for each head a square whose row is a character and whose column is one that it looks at; the
 * darker, the more weight. The text runs down the left side and along the top.
 */
import { scaleSqrt } from 'd3-scale';
import { type Html, html } from '../../shared/charts/markup.js';
import { picture, text, widthOf } from '../../shared/charts/picture.js';
import { coloured, image } from './pixels.js';

const AHEAD = [243, 244, 246];
const CELL = 10;
const LETTERS = 16;
const HEADING = 24;
const GAP = 24;
/** The square root lets a weight of a tenth be seen beside one of all. */
const shade = scaleSqrt(
  [0, 1],
  [
    [255, 255, 255],
    [29, 78, 216],
  ],
).clamp(true);

/** What one head of a layer looks at. */
export interface AttentionHead {
  readonly name: string;
  /** [time · time], rows sum to 1. */
  readonly weights: Float32Array;
}

/** @param shown as many characters as a head is wide */
export function attentionPicture(title: string, shown: string, heads: readonly AttentionHead[], columns: number): Html {
  const time = shown.length;
  const side = LETTERS + time * CELL;
  const cell = Math.max(side, widthOf(heads.map(({ name }) => name))) + GAP;
  const size = {
    width: columns * cell - GAP,
    height: Math.ceil(heads.length / columns) * (HEADING + side + GAP) - GAP,
  };
  const drawn = heads.map(({ name, weights }, i) => {
    const x = (i % columns) * cell;
    const y = Math.floor(i / columns) * (HEADING + side + GAP);
    const pixels = coloured(time * time, time, (at) =>
      at % time > Math.floor(at / time) ? AHEAD : shade(weights[at]),
    );
    const place = { x: x + LETTERS, y: y + HEADING + LETTERS, width: time * CELL };
    return html`${text(name, { x, y: y + 12, look: 'soft' })}${letters(shown, place)}${image(pixels, place)}`;
  });
  return picture(title, size, html`${drawn}`);
}

/** In the charts' own small type, which fits a cell. */
function letters(shown: string, { x, y }: { x: number; y: number }): Html {
  return html`<g text-anchor="middle">${Array.from(shown, (letter, i) => {
    const middle = (i + 0.5) * CELL;
    return html`<text x="${x - 8}" y="${y + middle + 4}">${letter}</text><text x="${x + middle}" y="${y - 5}">${letter}</text>`;
  })}</g>`;
}
