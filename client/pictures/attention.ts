/**
 * Attention as a picture: for each head a square whose row is a character and whose column is one that it looks at; the
 * darker, the more weight. The text runs down the left side and along the top.
 */
import { blend, Canvas, type Colour, FAINT, INK, PAPER } from './canvas.js';
import { textWidth } from './font.js';

const FULL: Colour = [29, 78, 216];
const AHEAD: Colour = [243, 244, 246];
const CELL = 9;
const LETTERS = 12;
const MARGIN = 26;
const GAP = 34;

export interface AttentionHead {
  readonly name: string;
  /** [time · time], rows sum to 1. */
  readonly weights: Float32Array;
}

/** @param text as long as a head is wide */
export function attentionPicture(
  title: string,
  text: string,
  heads: readonly AttentionHead[],
  columns: number,
): Uint8Array {
  const time = text.length;
  const side = LETTERS + time * CELL;
  const rows = Math.ceil(heads.length / columns);
  const width = Math.max(columns * (side + GAP) - GAP, textWidth(title, 2)) + 2 * MARGIN;
  const canvas = new Canvas(width, 2 * MARGIN + 30 + rows * (side + 22 + GAP), PAPER);
  canvas.text(title, MARGIN, MARGIN + 8, { colour: INK, scale: 2 });
  for (const [i, head] of heads.entries()) {
    const left = MARGIN + (i % columns) * (side + GAP);
    const top = MARGIN + 40 + Math.floor(i / columns) * (side + 22 + GAP);
    canvas.text(head.name, left, top + 8, { colour: FAINT, scale: 2 });
    drawHead(canvas, left + LETTERS, top + 22 + LETTERS, text, head.weights);
  }
  return canvas.png();
}

function drawHead(canvas: Canvas, left: number, top: number, text: string, weights: Float32Array): void {
  const time = text.length;
  for (let row = 0; row < time; row++) {
    const middle = row * CELL + CELL / 2;
    canvas.text(text[row], left - LETTERS / 2, top + middle, { colour: INK, scale: 1, align: 'centre' });
    canvas.text(text[row], left + middle, top - LETTERS / 2, { colour: INK, scale: 1, align: 'centre' });
    for (let column = 0; column < time; column++) {
      const weight = weights[row * time + column];
      const colour = column > row ? AHEAD : shade(weight);
      canvas.rect(left + column * CELL, top + row * CELL, CELL - 1, CELL - 1, colour);
    }
  }
}

/** The square root lets a weight of a tenth be seen beside one of all. */
function shade(weight: number): Colour {
  return blend(PAPER, FULL, Math.sqrt(Math.min(1, Math.max(0, weight))));
}
