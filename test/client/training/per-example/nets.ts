/** Small networks of tapped layers, and some that taps cannot tell: each a set of parameters, a batch and a loss per example. */
import * as tf from '@tensorflow/tfjs-core';
import {
  convolution,
  dense,
  embedding,
  gelu,
  scaled,
  shifted,
  tiedLogits,
} from '../../../../client/backends/layers.js';
import { crossEntropy, flatten, groupNorm, rmsNorm } from '../../../../client/workloads/parts/layers.js';
import { type Rng, rngFromSeed } from '../../../../shared/rng.js';

export type Tensors = Readonly<Record<string, tf.Tensor>>;

export interface Net {
  readonly name: string;
  readonly params: Readonly<Record<string, readonly number[]>>;
  /** The rows of a batch; every tensor has the examples along its first axis. */
  batch(rng: Rng, examples: number): Tensors;
  loss(params: Tensors, batch: Tensors): tf.Tensor;
}

export function normals(rng: Rng, shape: readonly number[], scale = 1): tf.Tensor {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return tf.tensor(
    Float32Array.from({ length: size }, () => scale * rng.normal()),
    [...shape],
  );
}

/** Drawn from one seed; about as large as a first layer's would be. */
export function paramsOf({ params }: Net): Record<string, tf.Tensor> {
  const rng = rngFromSeed(5);
  return Object.fromEntries(Object.entries(params).map(([name, shape]) => [name, normals(rng, shape, 0.4)]));
}

function vectors(width: number): Net['batch'] {
  return (rng, examples) => ({ x: normals(rng, [examples, width]), y: oneHot(rng, examples, 3) });
}

function images(side: number, channels: number): Net['batch'] {
  return (rng, examples) => ({
    x: normals(rng, [examples, side, side, channels]),
    y: oneHot(rng, examples, 3),
  });
}

function oneHot(rng: Rng, examples: number, classes: number): tf.Tensor {
  const ids = Array.from({ length: examples }, () => rng.below(classes));
  return tf.cast(tf.oneHot(tf.tensor1d(ids, 'int32'), classes), 'float32');
}

/** (x − mean) / √(variance + 1e-5) · `name/gain` + `name/shift`, over the last axis (Ba et al. 2016, arXiv:1607.06450). */
function layerNorm(params: Tensors, name: string, x: tf.Tensor): tf.Tensor {
  const { mean, variance } = tf.moments(x, -1, true);
  const standardised = tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, 1e-5)));
  return scaled(tf, standardised, params[`${name}/gain`], params[`${name}/shift`]);
}

const TIME = 6;
const WORDS = 7;
const WIDTH = 8;

function sentences(rng: Rng, examples: number): Tensors {
  const draw = () => Array.from({ length: examples * TIME }, () => rng.below(WORDS));
  return {
    ids: tf.tensor2d(draw(), [examples, TIME], 'int32'),
    next: tf.tensor2d(draw(), [examples, TIME], 'int32'),
  };
}

/** Mean cross-entropy of each sentence, from logits [examples · time, words]. */
function sentenceLoss(logits: tf.Tensor, next: tf.Tensor): tf.Tensor {
  const labels = tf.cast(tf.oneHot(tf.reshape(next, [-1]) as tf.Tensor1D, WORDS), 'float32') as tf.Tensor2D;
  return tf.mean(tf.reshape(crossEntropy(logits as tf.Tensor2D, labels), [-1, TIME]), 1);
}

function attend(p: Tensors, x: tf.Tensor): tf.Tensor {
  const part = (name: string) => tf.reshape(dense(tf, x, p[`${name}/kernel`]), [-1, TIME, WIDTH]);
  const weights = tf.softmax(tf.matMul(part('query'), part('key'), false, true));
  return tf.reshape(tf.matMul(weights, part('value')), [-1, WIDTH]);
}

