/**
 * What the CNN leaves for a person to look at: the confusion matrix, the mistakes it is surest of, and, with site bias,
 * one image as every site takes it.
 */

import { HELD_OUT, SITES, takeImage } from '../../data/acquisition.js';
import { type ImageData, type ImageSet, pixelsOf } from '../../data/images.js';
import { svgArtefact } from '../../pictures/artefact.js';
import { confusionPicture } from '../../pictures/confusion.js';
import { type GalleryImage, galleryPicture } from '../../pictures/gallery.js';
import type { Artefact } from '../../workload.js';

const SITE_NAMES = ['as scanned', 'negative', 'blurred', 'pale', 'grainy'];
const MISTAKES = 24;
const COLUMNS = 6;

/**
 * @param sums [classes · classes], truth-major: the pooled test sums of the final model; under secure aggregation they are
 *   whole numbers only up to the grid
 */
export function confusionArtefact(sums: readonly number[], { classNames }: ImageData): Artefact {
  const counts = sums.map(Math.round);
  const total = counts.reduce((sum, count) => sum + count, 0);
  const right = classNames.reduce((sum, _, label) => sum + counts[label * classNames.length + label], 0);
  const title = `${((100 * right) / total).toFixed(1)}% of ${total} test images are right`;
  return svgArtefact('confusion', 'Confusion matrix', confusionPicture(counts, classNames, title));
}

/** @param probabilities [test images · classes] */
export function mistakesArtefact(probabilities: Float32Array, { test, classNames }: ImageData): Artefact {
  const wrong: { example: number; said: number; sureness: number }[] = [];
  for (let example = 0; example < test.count; example++) {
    const row = probabilities.subarray(example * classNames.length, (example + 1) * classNames.length);
    const said = row.indexOf(Math.max(...row));
    if (said !== test.labels[example]) wrong.push({ example, said, sureness: row[said] });
  }
  wrong.sort((a, b) => b.sureness - a.sureness || a.example - b.example);
  const images = wrong.slice(0, MISTAKES).map(({ example, said, sureness }) => ({
    pixels: pixelsOf(test, example),
    caption: classNames[test.labels[example]],
    alert: `> ${classNames[said]} ${Math.round(100 * sureness)}%`,
  }));
  const title = `the mistakes it is surest of, ${images.length} of ${wrong.length}: truth > answer`;
  return svgArtefact('mistakes', 'Surest mistakes', gallery(title, images, test, COLUMNS));
}

/** One image for each of two labels, as every site and real life take it. */
export function sitesArtefact({ test }: ImageData): Artefact {
  const images = [0, 7].flatMap((label) => {
    const example = Math.max(0, test.labels.indexOf(label));
    const sites = [...Array(SITES).keys(), HELD_OUT];
    return sites.map((site) => ({
      pixels: takenAt(site, test, example),
      caption: site === HELD_OUT ? 'real life' : SITE_NAMES[site],
    }));
  });
  const title = 'how the sites take their images (the marker goes with the label)';
  return svgArtefact('sites', 'Acquisition at each site', gallery(title, images, test, SITES + 1));
}

function gallery(title: string, images: readonly GalleryImage[], { height, width }: ImageSet, columns: number) {
  return galleryPicture(title, images, { height, width, columns, shownWidth: 64 });
}

function takenAt(site: number, set: ImageSet, example: number): Float32Array {
  const pixels = new Float32Array(set.height * set.width);
  takeImage(set, example, site, pixels);
  return pixels;
}
