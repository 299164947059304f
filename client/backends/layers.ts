/**
 * Layers as single kernels, forward and backward: what `tf.relu(tf.add(tf.matMul(x, w), b))` computes in three passes over
 * memory and records as three steps. They work on every back end; on wasm the fewer passes are worth a few per cent of a
 * small network and a sixth of a transformer.
 */
import type { NamedAttrMap, Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Tf } from './gradients/gradient.js';
import { ADD_SCALED, GELU } from './kernel-names.js';

export type Activation = 'linear' | 'relu';

/** activation(x · weight + bias): x [batch, in], weight [in, out], bias [out]. The caller owns the result. */
export function dense(tf: Tf, x: Tensor, weight: Tensor, bias: Tensor, activation: Activation = 'linear'): Tensor2D {
  const attrs = { transposeA: false, transposeB: false, activation, leakyreluAlpha: 0 };
  return fused<Tensor2D>(tf, '_FusedMatMul', { a: x, b: weight, bias }, attrs);
}

export interface ConvolutionOptions {
  readonly stride?: number;
  readonly pad?: 'same' | 'valid';
  readonly activation?: Activation;
}

/**
 * activation(x * filter + bias): x [batch, height, width, in], filter [height, width, in, out], bias [out]; stride 1, padded
 * to the same size and linear unless said otherwise. The caller owns the result.
 */
export function convolution(
  tf: Tf,
  x: Tensor,
  filter: Tensor,
  bias: Tensor,
  { stride = 1, pad = 'same', activation = 'linear' }: ConvolutionOptions = {},
): Tensor4D {
  const strides = [stride, stride];
  const attrs = { strides, pad, dataFormat: 'NHWC', dilations: [1, 1], activation, leakyreluAlpha: 0 };
  return fused<Tensor4D>(tf, 'FusedConv2D', { x, filter, bias }, attrs);
}

/** Gaussian error linear unit in its tanh form: Hendrycks and Gimpel 2016, https://arxiv.org/abs/1606.08415. */
export function gelu(tf: Tf, x: Tensor): Tensor {
  if (tf.getKernel(GELU, tf.getBackend())) return fused(tf, GELU, { x }, {});
  const cubic = tf.add(x, tf.mul(tf.mul(x, tf.square(x)), 0.044715));
  return tf.mul(tf.mul(x, 0.5), tf.add(tf.tanh(tf.mul(cubic, Math.sqrt(2 / Math.PI))), 1));
}

/** a + scale · b in one pass, for tensors of one shape: a step of gradient descent, a momentum. */
export function addScaled(tf: Tf, a: Tensor, b: Tensor, scale: number): Tensor {
  if (tf.getKernel(ADD_SCALED, tf.getBackend())) return fused(tf, ADD_SCALED, { a, b }, { scale });
  return tf.add(a, tf.mul(b, scale));
}

function fused<Result extends Tensor>(
  tf: Tf,
  name: string,
  inputs: Record<string, Tensor>,
  attrs: NamedAttrMap,
): Result {
  return tf.engine().runKernel(name, inputs, attrs) as Result;
}