export const COVERED: readonly Net[] = [
  {
    name: 'two dense layers',
    params: { a: [5, 9], b: [9], c: [9, 3], d: [3] },
    batch: vectors(5),
    loss: (p, { x, y }) => crossEntropy(dense(tf, dense(tf, x, p.a, p.b, 'relu'), p.c, p.d), y as tf.Tensor2D),
  },
  {
    name: 'convolutions over large images',
    params: { a: [3, 3, 2, 4], b: [4], c: [3, 3, 4, 3], d: [3], e: [75, 3], f: [3] },
    batch: images(11, 2),
    loss: (p, { x, y }) => {
      const first = convolution(tf, x, p.a, p.b, { stride: 2, activation: 'relu' }); // [.., 6, 6, 4]
      const second = tf.maxPool(convolution(tf, first, p.c, p.d, { pad: 'same', activation: 'relu' }), 2, 1, 'valid');
      return crossEntropy(dense(tf, flatten(second), p.e, p.f), y as tf.Tensor2D);
    },
  },
  {
    name: 'convolutions over small images, unpadded, group norm',
    params: { a: [3, 3, 6, 12], b: [12], 'n/gain': [12], 'n/shift': [12], e: [48, 3] },
    batch: images(4, 6),
    loss: (p, { x, y }) => {
      const maps = convolution(tf, x, p.a, p.b, { pad: 'valid' }); // [.., 2, 2, 12]
      return crossEntropy(dense(tf, flatten(groupNorm(p, 'n', maps, 3)), p.e), y as tf.Tensor2D);
    },
  },
  {
    name: 'attention with embedding, positions and two norms',
    params: {
      ...{ table: [WORDS, WIDTH], positions: [TIME, WIDTH], 'n/gain': [WIDTH], 'm/gain': [WIDTH], 'm/shift': [WIDTH] },
      ...{ 'query/kernel': [WIDTH, WIDTH], 'key/kernel': [WIDTH, WIDTH], 'value/kernel': [WIDTH, WIDTH] },
      ...{ up: [WIDTH, 64], upBias: [64], logits: [64, WORDS] },
    },
    batch: sentences,
    loss: (p, { ids, next }) => {
      const embedded = shifted(tf, embedding(tf, p.table, ids), p.positions); // [examples, time, width]
      const rows = rmsNorm(p, 'n', tf.reshape(embedded, [-1, WIDTH])); // [examples · time, width]
      const mixed = layerNorm(p, 'm', tf.add(rows, attend(p, rows)));
      const hidden = gelu(tf, dense(tf, tf.reshape(mixed, [-1, TIME, WIDTH]), p.up, p.upBias));
      return sentenceLoss(tf.reshape(dense(tf, hidden, p.logits), [-1, WORDS]), next);
    },
  },
  {
    name: 'one embedding for what goes in and what comes out',
    params: { table: [WORDS, WIDTH], gain: [WIDTH] },
    batch: sentences,
    loss: (p, { ids, next }) => {
      const x = scaled(tf, tf.reshape(embedding(tf, p.table, ids), [-1, WIDTH]), p.gain);
      return sentenceLoss(tiedLogits(tf, x, p.table), next);
    },
  },
  {
    name: 'one matrix and one bias used twice, one filter used twice',
    params: { filter: [3, 3, 2, 2], kernel: [8, 8], bias: [8], out: [8, 3] },
    batch: images(4, 2),
    loss: (p, { x, y }) => {
      const maps = convolution(
        tf,
        convolution(tf, x, p.filter, undefined, { activation: 'relu' }),
        p.filter,
        undefined,
        {
          stride: 2,
        },
      ); // [.., 2, 2, 2]
      const hidden = dense(tf, dense(tf, flatten(maps), p.kernel, p.bias, 'relu'), p.kernel, p.bias);
      return crossEntropy(dense(tf, hidden, p.out), y as tf.Tensor2D);
    },
  },
  {
    name: 'a long narrow product and a tensor that the loss leaves alone',
    params: { a: [5, 16], unused: [4], c: [16, 3] },
    batch: (rng, examples) => ({ x: normals(rng, [examples, 2, 5]), y: oneHot(rng, examples, 3) }),
    loss: (p, { x, y }) => {
      const hidden = tf.relu(dense<tf.Tensor>(tf, x, p.a));
      return crossEntropy(dense(tf, tf.reshape(tf.sum(hidden, 1), [-1, 16]), p.c), y as tf.Tensor2D);
    },
  },
];

/** What taps must not be trusted with. */
export const NOT_COVERED: readonly (Net & { readonly why: RegExp })[] = [
  {
    name: 'a parameter beside the layers',
    why: /used outside tapped layers/,
    params: { a: [5, 3], free: [3] },
    batch: vectors(5),
    loss: (p, { x, y }) => crossEntropy(tf.mul(dense(tf, x, p.a), p.free), y as tf.Tensor2D),
  },
  {
    name: 'a parameter inside a layer and beside it, where its gradient is zero at first',
    why: /used outside tapped layers/,
    params: { a: [5, 3] },
    batch: vectors(5),
    loss: (p, { x, y }) => tf.add(crossEntropy(dense(tf, x, p.a), y as tf.Tensor2D), tf.mul(0, tf.sum(tf.square(p.a)))),
  },
  {
    name: 'a parameter that is a layer’s input',
    why: /used outside tapped layers/,
    params: { a: [1, 5], b: [5, 3], c: [3, 3] },
    batch: vectors(3),
    loss: (p, { x, y }) => crossEntropy(tf.add(dense(tf, x, p.c), dense(tf, p.a, p.b)), y as tf.Tensor2D),
  },
  {
    name: 'examples mixed by a batch norm',
    why: /two examples together/,
    params: { a: [5, 6], b: [6], c: [6, 3] },
    batch: vectors(5),
    loss: (p, { x, y }) => {
      const z = dense(tf, x, p.a, p.b);
      const { mean, variance } = tf.moments(z, 0, true);
      const normed = tf.div(tf.sub(z, mean), tf.sqrt(tf.add(variance, 1)));
      return crossEntropy(dense(tf, normed, p.c), y as tf.Tensor2D);
    },
  },
  {
    name: 'rows in another order than example after example',
    why: /two examples together/,
    params: { a: [5, 16], c: [16, 3] },
    batch: (rng, examples) => ({ x: normals(rng, [examples, 3, 5]), y: oneHot(rng, examples, 3) }),
    loss: (p, { x, y }) => {
      const byTime = tf.reshape(tf.transpose(x, [1, 0, 2]), [-1, 5]); // [time · examples, 5]
      const hidden = tf.reshape(tf.relu(dense(tf, byTime, p.a)), [3, -1, 16]);
      return crossEntropy(dense(tf, tf.reshape(tf.sum(hidden, 0), [-1, 16]), p.c), y as tf.Tensor2D);
    },
  },
];
