/**
 * Layers as functions of named tensors: a layer `name` reads `name/kernel` and `name/bias` from the parameters. Nothing
 * holds state, so the same function serves training, evaluation and per-example gradients.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import * as kernels from '../../backends/layers.js';
import type { TensorMap } from '../../workload.js';

type Activation = kernels.Activation;

/** What keeps a norm from dividing by zero. */
const EPSILON = 1e-5;

/**
 * Kernel and bias of one layer. Kernel: normal with stdDev √(2 / fan-in) (He et al. 2015, arXiv:1502.01852, eq. 10), for
 * layers that feed a ReLU; bias: 0.
 * @param shape last axis: outputs; the others: inputs, whose product is the fan-in
 */
export function heLayer(rng: Rng, name: string, shape: readonly number[]): HostTensors {
  return drawnLayer(rng, name, shape, (normal, fanIn) => Math.sqrt(2 / fanIn) * normal);
}

/** The same with a kernel of standard normals that went through `scaled`. */
export function drawnLayer(
  rng: Rng,
  name: string,
  shape: readonly number[],
  scaled: (normal: number, fanIn: number) => number,
): HostTensors {
  const outputs = shape[shape.length - 1];
  const fanIn = shape.slice(0, -1).reduce((product, dimension) => product * dimension, 1);
  const source = rng.split(name);
  const kernel = Float32Array.from({ length: fanIn * outputs }, () => scaled(source.normal(), fanIn));
  return {
    [`${name}/kernel`]: { shape, data: kernel },
    [`${name}/bias`]: { shape: [outputs], data: new Float32Array(outputs) },
  };
}

/** [batch, height, width, in] -> [batch, height / stride, width / stride, out], zero-padded ('same'), through `activation`. */
export function conv(
  params: TensorMap,
  name: string,
  x: tf.Tensor4D,
  stride = 1,
  activation: Activation = 'linear',
): tf.Tensor4D {
  return kernels.convolution(tf, x, params[`${name}/kernel`], params[`${name}/bias`], { stride, activation });
}

/** [batch, in] -> [batch, out], through `activation` */
export function dense(params: TensorMap, name: string, x: tf.Tensor2D, activation: Activation = 'linear'): tf.Tensor2D {
  return kernels.dense(tf, x, params[`${name}/kernel`], params[`${name}/bias`], activation);
}

/** Rows of `name/table` [entries, width] for whole numbers `ids` [batch, ...] -> [batch, ..., width]. */
export function embedding(params: TensorMap, name: string, ids: tf.Tensor): tf.Tensor {
  return kernels.embedding(tf, params[`${name}/table`], ids);
}

/** x / √(mean x² + 1e-5) · `name/gain`, over the last axis (Zhang and Sennrich 2019, arXiv:1910.07467). */
export function rmsNorm(params: TensorMap, name: string, x: tf.Tensor): tf.Tensor {
  return kernels.scaled(tf, overRms(x), params[`${name}/gain`]);
}

/** The same without a gain. */
export function overRms<T extends tf.Tensor>(x: T): T {
  return tf.mul(x, tf.rsqrt(tf.add(tf.mean(tf.square(x), -1, true), EPSILON)));
}

/**
 * (x − mean) / √(variance + 1e-5) · `name/gain` + `name/shift` for each example over height, width and the channels of each
 * group: x [batch, height, width, channels] (Wu and He 2018, arXiv:1803.08494).
 */
export function groupNorm(params: TensorMap, name: string, x: tf.Tensor4D, groups: number): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  const grouped = standardised(tf.reshape(x, [batch, height * width, groups, channels / groups]), [1, 3]);
  const gain = params[`${name}/gain`];
  return kernels.scaled(tf, tf.reshape(grouped, x.shape), gain, params[`${name}/shift`]) as tf.Tensor4D;
}

/** x less its mean over `axes`, over its standard deviation. */
function standardised(x: tf.Tensor, axes: number[]): tf.Tensor {
  const { mean, variance } = tf.moments(x, axes, true);
  return tf.mul(tf.sub(x, mean), tf.rsqrt(tf.add(variance, EPSILON)));
}

/** What so many strides, or pools, of 2 leave of a side. */
export function leftOf(side: number, strides: number): number {
  return strides === 0 ? side : leftOf(Math.ceil(side / 2), strides - 1);
}

/** [batch, ...] -> [batch, all the rest] */
export function flatten(x: tf.Tensor): tf.Tensor2D {
  return tf.reshape(x, [x.shape[0], x.size / x.shape[0]]);
}

/** One-hot [batch, classes] of the largest logit. */
export function predictionOf(logits: tf.Tensor2D): tf.Tensor2D {
  return tf.cast(tf.oneHot(tf.argMax(logits, 1) as tf.Tensor1D, logits.shape[1]), 'float32') as tf.Tensor2D;
}

/** Cross-entropy of each example [batch], from logits and one-hot labels, both [batch, classes]. */
export function crossEntropy(logits: tf.Tensor2D, oneHot: tf.Tensor2D): tf.Tensor1D {
  return tf.neg(tf.sum(tf.mul(oneHot, tf.logSoftmax(logits)), 1));
}
