/**
 * What distillation leaves for a person to look at: what the federation thinks of public images that nobody has labelled,
 * and how much has to be sent for it, beside sending the weights.
 */

import { max } from 'd3-array';
import { barRows, ROW_HEIGHT } from '../../../shared/charts/bar-rows.js';
import { html } from '../../../shared/charts/markup.js';
import { picture, widthOf } from '../../../shared/charts/picture.js';
import { type ImageSet, pixelsOf } from '../../data/images.js';
import { svgArtefact } from '../../pictures/artefact.js';
import { heatCell, heatNames, STEP } from '../../pictures/heat.js';
import { grey, image } from '../../pictures/pixels.js';
import type { Artefact } from '../../workload.js';

const ROWS = 20;
const BAR = 260;

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
  const [left, top] = [STEP + 8, 42];
  const rows = chosen.map(({ i }, row) => {
    const y = top + row * STEP;
    const cells = classNames.map((_, label) => {
      const strength = probabilities[i * classes + label];
      const percent = Math.round(100 * strength);
      const words = percent > 0 ? String(percent) : '';
      return heatCell({ x: left + label * STEP, y, strength, tone: 'right', words });
    });
    return html`${image(grey(pixelsOf(open, i), open.width), { x: 0, y, width: STEP - 2 })}${cells}`;
  });
  const size = { width: left + classes * STEP, height: top + chosen.length * STEP };
  const content = html`${heatNames(classNames, { x: left, y: top - 8 })}${rows}`;
  const title = 'public images and what the mean logits say (per cent)';
  return svgArtefact('opinions', 'Mean logits', picture(title, size, content));
}

/** Bars of what one client uploads in one round, on a common scale. @param entries name and bytes */
export function bytesArtefact(entries: readonly (readonly [name: string, sizeBytes: number])[]): Artefact {
  const left = widthOf(entries.map(([name]) => name)) + 10;
  const most = max(entries, ([, sizeBytes]) => sizeBytes) ?? 1;
  const rows = entries.map(([name, sizeBytes], i) => ({
    name,
    length: (BAR * sizeBytes) / most,
    figure: `${Math.round(sizeBytes / 1000)} kB`,
    tone: i === 0 ? 'fed' : 'soft',
  }));
  const size = { width: left + BAR + 80, height: entries.length * ROW_HEIGHT };
  const drawn = picture('uploaded by a client in a round', size, barRows(rows, { left, top: 0 }));
  return svgArtefact('bytes', 'Bytes against FedAvg', drawn);
}
