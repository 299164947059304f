/** Images and labels of a set as tensors of the current back end; the caller owns them. */
import tf = require('@tensorflow/tfjs-core');

import type { ImageData, ImageSet } from '../../data/images.js';

/** [indices, height, width, 1], each pixel in 0..1, less `mean` and over `stdDev`. */
export function imageTensor(
  set: ImageSet,
  indices: Int32Array,
  { mean, stdDev }: Pick<ImageData, 'mean' | 'stdDev'>,
): tf.Tensor4D {
  const { height, width, pixels } = set;
  const size = height * width;
  const out = new Float32Array(indices.length * size);
  for (const [i, example] of indices.entries()) {
    for (let k = 0; k < size; k++) out[i * size + k] = (pixels[example * size + k] / 255 - mean) / stdDev;
  }
  return tf.tensor4d(out, [indices.length, height, width, 1]);
}

/** One-hot [indices, classes]. */
export function labelTensor({ labels }: ImageSet, indices: Int32Array, classes: number): tf.Tensor2D {
  const out = new Float32Array(indices.length * classes);
  for (const [i, example] of indices.entries()) out[i * classes + labels[example]] = 1;
  return tf.tensor2d(out, [indices.length, classes]);
}

/** from, from + 1, … below `to`. */
export function range(from: number, to: number): Int32Array {
  return Int32Array.from({ length: to - from }, (_, i) => from + i);
}
