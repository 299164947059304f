/**
 * Small models of the kinds that our workloads train, written with the public operations, for whole-model tests: a
 * parameter set drawn from a seed, a batch, and a loss.
 */
import { createHash } from 'node:crypto';
import type { Scalar, Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { type Rng, rngFromSeed } from '../../../shared/rng.js';
import type { Tf } from './cases/index.js';

export type Params = Readonly<Record<string, Tensor>>;

export interface Model {
  readonly name: string;
  /** Parameters and batch by name; the caller disposes both. */
  init(tf: Tf): { params: Params; batch: Params };
  loss(tf: Tf, params: Params, batch: Params): Scalar;
  /** Step of plain gradient descent at which the loss falls. */
  readonly learningRate: number;
}

const size = (shape: readonly number[]) => shape.reduce((all, n) => all * n, 1);

function normal(tf: Tf, rng: Rng, shape: number[], scale = Math.sqrt(2 / size(shape.slice(0, -1)))): Tensor {
  return tf.tensor(
    Float32Array.from({ length: size(shape) }, () => scale * rng.normal()),
    shape,
  );
}

function crossEntropy(tf: Tf, logits: Tensor, labels: Tensor): Scalar {
  return tf.neg(tf.mean(tf.sum(tf.mul(tf.logSoftmax(logits), labels), -1)));
}

function labels(tf: Tf, count: number, classes: number): Tensor {
  const ids = Array.from({ length: count }, (_, index) => (7 * index) % classes);
  return tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d(ids, 'int32'), classes), 'float32'));
}

/** Convolutions with stride and with pooling, group norm, a dense layer: [4, 8, 8, 1] -> 3 classes. */
const cnn: Model = {
  name: 'a convolutional network',
  learningRate: 0.1,
  init(tf) {
    const rng = rngFromSeed(3);
    return {
      params: {
        filter1: normal(tf, rng, [3, 3, 1, 8]),
        bias1: normal(tf, rng, [8], 0.1),
        filter2: normal(tf, rng, [3, 3, 8, 12]),
        bias2: normal(tf, rng, [12], 0.1),
        dense: normal(tf, rng, [48, 3]),
        denseBias: normal(tf, rng, [3], 0.1),
      },
      batch: { x: normal(tf, rng, [4, 8, 8, 1], 1), y: labels(tf, 4, 3) },
    };
  },
  loss(tf, p, { x, y }) {
    const conv = (input: Tensor, filter: Tensor, bias: Tensor, stride: number) =>
      tf.relu(tf.add(tf.conv2d(input as Tensor4D, filter as Tensor4D, stride, 'same'), bias)) as Tensor4D;
    const first = groupNorm(tf, tf.maxPool(conv(x, p.filter1, p.bias1, 1), 2, 2, 'same'), 2); // [4, 4, 4, 8]
    const second = conv(first, p.filter2, p.bias2, 2); // [4, 2, 2, 12]
    return crossEntropy(tf, tf.add(tf.matMul(tf.reshape(second, [4, 48]), p.dense), p.denseBias), y);
  },
};

/** Wu and He 2018, https://arxiv.org/abs/1803.08494, without gain and bias. */
function groupNorm(tf: Tf, x: Tensor, groups: number): Tensor {
  const [batch, height, width, channels] = x.shape;
  const grouped = tf.reshape(x, [batch, height, width, groups, channels / groups]);
  const { mean, variance } = tf.moments(grouped, [1, 2, 4], true);
  return tf.reshape(tf.mul(tf.sub(grouped, mean), tf.rsqrt(tf.add(variance, 1e-5))), x.shape);
}

/** One pre-norm block with two causal heads, tanh gelu and an embedding: [2, 5] of 7 tokens. */
const transformer: Model = {
  name: 'a transformer block',
  learningRate: 0.1,
  init(tf) {
    const rng = rngFromSeed(4);
    const square = () => normal(tf, rng, [8, 8]);
    return {
      params: {
        embedding: normal(tf, rng, [7, 8], 0.5),
        position: normal(tf, rng, [5, 8], 0.5),
        gain: tf.ones([8]),
        query: square(),
        key: square(),
        value: square(),
        out: square(),
        up: normal(tf, rng, [8, 16]),
        down: normal(tf, rng, [16, 8]),
      },
      batch: { ids: tf.tensor2d([0, 3, 3, 6, 1, 2, 5, 4, 4, 0], [2, 5], 'int32'), y: labels(tf, 10, 7) },
    };
  },
  loss(tf, p, { ids, y }) {
    const heads = (x: Tensor) => tf.transpose(tf.reshape(x, [2, 5, 2, 4]), [0, 2, 1, 3]); // [batch, head, time, 4]
    const norm = (x: Tensor) => tf.mul(tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), 1e-5))), p.gain);
    const gelu = (x: Tensor) =>
      tf.mul(tf.mul(x, 0.5), tf.add(1, tf.tanh(tf.mul(0.79788, tf.add(x, tf.mul(0.044715, tf.mul(x, tf.square(x))))))));
    const mask = tf.tensor2d(
      Array.from({ length: 25 }, (_, n) => (n % 5 > Math.floor(n / 5) ? -1e9 : 0)),
      [5, 5],
    );
    const embedded = tf.add(tf.gather(p.embedding, ids as Tensor2D), p.position); // [2, 5, 8]
    const normed = norm(embedded);
    const [q, k, v] = [p.query, p.key, p.value].map((weight) => heads(tf.matMul(normed, weight)));
    const attention = tf.softmax(tf.add(tf.mul(tf.matMul(q, k, false, true), 0.5), mask)); // [2, 2, 5, 5]
    const mixed = tf.reshape(tf.transpose(tf.matMul(attention, v), [0, 2, 1, 3]), [2, 5, 8]);
    const x = tf.add(embedded, tf.matMul(mixed, p.out));
    const y2 = tf.add(x, tf.matMul(gelu(tf.matMul(norm(x), p.up)), p.down));
    return crossEntropy(tf, tf.matMul(tf.reshape(y2, [10, 8]), p.embedding, false, true), y); // tied weights
  },
};

