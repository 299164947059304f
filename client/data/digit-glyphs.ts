/** Digits as a grid of pixels, for images that are drawn on the spot. */

/** Columns of a digit. */
export const GLYPH_WIDTH = 5;
/** Rows of a digit. */
export const GLYPH_HEIGHT = 7;

/** For each digit its rows from the top, each a base-32 digit whose five bits are the pixels, the highest bit leftmost: 'e' = 01110. */
const ROWS = [
  'ehjlphe',
  '4c4444e',
  'eh168gv',
  'eh161he',
  '26aiv22',
  'vgu11he',
  '68guhhe',
  'v124888',
  'ehhehhe',
  'ehhf12c',
];

/** Calls `set` for every pixel of ink of a digit, 0..9, whose left upper corner is (x, y). */
export function drawDigit(digit: number, x: number, y: number, set: (x: number, y: number) => void): void {
  for (const [row, code] of [...ROWS[digit]].entries()) {
    const bits = Number.parseInt(code, 32);
    for (let column = 0; column < GLYPH_WIDTH; column++) {
      if (bits & (1 << (GLYPH_WIDTH - 1 - column))) set(x + column, y + row);
    }
  }
}
