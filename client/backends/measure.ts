/**
 * Times of a training step (forward, backward, gradient descent) and of an evaluation of 100 examples, on the models by
 * which back ends are compared. Numbers of one machine and one run: compare within a run only.
 */
import type { Scalar, Tensor, Variable } from '@tensorflow/tfjs-core';
import { rngFromSeed } from '../../shared/rng.js';
import type { Tf } from './gradients/gradient.js';
import { addScaled, convolution, dense } from './layers.js';

/** What a step and an evaluation of 100 examples take on this back end. */
export interface StepTime {
  readonly model: string;
  readonly batchSize: number;
  /** Medians over the repeats. */
  readonly stepMs: number;
  readonly evaluationMs: number;
}

/** A classifier of ten classes. */
export interface Network {
  readonly model: string;
  readonly inputShape: readonly number[];
  /** Weights and biases in turn. */
  readonly shapes: readonly (readonly number[])[];
  logits(tf: Tf, x: Tensor, params: readonly Tensor[]): Tensor;
}

/** The networks that are measured, small ones first. */
export const NETWORKS: readonly Network[] = [
  {
    model: 'MLP 784-200-200-10',
    inputShape: [784],
    shapes: [[784, 200], [200], [200, 200], [200], [200, 10], [10]],
    logits: (tf, x, [w1, b1, w2, b2, w3, b3]) =>
      dense(tf, dense(tf, dense(tf, x, w1, b1, 'relu'), w2, b2, 'relu'), w3, b3),
  },
  {
    model: 'CNN 5x5x16 / 2, 5x5x32 / 2, dense 10',
    inputShape: [28, 28, 1],
    shapes: [[5, 5, 1, 16], [16], [5, 5, 16, 32], [32], [1568, 10], [10]],
    logits: (tf, x, [f1, b1, f2, b2, w, b]) => {
      const first = convolution(tf, x, f1, b1, { stride: 2, activation: 'relu' }); // [batch, 14, 14, 16]
      const second = convolution(tf, first, f2, b2, { stride: 2, activation: 'relu' }); // [batch, 7, 7, 32]
      return dense(tf, tf.reshape(second, [-1, 1568]), w, b);
    },
  },
  {
    // McMahan et al. 2017, https://arxiv.org/abs/1602.05629, section 3
    model: 'CNN 5x5x32 pool, 5x5x64 pool, dense 512, dense 10',
    inputShape: [28, 28, 1],
    shapes: [[5, 5, 1, 32], [32], [5, 5, 32, 64], [64], [3136, 512], [512], [512, 10], [10]],
    logits: (tf, x, [f1, b1, f2, b2, w1, c1, w2, c2]) => {
      const pool = (y: ReturnType<typeof convolution>) => tf.maxPool(y, 2, 2, 'same');
      const first = pool(convolution(tf, x, f1, b1, { activation: 'relu' })); // [batch, 14, 14, 32]
      const second = pool(convolution(tf, first, f2, b2, { activation: 'relu' })); // [batch, 7, 7, 64]
      return dense(tf, dense(tf, tf.reshape(second, [-1, 3136]), w1, c1, 'relu'), w2, c2);
    },
  },
];

const EVALUATION_SIZE = 100;

/** Measures all networks on the current back end: `repeats` times each after two steps of warming up. */
export async function measureSteps(tf: Tf, { batchSize = 32, repeats = 20 } = {}): Promise<StepTime[]> {
  const times: StepTime[] = [];
  for (const network of NETWORKS) times.push(await measure(tf, network, batchSize, repeats));
  return times;
}

async function measure(tf: Tf, network: Network, batchSize: number, repeats: number): Promise<StepTime> {
  const { params, x, labels } = drawNetwork(tf, network, batchSize);
  const variables = params.map((param) => tf.variable(param));
  const many = tf.tidy(() => tf.tile(x, [Math.ceil(EVALUATION_SIZE / batchSize), ...network.inputShape.map(() => 1)]));
  const evaluated = tf.slice(many, 0, EVALUATION_SIZE);
  const loss = (): Scalar => tf.mean(lossOf(tf, network, { x, labels, params: variables }));
  const stepMs = await median(repeats, () => step(tf, variables, loss));
  const evaluationMs = await median(repeats, () => tf.tidy(() => tf.sum(network.logits(tf, evaluated, variables))));
  tf.dispose([...params, variables, x, many, evaluated, labels]);
  return { model: network.model, batchSize, stepMs, evaluationMs };
}

/** A network's parameters and one batch for it. */
export interface DrawnNetwork {
  readonly params: readonly Tensor[];
  /** [batch, ...inputShape] */
  readonly x: Tensor;
  /** One-hot [batch, 10]. */
  readonly labels: Tensor;
}

/** Parameters and a batch, drawn; the caller owns them. */
export function drawNetwork(tf: Tf, { shapes, inputShape }: Network, batchSize: number): DrawnNetwork {
  const rng = rngFromSeed(1);
  const draw = (shape: readonly number[], scale: number) => {
    const size = shape.reduce((all, n) => all * n, 1);
    const values = Float32Array.from({ length: size }, () => scale * rng.normal());
    return tf.tensor(values, shape as number[]);
  };
  const params = shapes.map((shape) => draw(shape, Math.sqrt(2 / shape.slice(0, -1).reduce((all, n) => all * n, 1))));
  const ids = Array.from({ length: batchSize }, (_, index) => index % 10);
  const labels = tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(ids, 'int32'), 10), 'float32'));
  return { params, x: draw([batchSize, ...inputShape], 1), labels };
}

/** Cross-entropy of each example, [batch]. */
export function lossOf(tf: Tf, network: Network, { x, labels, params }: DrawnNetwork): Tensor {
  return tf.neg(tf.sum(tf.mul(tf.logSoftmax(network.logits(tf, x, params)), labels), -1));
}

const LEARNING_RATE = 0.01;

function step(tf: Tf, params: Variable[], loss: () => Scalar): Tensor {
  return tf.tidy(() => {
    const { value, grads } = tf.variableGrads(loss, params);
    for (const param of params) param.assign(addScaled(tf, param, grads[param.name], -LEARNING_RATE));
    return value;
  });
}

/** Median time of `work` in ms, its result read back each time, since a GPU works behind the back of the program. */
async function median(repeats: number, work: () => Tensor): Promise<number> {
  const times: number[] = [];
  for (let run = -2; run < repeats; run++) {
    const start = performance.now();
    const result = work();
    await result.data();
    result.dispose();
    if (run >= 0) times.push(performance.now() - start);
  }
  return times.sort((a, b) => a - b)[Math.floor(repeats / 2)];
}
