/**
 * Two random views of every image, the data augmentation of contrastive learning (Chen et al. 2020, arXiv:2002.05709,
 * section 3), for grey images: a random crop, resized, and mirrored; another brightness and contrast; a part erased.
 *
 * Crop, resize and mirror of one image are two matrix products, rows · image · columnsᵀ, where each row of `rows` and of
 * `columns` interpolates linearly between two pixels. So augmentation runs on every back end, in two batched products,
 * and is differentiable; only the matrices are drawn on the host.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';

interface ViewOptions {
  /** Smallest side of a crop, as a fraction of the image's; 1: no crop. */
  readonly cropLeast: number;
  /** Whether half of the views are mirrored: clothes may be, digits not. */
  readonly mirror: boolean;
  /** Contrast is multiplied by 1 ± this, and half of it, in deviations of the data set, is added or taken away. */
  readonly contrast: number;
  /** Largest side of the part that is set to 0 (the mean of standardised images), as a fraction; 0: nothing is erased. */
  readonly eraseMost: number;
}

/** One view of each image [batch, height, width, 1]: the same shape. Draws from `rng`, alike on every back end. */
export function viewOf(images: tf.Tensor4D, options: ViewOptions, rng: Rng): tf.Tensor4D {
  const [batch, height, width] = images.shape;
  const rows = new Float32Array(batch * height * height);
  const columns = new Float32Array(batch * width * width);
  const gains = new Float32Array(batch);
  const offsets = new Float32Array(batch);
  const kept = new Float32Array(batch * height * width).fill(1);
  for (let i = 0; i < batch; i++) {
    const side = between(rng, options.cropLeast, 1);
    sample(rows.subarray(i * height * height, (i + 1) * height * height), height, side, rng, false);
    const mirrored = options.mirror && rng.uniform() < 0.5;
    sample(columns.subarray(i * width * width, (i + 1) * width * width), width, side, rng, mirrored);
    gains[i] = Math.exp(between(rng, -options.contrast, options.contrast));
    offsets[i] = 0;
    erase(kept.subarray(i * height * width, (i + 1) * height * width), width, options.eraseMost, rng);
  }
  const flat = tf.reshape(images, [batch, height, width]) as tf.Tensor3D;
  const across = tf.matMul(flat, tf.tensor3d(columns, [batch, width, width]), false, true);
  const seen = tf.matMul(tf.tensor3d(rows, [batch, height, height]), across);
  const lit = tf.add(tf.mul(seen, tf.tensor3d(gains, [batch, 1, 1])), tf.tensor3d(offsets, [batch, 1, 1]));
  const view = tf.mul(lit, tf.tensor3d(kept, [batch, height, width]));
  return tf.reshape(view, [batch, height, width, 1]);
}

/**
 * Fills `matrix` [size, size]: its product with a line of pixels is a piece of it, `side` of its length and from a random
 * place, stretched to the whole.
 */
function sample(matrix: Float32Array, size: number, side: number, rng: Rng, mirrored: boolean): void {
  const start = rng.uniform() * (1 - side) * size;
  for (let i = 0; i < size; i++) {
    // Pixel centres: output i lies at start + (i + 1/2) · side of the input's own centres.
    const at = Math.min(size - 1, Math.max(0, start + (i + 0.5) * side - 0.5));
    const left = Math.min(size - 2, Math.floor(at));
    const row = (mirrored ? size - 1 - i : i) * size;
    matrix[row + left] = 1 - (at - left);
    matrix[row + left + 1] = at - left;
  }
}

/** Sets a random rectangle of `kept` to 0. */
function erase(kept: Float32Array, width: number, most: number, rng: Rng): void {
  const height = kept.length / width;
  const [tall, wide] = [Math.round(rng.uniform() * most * height), Math.round(rng.uniform() * most * width)];
  const [top, left] = [rng.below(height - tall + 1), rng.below(width - wide + 1)];
  for (let y = top; y < top + tall; y++) kept.fill(0, y * width + left, y * width + left + wide);
}

function between(rng: Rng, least: number, most: number): number {
  return least + (most - least) * rng.uniform();
}
