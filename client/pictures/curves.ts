/** A few curves over whole steps as a picture: shares from 0 to 100 per cent, each curve with its name at its end. */
import { Canvas, type Colour, FAINT, INK, PAPER } from './canvas.js';
import { textWidth } from './font.js';

const GRID: Colour = [229, 231, 235];
const COLOURS: readonly Colour[] = [
  [29, 78, 216],
  [220, 38, 38],
  [5, 150, 105],
  [180, 83, 9],
];
const MARGIN = 26;
const HEIGHT = 300;
const STEP = 90;
const LINE = 22;
const LEFT = MARGIN + 58;
const TOP = MARGIN + 48;

export interface Curve {
  readonly name: string;
  /** At step 0, 1, 2 ...; each 0..1. */
  readonly shares: readonly number[];
}

/** @param xName what a step is */
export function curvesPicture(title: string, xName: string, curves: readonly Curve[]): Uint8Array {
  const steps = Math.max(1, ...curves.map(({ shares }) => shares.length - 1));
  const names = Math.max(0, ...curves.map(({ name }) => textWidth(`${name} 100%`, 2)));
  const right = LEFT + steps * STEP;
  const width = Math.max(right + 24 + names, MARGIN + textWidth(title, 2)) + MARGIN;
  const canvas = new Canvas(width, TOP + HEIGHT + 70 + MARGIN, PAPER);
  canvas.text(title, MARGIN, MARGIN + 8, { colour: INK, scale: 2 });
  for (let percent = 0; percent <= 100; percent += 20) {
    const y = heightOf(percent / 100);
    canvas.rect(LEFT, y, steps * STEP, 1, GRID);
    canvas.text(`${percent}%`, LEFT - 10, y, { colour: FAINT, scale: 2, align: 'right' });
  }
  for (let step = 0; step <= steps; step++) {
    canvas.text(String(step), LEFT + step * STEP, TOP + HEIGHT + 20, { colour: FAINT, scale: 2, align: 'centre' });
  }
  canvas.text(xName, (LEFT + right) / 2, TOP + HEIGHT + 48, { colour: FAINT, scale: 2, align: 'centre' });
  for (const [i, { shares }] of curves.entries()) drawCurve(canvas, shares, COLOURS[i % COLOURS.length]);
  drawNames(canvas, curves);
  return canvas.png();
}

/** Each name at the height of its curve's end, or as far below the one above it as a line needs. */
function drawNames(canvas: Canvas, curves: readonly Curve[]): void {
  const ends = curves.map(({ name, shares }, i) => {
    const last = shares[shares.length - 1] ?? 0;
    const x = LEFT + Math.max(0, shares.length - 1) * STEP + 14;
    return { text: `${name} ${Math.round(100 * last)}%`, x, y: heightOf(last), colour: COLOURS[i % COLOURS.length] };
  });
  let free = Number.NEGATIVE_INFINITY;
  for (const { text, x, y, colour } of ends.sort((a, b) => a.y - b.y)) {
    const at = Math.max(y, free);
    canvas.text(text, x, at, { colour, scale: 2 });
    free = at + LINE;
  }
}

function drawCurve(canvas: Canvas, shares: readonly number[], colour: Colour): void {
  for (let step = 0; step < shares.length; step++) {
    const [x, y] = [LEFT + step * STEP, heightOf(shares[step])];
    canvas.rect(x - 4, y - 4, 9, 9, colour);
    if (step === 0) continue;
    const before = heightOf(shares[step - 1]);
    for (let along = 0; along < STEP; along++) {
      const between = Math.round(before + ((y - before) * along) / STEP);
      canvas.rect(x - STEP + along, between - 1, 2, 3, colour);
    }
  }
}

function heightOf(share: number): number {
  return Math.round(TOP + HEIGHT * (1 - share));
}