/** Positional encoding, softplus density and volume rendering (Mildenhall et al. 2020, https://arxiv.org/abs/2003.08934). */
const nerf: Model = {
  name: 'a radiance field',
  learningRate: 0.2,
  init(tf) {
    const rng = rngFromSeed(5);
    return {
      params: {
        first: normal(tf, rng, [15, 16]),
        firstBias: normal(tf, rng, [16], 0.1),
        second: normal(tf, rng, [31, 16]),
        head: normal(tf, rng, [16, 4]),
      },
      batch: { points: normal(tf, rng, [18, 3], 1), colours: tf.tidy(() => tf.sigmoid(normal(tf, rng, [3, 3], 1))) }, // 3 rays of 6 samples
    };
  },
  loss(tf, p, { points, colours }) {
    const waves = [1, 2].flatMap((octave) => [tf.sin(tf.mul(points, octave)), tf.cos(tf.mul(points, octave))]);
    const encoded = tf.concat([points, ...waves], 1); // [18, 15]
    const hidden = tf.relu(tf.add(tf.matMul(encoded, p.first), p.firstBias));
    const deep = tf.relu(tf.matMul(tf.concat([hidden, encoded], 1), p.second));
    const out = tf.matMul(deep, p.head); // [18, 4]
    const density = tf.reshape(tf.softplus(tf.sub(tf.slice(out, [0, 3], [18, 1]), 1)), [3, 6]);
    const colour = tf.reshape(tf.sigmoid(tf.slice(out, [0, 0], [18, 3])), [3, 6, 3]);
    const transmittance = tf.exp(tf.neg(tf.cumsum(density, -1, true)));
    const weight = tf.mul(transmittance, tf.sub(1, tf.exp(tf.neg(density))));
    const rendered = tf.sum(tf.mul(tf.expandDims(weight, -1), colour), 1); // [3, 3]
    return tf.mean(tf.squaredDifference(rendered, colours));
  },
};

/** One level down and up with a skip connection, a time embedding and the loss of a diffusion model. */
const unet: Model = {
  name: 'a small U-Net',
  learningRate: 0.002,
  init(tf) {
    const rng = rngFromSeed(6);
    return {
      params: {
        enter: normal(tf, rng, [3, 3, 1, 4]),
        down: normal(tf, rng, [3, 3, 4, 8]),
        time: normal(tf, rng, [2, 8]),
        up: normal(tf, rng, [3, 3, 8, 4]),
        leave: normal(tf, rng, [3, 3, 8, 1]),
      },
      batch: {
        x: normal(tf, rng, [2, 6, 6, 1], 1),
        noise: normal(tf, rng, [2, 6, 6, 1], 1),
        t: normal(tf, rng, [2, 2], 1),
      },
    };
  },
  loss(tf, p, { x, noise, t }) {
    const conv = (input: Tensor, filter: Tensor, stride = 1) =>
      tf.conv2d(input as Tensor4D, filter as Tensor4D, stride, 'same') as Tensor4D;
    const silu = (value: Tensor) => tf.mul(value, tf.sigmoid(value));
    const entered = silu(conv(x, p.enter)); // [2, 6, 6, 4]
    const time = tf.reshape(tf.matMul(t, p.time), [2, 1, 1, 8]);
    const low = silu(tf.add(groupNorm(tf, conv(entered, p.down, 2), 4), time)); // [2, 3, 3, 8]
    const high = tf.image.resizeNearestNeighbor(low as Tensor4D, [6, 6]);
    const joined = tf.concat([silu(conv(high, p.up)), entered], -1); // [2, 6, 6, 8]
    return tf.mean(tf.squaredDifference(conv(joined, p.leave), noise));
  },
};

export const MODELS: readonly Model[] = [cnn, transformer, nerf, unet];

/** `steps` of gradient descent from the model's start: the losses and the final parameters; frees every tensor. */
export async function train(
  tf: Tf,
  model: Model,
  steps: number,
): Promise<{ losses: number[]; params: Float32Array[] }> {
  const { params: initial, batch } = model.init(tf);
  const names = Object.keys(initial);
  const losses: number[] = [];
  let params: Tensor[] = Object.values(initial);
  for (let step = 0; step < steps; step++) {
    const [loss, ...next] = tf.tidy(() => {
      const named = (values: Tensor[]) => Object.fromEntries(values.map((value, index) => [names[index], value]));
      const { value, grads } = tf.valueAndGrads((...values: Tensor[]) => model.loss(tf, named(values), batch))(params);
      return [value, ...params.map((param, index) => tf.sub(param, tf.mul(grads[index], model.learningRate)))];
    });
    losses.push((await loss.data())[0]);
    tf.dispose([loss, params]);
    params = next;
  }
  const values = await Promise.all(params.map(async (param) => (await param.data()) as Float32Array));
  tf.dispose([params, batch]);
  return { losses, params: values };
}

/** SHA-256 of all models' parameters after three steps. */
export async function trainingDigest(tf: Tf): Promise<string> {
  const hash = createHash('sha256');
  for (const model of MODELS) {
    for (const values of (await train(tf, model, 3)).params) hash.update(values);
  }
  return hash.digest('hex');
}
