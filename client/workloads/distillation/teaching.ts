/**
 * Teaching by logits on public images: what a network says of them, and how another learns to say the same.
 */
import tf = require('@tensorflow/tfjs-core');

import type { HostTensors } from '../../../shared/tensors/params.js';
import type { ImageData, ImageSet } from '../../data/images.js';
import { uploadTensors } from '../../training/evaluate.js';
import type { Batch, TensorMap } from '../../workload.js';
import { imageTensor, range } from '../parts/image-tensors.js';
import { crossEntropy } from '../parts/layers.js';
import { classify } from '../parts/networks.js';

/** Of all the image sets. */
export const CLASSES = 10;
const CHUNK = 200;

/** The clients' common opinion of the public images. */
export interface Teacher {
  /** The public images, and what their pixels are standardised with. */
  readonly open: ImageSet;
  readonly scale: Pick<ImageData, 'mean' | 'stdDev'>;
  /** [open · 10], as fractions of `bound`. */
  readonly logits: Float32Array;
  readonly bound: number;
}

/** Public images and what the teacher takes them for. */
export function lesson({ open, scale, logits, bound }: Teacher, indices: Int32Array): Batch {
  const rows = new Float32Array(indices.length * CLASSES);
  for (const [i, example] of indices.entries()) {
    rows.set(logits.subarray(example * CLASSES, (example + 1) * CLASSES), i * CLASSES);
  }
  const probabilities = probabilitiesOf(rows, bound);
  return {
    images: imageTensor(open, indices, scale),
    targets: tf.tensor2d(probabilities, [indices.length, CLASSES]),
  };
}

/**
 * Mean Kullback-Leibler divergence of the network's probabilities from the teacher's (Hinton et al. 2015,
 * arXiv:1503.02531, at temperature 1): their cross-entropy less what the teacher itself is unsure of, so that 0 is to agree.
 */
export function taught(params: TensorMap, prefix: string, { images, targets }: Batch): tf.Scalar {
  const logits = classify(params, prefix, images as tf.Tensor4D);
  const entropy = tf.neg(tf.sum(tf.mul(targets, tf.log(tf.maximum(targets, 1e-12))), 1));
  return tf.mean(tf.sub(crossEntropy(logits, targets as tf.Tensor2D), entropy));
}

/** The logits of the network under `prefix` on all public images, each row less its mean, over `bound` and clamped to −1..1. */
export async function logitsOn(
  { open, scale, bound }: Omit<Teacher, 'logits'>,
  network: HostTensors,
  prefix: string,
): Promise<Float32Array> {
  const out = new Float32Array(open.count * CLASSES);
  const params = uploadTensors(network);
  try {
    for (let start = 0; start < open.count; start += CHUNK) {
      const part = tf.tidy(() => {
        const images = imageTensor(open, range(start, Math.min(open.count, start + CHUNK)), scale);
        const logits = classify(params, prefix, images);
        return tf.clipByValue(tf.div(tf.sub(logits, tf.mean(logits, 1, true)), bound), -1, 1);
      });
      out.set(await part.data(), start * CLASSES);
      part.dispose();
    }
    return out;
  } finally {
    tf.dispose(params);
  }
}

/** Softmax of each row. @param logits [rows · 10], as fractions of `bound` */
export function probabilitiesOf(logits: Float32Array, bound: number): Float32Array {
  const out = new Float32Array(logits.length);
  for (let start = 0; start < logits.length; start += CLASSES) {
    const row = logits.subarray(start, start + CLASSES);
    const most = Math.max(...row);
    const powers = Float64Array.from(row, (logit) => Math.exp(bound * (logit - most)));
    const sum = powers.reduce((a, b) => a + b, 0);
    for (let i = 0; i < CLASSES; i++) out[start + i] = powers[i] / sum;
  }
  return out;
}
