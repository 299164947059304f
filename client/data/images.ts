/**
 * Sets of small grey images with ten classes: MNIST, Fashion-MNIST, and digits that are drawn on the spot for tests.
 *
 * A part of a set is taken at even distances over the whole (example i of n is number floor(i · all / n)), so that it is
 * the same on every machine and leans neither to the easier nor to the harder half of MNIST's test set.
 */
import { join } from 'node:path';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import { drawDigit, GLYPH_HEIGHT, GLYPH_WIDTH } from './digit-glyphs.js';
import { readIdx } from './idx.js';
import { findData } from './index.js';

/** `pixels` holds `count` images of height x width bytes, row-major; 0 is the background. */
export interface ImageSet {
  readonly count: number;
  readonly height: number;
  readonly width: number;
  readonly pixels: Uint8Array;
  /** [count], each 0..9. */
  readonly labels: Uint8Array;
}

/** Square grey images with labels, and what they are standardised with. */
export interface ImageData {
  readonly train: ImageSet;
  readonly test: ImageSet;
  readonly classNames: readonly string[];
  /** Of the pixels of the training set, scaled to 0..1: what inputs are standardised with. */
  readonly mean: number;
  readonly stdDev: number;
}

export interface ImageRequest {
  readonly name: string;
  readonly trainExamples: number;
  readonly testExamples: number;
  readonly dataDir?: string;
  /** For drawn digits. */
  readonly rng: Rng;
  readonly drawnSize: number;
}

const DIGITS = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'];
const CLOTHES = ['t-shirt', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag', 'boot'];

/** @throws FlError data-missing, corrupt, or invalid-argument: an unknown name, or more examples than there are */
export async function loadImages(request: ImageRequest): Promise<ImageData> {
  switch (request.name) {
    case 'mnist':
      return fromIdx(request, { suffix: '', classNames: DIGITS, mean: 0.1307, stdDev: 0.3081 });
    case 'fashion-mnist':
      return fromIdx(request, { suffix: '.gz', classNames: CLOTHES, mean: 0.286, stdDev: 0.353 });
    case 'drawn':
      return drawnDigits(request);
    default:
      throw invalidArgument('hyper.data', 'mnist, fashion-mnist or drawn', request.name);
  }
}

async function fromIdx(
  request: ImageRequest,
  about: { suffix: string } & Pick<ImageData, 'classNames' | 'mean' | 'stdDev'>,
): Promise<ImageData> {
  const folder = findData(request.name, { dataDir: request.dataDir });
  const { suffix, ...rest } = about;
  const read = async (prefix: string, examples: number): Promise<ImageSet> => {
    const images = await readIdx(join(folder, `${prefix}-images-idx3-ubyte${suffix}`), 3);
    const labels = await readIdx(join(folder, `${prefix}-labels-idx1-ubyte${suffix}`), 1);
    const [count, height, width] = images.shape;
    if (labels.shape[0] !== count)
      throw new FlError('corrupt', `${folder}: ${count} images, ${labels.shape[0]} labels`);
    return spread({ count, height, width, pixels: images.values, labels: labels.values }, examples, prefix);
  };
  return { train: await read('train', request.trainExamples), test: await read('t10k', request.testExamples), ...rest };
}

/** `examples` of a set, at even distances; 0 takes all. */
function spread(set: ImageSet, examples: number, prefix: string): ImageSet {
  const count = examples === 0 ? set.count : examples;
  if (count > set.count) throw invalidArgument(`examples of ${prefix}`, `at most ${set.count}`, count);
  return pickImages(
    set,
    Int32Array.from({ length: count }, (_, i) => Math.floor((i * set.count) / count)),
  );
}

/** One image of the set: [height · width], 0..1. */
export function pixelsOf({ height, width, pixels }: ImageSet, example: number): Float32Array {
  const size = height * width;
  return Float32Array.from(pixels.subarray(example * size, (example + 1) * size), (value) => value / 255);
}

/** The images of `set` at `indices`, in that order: a copy. */
export function pickImages(set: ImageSet, indices: Int32Array): ImageSet {
  const size = set.height * set.width;
  const pixels = new Uint8Array(indices.length * size);
  const labels = new Uint8Array(indices.length);
  for (const [i, from] of indices.entries()) {
    pixels.set(set.pixels.subarray(from * size, (from + 1) * size), i * size);
    labels[i] = set.labels[from];
  }
  return { ...set, count: indices.length, pixels, labels };
}

/**
 * The images with `factor` x `factor` pixels made one, their mean rounded to a byte: a copy.
 * @throws FlError invalid-argument unless the sides are multiples of `factor`
 */
export function shrinkImages(set: ImageSet, factor: number): ImageSet {
  if (set.height % factor !== 0 || set.width % factor !== 0) {
    throw invalidArgument('factor', `a divisor of ${set.height} and ${set.width}`, factor);
  }
  const [height, width] = [set.height / factor, set.width / factor];
  const sums = new Float64Array(set.count * height * width);
  for (let i = 0; i < set.pixels.length; i++) {
    const line = Math.floor(i / set.width); // over all images, whose heights are whole blocks
    sums[Math.floor(line / factor) * width + Math.floor((i % set.width) / factor)] += set.pixels[i];
  }
  return { ...set, height, width, pixels: Uint8Array.from(sums, (sum) => Math.round(sum / factor ** 2)) };
}

/** Digits at a random place, in a random ink, over noise: learnable in a second. */
function drawnDigits({ trainExamples, testExamples, drawnSize, rng }: ImageRequest): ImageData {
  if (drawnSize < GLYPH_HEIGHT + 2) throw invalidArgument('hyper.image-size', `>= ${GLYPH_HEIGHT + 2}`, drawnSize);
  const draw = (count: number, source: Rng): ImageSet => {
    const size = drawnSize * drawnSize;
    const pixels = source.bytes(count * size).map((byte) => byte >> 2);
    const labels = new Uint8Array(count);
    for (let i = 0; i < count; i++) {
      const label = i % 10;
      const ink = 140 + source.below(100);
      const image = pixels.subarray(i * size, (i + 1) * size);
      const x = ((drawnSize - GLYPH_WIDTH) >> 1) + source.below(3) - 1; // up to a pixel off the middle
      const y = ((drawnSize - GLYPH_HEIGHT) >> 1) + source.below(3) - 1;
      drawDigit(label, x, y, (px, py) => {
        image[py * drawnSize + px] = ink;
      });
      labels[i] = label;
    }
    return { count, height: drawnSize, width: drawnSize, pixels, labels };
  };
  const train = draw(trainExamples, rng.split('train'));
  const test = draw(testExamples, rng.split('test'));
  return { train, test, classNames: DIGITS, mean: 0.2, stdDev: 0.2 };
}
