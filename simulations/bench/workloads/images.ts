/**
 * Classification of generated images, for speed only: what is seen of accuracy here means nothing. The images are a bank
 * of a thousand that examples share, so that a federation of any size costs no memory for data.
 */
import tf = require('@tensorflow/tfjs-core');

import { defineWorkload, type Scale, type TensorMap, type Workload } from '../../../client/workload.js';
import { crossEntropy } from '../../../client/workloads/parts/layers.js';
import type { Rng } from '../../../shared/rng.js';
import type { HostTensors } from '../../../shared/tensors/params.js';

/** As many as the data sets that are imitated have. */
export const CLASSES = 10;
const BANK = 1000;

/** Images that examples share, and how many examples there are. */
export interface Bank {
  /** [BANK, height · width · channels] */
  readonly images: Float32Array;
  readonly trainExamples: number;
  readonly testExamples: number;
}

/** A network over such images, and the scale that it is measured at. */
export interface ImageModel {
  readonly name: string;
  readonly paper: string;
  /** [height, width, channels] */
  readonly shape: readonly [number, number, number];
  readonly scale: Scale;
  init(rng: Rng): HostTensors;
  /** [batch, height, width, channels] -> [batch, CLASSES] */
  logits(params: TensorMap, images: tf.Tensor): tf.Tensor;
}

/** hyper: `train-examples` and `test-examples`, over all clients. */
export function imageWorkload({ name, paper, shape, scale, init, logits }: ImageModel): Workload<Bank> {
  const size = shape[0] * shape[1] * shape[2];
  return defineWorkload<Bank>({
    manifest: {
      name,
      topic: 'benchmark',
      paper,
      data: 'generated',
      privacyUnits: ['client'],
      headline: { metric: 'test.loss', better: 'lower' },
      scales: { smoke: scale, demo: scale, full: scale },
    },
    init: (rng) => ({ shared: init(rng) }),
    load: async ({ hyper, rng }) => ({
      images: Float32Array.from({ length: BANK * size }, () => rng.uniform()),
      trainExamples: Number(hyper['train-examples']),
      testExamples: Number(hyper['test-examples']),
    }),
    examples: ({ trainExamples, testExamples }) => ({ train: { count: trainExamples }, test: { count: testExamples } }),
    batch({ images }, indices) {
      const pixels = new Float32Array(indices.length * size);
      const labels = new Float32Array(indices.length * CLASSES);
      for (const [i, example] of indices.entries()) {
        const at = (example % BANK) * size;
        pixels.set(images.subarray(at, at + size), i * size);
        labels[i * CLASSES + (example % CLASSES)] = 1;
      }
      return {
        images: tf.tensor4d(pixels, [indices.length, ...shape]),
        labels: tf.tensor2d(labels, [indices.length, CLASSES]),
      };
    },
    loss: (params, { images, labels }) =>
      tf.mean(crossEntropy(logits(params, images) as tf.Tensor2D, labels as tf.Tensor2D)),
    metrics: (params, { images, labels }) => ({
      loss: {
        sum: tf.sum(crossEntropy(logits(params, images) as tf.Tensor2D, labels as tf.Tensor2D)),
        count: labels.shape[0],
      },
    }),
  });
}
