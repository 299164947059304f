/**
 * A workload in one file: four labs measured one curve, each a quarter of it, and learn the whole of it together.
 *
 * The model is a small network of 1 input, 32 hidden units and 1 output; its input and output are [batch, 1].
 */
import * as tf from 'starling-fl/tf';
import { defineWorkload } from 'starling-fl/workloads';

interface Measurements {
  x: Float32Array;
  y: Float32Array;
  /** Which lab measured it, 0..3. */
  lab: Int32Array;
}

const LABS = 4;
const HIDDEN = 32;

const predict = (params: Readonly<Record<string, tf.Tensor>>, x: tf.Tensor) => {
  const hidden = tf.tanh(
    tf.add(tf.matMul(x as tf.Tensor2D, params['hidden/kernel'] as tf.Tensor2D), params['hidden/bias']),
  );
  return tf.add(tf.matMul(hidden as tf.Tensor2D, params['output/kernel'] as tf.Tensor2D), params['output/bias']);
};

// biome-ignore lint/style/noDefaultExport: a workload's file is known by its default export
export default defineWorkload<{ train: Measurements; test: Measurements }>({
  manifest: {
    name: 'my-workload',
    topic: 'My first workload',
    paper: 'none yet',
    data: 'generated',
    privacyUnits: ['client'],
    headline: { metric: 'test.error', better: 'lower' },
    // What secure aggregation must know beforehand: the most that one example adds to a metric.
    maskedMetrics: () => [{ name: 'error', size: 1, max: 100 }],
    scales: {
      smoke: {
        clients: LABS,
        cohort: LABS,
        rounds: 5,
        partition: 'natural',
        training: { localEpochs: 1, batchSize: 10, clientLr: 0.03 },
        hyper: { examples: 200 },
      },
      demo: {
        clients: LABS,
        cohort: LABS,
        rounds: 60,
        partition: 'natural',
        training: { localEpochs: 2, batchSize: 10, clientLr: 0.03 },
        hyper: { examples: 400 },
      },
      full: {
        clients: LABS,
        cohort: LABS,
        rounds: 300,
        partition: 'natural',
        training: { localEpochs: 2, batchSize: 10, clientLr: 0.03 },
        hyper: { examples: 4000 },
      },
    },
  },

  // Named tensors. Draw from `rng` and nothing else: every client must come to the same numbers.
  init: (rng) => ({
    shared: {
      'hidden/kernel': { shape: [1, HIDDEN], data: Float32Array.from({ length: HIDDEN }, () => 3 * rng.normal()) },
      'hidden/bias': { shape: [HIDDEN], data: Float32Array.from({ length: HIDDEN }, () => rng.normal()) },
      'output/kernel': { shape: [HIDDEN, 1], data: Float32Array.from({ length: HIDDEN }, () => 0.1 * rng.normal()) },
      'output/bias': { shape: [1], data: new Float32Array(1) },
    },
  }),

  // Read files from `dataDir` here. This example makes its data up: a sine over -1..1, with noise.
  load: async ({ hyper, rng }) => {
    const measure = (count: number): Measurements => {
      const x = Float32Array.from({ length: count }, () => 2 * rng.uniform() - 1);
      const y = x.map((value) => Math.sin(4 * value) + 0.1 * rng.normal());
      return { x, y, lab: Int32Array.from(x, (value) => Math.min(LABS - 1, Math.floor(((value + 1) / 2) * LABS))) };
    };
    return { train: measure(Number(hyper.examples)), test: measure(Number(hyper.examples) / 2) };
  },

  // What the examples are divided between clients by: labels (dirichlet, shards) or groups (natural).
  examples: ({ train, test }) => ({
    train: { count: train.x.length, groups: train.lab },
    test: { count: test.x.length, groups: test.lab },
  }),

  batch: (data, indices, { split }) => {
    const column = (values: Float32Array) =>
      tf.tensor2d(
        Float32Array.from(indices, (i) => values[i]),
        [indices.length, 1],
      );
    return { x: column(data[split].x), y: column(data[split].y) };
  },

  // The mean over the batch: a scalar.
  loss: (params, { x, y }) => tf.mean(tf.squaredDifference(predict(params, x), y)),

  // Sums and counts: the engine adds them up over clients and divides.
  metrics: (params, { x, y }) => ({
    error: { sum: tf.sum(tf.squaredDifference(predict(params, x), y)), count: y.shape[0] },
  }),
});
