/**
 * A bitmap font of our own for the labels in pictures: digits, small letters and a few signs, 5 pixels wide and 7 high,
 * with two rows more below the baseline. Capitals are drawn small; an unknown character is left blank.
 *
 * A glyph is nine characters, one for each row from the top; each is a base-32 digit whose five bits are the pixels, the
 * highest bit leftmost: 'e' = 01110.
 */
export const GLYPH_WIDTH = 5;
/** Above the baseline. */
export const GLYPH_HEIGHT = 7;
const ADVANCE = GLYPH_WIDTH + 1;

const GLYPHS: Readonly<Record<string, string>> = {
  '0': 'ehjlphe00',
  '1': '4c4444e00',
  '2': 'eh168gv00',
  '3': 'eh161he00',
  '4': '26aiv2200',
  '5': 'vgu11he00',
  '6': '68guhhe00',
  '7': 'v12488800',
  '8': 'ehhehhe00',
  '9': 'ehhf12c00',
  a: '00e1fhf00',
  b: 'gguhhhu00',
  c: '00egghe00',
  d: '11fhhhf00',
  e: '00ehvge00',
  f: '68s888800',
  g: '00fhhhf1e',
  h: 'gguhhhh00',
  i: '40c444e00',
  j: '2062222ic',
  k: 'ggikoki00',
  l: 'c44444e00',
  m: '00qllll00',
  n: '00uhhhh00',
  o: '00ehhhe00',
  p: '00uhhhugg',
  q: '00fhhhf11',
  r: '00mpggg00',
  s: '00fge1u00',
  t: '88s889600',
  u: '00hhhjd00',
  v: '00hhha400',
  w: '00hhlla00',
  x: '00ha4ah00',
  y: '00hhhhf1e',
  z: '00v248v00',
  '.': '000000400',
  ',': '000004480',
  ':': '004004000',
  ';': '004004480',
  "'": '440000000',
  '!': '444440400',
  '?': 'eh1240400',
  '-': '000e00000',
  '%': 'pq248bj00',
  '(': '248884200',
  ')': '842224800',
  '/': '11248gg00',
  '>': '084248000',
  '=': '00v0v0000',
  '+': '044v44000',
};

/** Width in pixels of `text` at `scale`. */
export function textWidth(text: string, scale: number): number {
  return Math.max(0, text.length * ADVANCE - 1) * scale;
}

/** Calls `set` for every pixel of `text`, whose top left corner is (x, y). */
export function drawText(text: string, x: number, y: number, scale: number, set: (x: number, y: number) => void): void {
  for (const [position, character] of Array.from(text.toLowerCase()).entries()) {
    const rows = GLYPHS[character] ?? '';
    for (let row = 0; row < rows.length; row++) {
      const bits = Number.parseInt(rows[row], 32);
      for (let column = 0; column < GLYPH_WIDTH; column++) {
        if ((bits & (1 << (GLYPH_WIDTH - 1 - column))) === 0) continue;
        for (let i = 0; i < scale * scale; i++) {
          const px = (position * ADVANCE + column) * scale + (i % scale);
          set(x + px, y + row * scale + Math.floor(i / scale));
        }
      }
    }
  }
}
