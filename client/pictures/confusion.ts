/**
 * The confusion matrix as a picture: rows are the truth, columns what the model said. A row's colours are its shares, so
 * that rare classes read like frequent ones; right answers are blue, wrong ones red, and the numbers are examples.
 */
import { blend, Canvas, type Colour, FAINT, INK, PAPER } from './canvas.js';
import { textWidth } from './font.js';

const CELL = 44;
const GAP = 2;
const MARGIN = 26;
const EMPTY: Colour = [243, 244, 246];
const RIGHT: Colour = [29, 78, 216];
const WRONG: Colour = [220, 38, 38];

/** @param counts [classes · classes], truth-major */
export function confusionPicture(counts: readonly number[], classNames: readonly string[], title: string): Uint8Array {
  const classes = classNames.length;
  const labelWidth = Math.max(...classNames.map((name) => textWidth(name, 2)));
  const turned = labelWidth > CELL; // long column names are written one below the other, alternating in height
  const left = MARGIN + 18 + Math.max(labelWidth, textWidth('true', 2));
  const top = MARGIN + (turned ? 104 : 84);
  const recall = left + classes * (CELL + GAP) + 12;
  const canvas = new Canvas(recall + 64 + MARGIN, top + classes * (CELL + GAP) + MARGIN, PAPER);
  canvas.text(title, MARGIN, MARGIN + 8, { colour: INK, scale: 2 });
  const middle = left + (classes * (CELL + GAP)) / 2;
  canvas.text('predicted', middle, MARGIN + 40, { colour: FAINT, scale: 2, align: 'centre' });
  canvas.text('true', MARGIN, top - 16, { colour: FAINT, scale: 2 });
  canvas.text('right', recall + 64, top - 16, { colour: FAINT, scale: 2, align: 'right' });
  for (let truth = 0; truth < classes; truth++) {
    const row = counts.slice(truth * classes, (truth + 1) * classes);
    const total = row.reduce((sum, count) => sum + count, 0);
    const y = top + truth * (CELL + GAP);
    canvas.text(classNames[truth], left - 14, y + CELL / 2, { colour: INK, scale: 2, align: 'right' });
    const x = left + truth * (CELL + GAP) + CELL / 2;
    const lift = turned && truth % 2 === 0 ? 20 : 0;
    canvas.text(classNames[truth], x, top - 16 - lift, { colour: INK, scale: turned ? 1 : 2, align: 'centre' });
    for (const [said, count] of row.entries())
      drawCell(canvas, left + said * (CELL + GAP), y, count, total, said === truth);
    const share = total === 0 ? '-' : `${Math.round((100 * row[truth]) / total)}%`;
    canvas.text(share, recall + 64, y + CELL / 2, { colour: INK, scale: 2, align: 'right' });
  }
  return canvas.png();
}

function drawCell(canvas: Canvas, x: number, y: number, count: number, total: number, right: boolean): void {
  const share = total === 0 ? 0 : count / total;
  // The square root lets an error of one in a hundred be seen beside a diagonal of 99.
  const strength = right ? share : Math.min(1, Math.sqrt(share) * 1.3);
  canvas.rect(x, y, CELL, CELL, blend(EMPTY, right ? RIGHT : WRONG, strength));
  if (count === 0) return;
  const text = String(count);
  const scale = textWidth(text, 2) > CELL - 4 ? 1 : 2;
  const colour = strength > 0.45 ? PAPER : INK;
  canvas.text(text, x + CELL / 2, y + CELL / 2, { colour, scale, align: 'centre' });
}
