/**
 * What a learned representation leaves for a person to look at: the test images as points of its two main directions,
 * coloured by class, with each client where its own images lie; and for some images the nearest of the labelled bank.
 */

import { type ImageSet, pixelsOf } from '../../data/images.js';
import { svgArtefact } from '../../pictures/artefact.js';
import { type GalleryImage, galleryPicture } from '../../pictures/gallery.js';
import { principalPlane, project } from '../../pictures/principal.js';
import { type ScatterMark, scatterPicture } from '../../pictures/scatter.js';
import type { Artefact } from '../../workload.js';

const QUERIES = 10;
const NEAREST = 5;

/** Rows of unit length: [count · width]. */
export interface Embedded {
  readonly set: ImageSet;
  readonly rows: Float32Array;
  readonly width: number;
}

/** @param centres by client, the mean embedding of its test images; none under secure aggregation */
export function mapArtefact(
  { set, rows, width }: Embedded,
  classNames: readonly string[],
  centres: Readonly<Record<string, readonly number[]>>,
): Artefact {
  const plane = principalPlane(rows, width);
  const points = Array.from({ length: set.count }, (_, i) => ({
    at: project(plane, rows.subarray(i * width, (i + 1) * width)),
    group: set.labels[i],
  }));
  const marks: ScatterMark[] = Object.entries(centres).map(([name, mean]) => ({ at: project(plane, mean), name }));
  const who = marks.length > 0 ? ' and where each client lies' : '';
  const title = `test images along the two main directions, by class${who}`;
  return svgArtefact('embedding', 'Embedding map', scatterPicture(title, { points, groups: classNames, marks }));
}

/** One row for each class: a test image, then the nearest of the bank; those of another class are marked. */
export function neighboursArtefact(test: Embedded, bank: Embedded, classNames: readonly string[]): Artefact {
  const images: GalleryImage[] = [];
  for (let label = 0; label < QUERIES; label++) {
    const query = test.set.labels.indexOf(label);
    if (query < 0) continue;
    images.push({ pixels: pixelsOf(test.set, query), caption: classNames[label] });
    for (const near of nearestOf(test, query, bank)) {
      const name = classNames[bank.set.labels[near]];
      const pixels = pixelsOf(bank.set, near);
      images.push(bank.set.labels[near] === label ? { pixels, caption: name } : { pixels, caption: '', alert: name });
    }
  }
  const { height, width } = test.set;
  const size = { height, width, columns: NEAREST + 1, shownWidth: 64 };
  const title = `a test image of each class, then its ${NEAREST} nearest labelled images`;
  return svgArtefact('neighbours', 'Nearest neighbours', galleryPicture(title, images, size));
}

/** Positions in the bank by falling cosine. */
function nearestOf({ rows, width }: Embedded, query: number, bank: Embedded): number[] {
  const cosine = (other: number) => {
    let sum = 0;
    for (let i = 0; i < width; i++) sum += rows[query * width + i] * bank.rows[other * width + i];
    return sum;
  };
  const ranked = Array.from({ length: bank.set.count }, (_, i) => [cosine(i), i] as const);
  return ranked
    .sort(([a, i], [b, j]) => b - a || i - j)
    .slice(0, NEAREST)
    .map(([, i]) => i);
}
