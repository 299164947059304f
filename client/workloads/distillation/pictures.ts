/**
 * What distillation leaves for a person to look at: what the federation thinks of public images that nobody has labelled,
 * and how much has to be sent for it, beside sending the weights.
 */
import { blend, Canvas, type Colour, FAINT, INK, PAPER } from '../../artefacts/canvas.js';
import { textWidth } from '../../artefacts/font.js';
import { type ImageSet, pixelsOf } from '../../data/images.js';
import type { Artefact } from '../../workload.js';

const EMPTY: Colour = [243, 244, 246];
const SURE: Colour = [29, 78, 216];
const OTHER: Colour = [156, 163, 175];
const MARGIN = 26;
const ROWS = 20;
const CELL = 48;
const GAP = 2;
const BAR = 420;

/**
 * Public images, those that the federation takes for the same class together, each with the probabilities that the mean
 * logits say.
 * @param probabilities [count · classes]
 */
export function opinionsArtefact(open: ImageSet, probabilities: Float32Array, classNames: readonly string[]): Artefact {
  const classes = classNames.length;
  const answers = Array.from({ length: open.count }, (_, i) => {
    const row = probabilities.subarray(i * classes, (i + 1) * classes);
    return row.reduce((best, value, label) => (value > row[best] ? label : best), 0);
  });
  // The first public images of each class in turn, so that every class that is seen shows.
  const turn = new Map<number, number>();
  const order = answers.map((label, i) => {
    const nth = turn.get(label) ?? 0;
    turn.set(label, nth + 1);
    return { i, label, nth };
  });
  const chosen = order.sort((a, b) => a.nth - b.nth || a.label - b.label || a.i - b.i).slice(0, ROWS);
  chosen.sort((a, b) => a.label - b.label || a.i - b.i);
  const left = MARGIN + CELL + 14;
  const top = MARGIN + 84;
  const title = 'public images and what the mean logits say (per cent)';
  const width = Math.max(left + classes * (CELL + GAP), MARGIN + textWidth(title, 2)) + MARGIN;
  const canvas = new Canvas(width, top + chosen.length * (CELL + GAP) + MARGIN, PAPER);
  canvas.text(title, MARGIN, MARGIN + 8, { colour: INK, scale: 2 });
  for (const [label, name] of classNames.entries()) {
    const lift = label % 2 === 0 ? 20 : 0; // long names would meet
    canvas.text(name, left + label * (CELL + GAP) + CELL / 2, top - 16 - lift, {
      colour: INK,
      scale: 1,
      align: 'centre',
    });
  }
  for (const [row, { i }] of chosen.entries()) {
    const y = top + row * (CELL + GAP);
    drawThumbnail(canvas, open, i, MARGIN, y);
    for (let label = 0; label < classes; label++) {
      drawCell(canvas, left + label * (CELL + GAP), y, probabilities[i * classes + label]);
    }
  }
  return { path: 'opinions.png', mime: 'image/png', title: 'Mean logits', bytes: canvas.png() };
}

/** Bars of what one client uploads in one round, on a common scale. @param entries name and bytes */
export function bytesArtefact(entries: readonly (readonly [name: string, sizeBytes: number])[]): Artefact {
  const title = 'uploaded by a client in a round';
  const left = MARGIN + Math.max(...entries.map(([name]) => textWidth(name, 2))) + 16;
  const most = Math.max(...entries.map(([, sizeBytes]) => sizeBytes));
  const width = Math.max(left + BAR + 130, MARGIN + textWidth(title, 2)) + MARGIN;
  const canvas = new Canvas(width, 2 * MARGIN + 40 + entries.length * 40, PAPER);
  canvas.text(title, MARGIN, MARGIN + 8, { colour: INK, scale: 2 });
  for (const [i, [name, sizeBytes]] of entries.entries()) {
    const y = MARGIN + 44 + i * 40;
    const length = Math.max(2, Math.round((BAR * sizeBytes) / most));
    canvas.text(name, left - 16, y + 13, { colour: INK, scale: 2, align: 'right' });
    canvas.rect(left, y, length, 26, i === 0 ? SURE : OTHER);
    canvas.text(`${Math.round(sizeBytes / 1000)} kb`, left + length + 10, y + 13, { colour: FAINT, scale: 2 });
  }
  return { path: 'bytes.png', mime: 'image/png', title: 'Bytes against FedAvg', bytes: canvas.png() };
}

function drawThumbnail(canvas: Canvas, set: ImageSet, example: number, left: number, top: number): void {
  const { height, width } = set;
  canvas.grey(pixelsOf(set, example), width, left, top, Math.max(1, Math.floor(CELL / Math.max(height, width))));
}

function drawCell(canvas: Canvas, x: number, y: number, probability: number): void {
  canvas.rect(x, y, CELL, CELL, blend(EMPTY, SURE, probability));
  const percent = Math.round(100 * probability);
  const style = { colour: probability > 0.45 ? PAPER : INK, scale: 2, align: 'centre' } as const;
  if (percent > 0) canvas.text(String(percent), x + CELL / 2, y + CELL / 2, style);
}
