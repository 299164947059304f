/** A few curves over whole steps as a picture: shares from 0 to 100 per cent, each curve with its name at its end. */
import { Canvas, type Colour } from './canvas.js';
import { textWidth } from './font.js';

const INK: Colour = [31, 41, 55];
const FAINT: Colour = [107, 114, 128];
const GRID: Colour = [229, 231, 235];
const PAPER: Colour = [255, 255, 255];
const COLOURS: readonly Colour[] = [
  [29, 78, 216],
  [220, 38, 38],
  [5, 150, 105],
  [180, 83, 9],
];
const MARGIN = 26;
const HEIGHT = 300;
const STEP = 90;
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
  for (const [i, curve] of curves.entries()) drawCurve(canvas, curve, COLOURS[i % COLOURS.length]);
  return canvas.png();
}

function drawCurve(canvas: Canvas, { name, shares }: Curve, colour: Colour): void {
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
  const last = shares[shares.length - 1] ?? 0;
  const x = LEFT + (shares.length - 1) * STEP + 14;
  canvas.text(`${name} ${Math.round(100 * last)}%`, x, heightOf(last), { colour, scale: 2 });
}

function heightOf(share: number): number {
  return Math.round(TOP + HEIGHT * (1 - share));
}
