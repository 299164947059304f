/**
 * Layers as single kernels, forward and backward: what `tf.relu(tf.add(tf.matMul(x, w), b))` computes in three passes over
 * memory and records as three steps. They work on every back end; on wasm the fewer passes are worth a few per cent of a
 * small network and a sixth of a transformer.
 *
 * Layers with parameters are tapped (taps.ts): a model that is made of them has fast gradients of single examples. In all
 * of them the first axis of x is the batch, or batch · time with the times of one example side by side.
 */
import type { NamedAttrMap, Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { Tf } from './gradients/gradient.js';
import { ADD_SCALED, GELU } from './kernel-names.js';
import { tapped, type Use } from './taps.js';

/** What is applied to a layer's output. */
export type Activation = 'linear' | 'relu';

/**
 * activation(x · weight + bias): x [batch, in], weight [in, out], bias [out] or none; or x [batch, time, in], as if it were
 * [batch · time, in]. The caller owns the result.
 */
export function dense<Result extends Tensor = Tensor2D>(
  tf: Tf,
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  activation: Activation = 'linear',
): Result {
  if (x.rank > 2) {
    const flat = dense(tf, tf.reshape(x, [-1, x.shape[x.rank - 1]]), weight, bias, activation);
    return tf.reshape(flat, [...x.shape.slice(0, -1), weight.shape[1] as number]) as Result;
  }
  const attrs = { transposeA: false, transposeB: false, activation, leakyreluAlpha: 0 };
  const uses: Use[] = [{ kind: 'product', param: weight }];
  if (bias !== undefined) uses.push({ kind: 'shift', param: bias });
  const inputs = { a: x, b: weight, ...(bias && { bias }) };
  return tapped(tf, { input: x, activation, uses }, () => fused<Result>(tf, '_FusedMatMul', inputs, attrs));
}

/** x · tableᵀ: x [rows, width], table [entries, width] -> [rows, entries]; the logits of a model that ties its embedding. */
export function tiedLogits(tf: Tf, x: Tensor, table: Tensor): Tensor2D {
  const uses: Use[] = [{ kind: 'product', param: table, transposed: true }];
  return tapped(tf, { input: x, uses }, () => tf.matMul(x, table, false, true) as Tensor2D);
}

/** Rows of `table` [entries, width] for whole numbers `ids` [batch, ...] -> [batch, ..., width]. The caller owns the result. */
export function embedding(tf: Tf, table: Tensor, ids: Tensor): Tensor {
  return tapped(tf, { input: ids, uses: [{ kind: 'lookup', param: table }] }, () => tf.gather(table, ids));
}

/** x · gain + shift over the last axis: x [batch, ..., width], gain [width], shift [width] or none. The caller owns the result. */
export function scaled(tf: Tf, x: Tensor, gain: Tensor, shift?: Tensor): Tensor {
  const uses: Use[] = [{ kind: 'gain', param: gain }];
  if (shift !== undefined) uses.push({ kind: 'shift', param: shift });
  return tapped(tf, { input: x, uses }, () => {
    const product = tf.mul(x, gain);
    return shift === undefined ? product : tf.add(product, shift);
  });
}

/** x + shift, whose shape is that of the last axes of x: trained positions, for instance. The caller owns the result. */
export function shifted(tf: Tf, x: Tensor, shift: Tensor): Tensor {
  return tapped(tf, { input: x, uses: [{ kind: 'shift', param: shift }] }, () => tf.add(x, shift));
}

/** Absent: stride 1, the same size, linear. */
export interface ConvolutionOptions {
  readonly stride?: number;
  readonly pad?: 'same' | 'valid';
  readonly activation?: Activation;
}

/**
 * activation(x * filter + bias): x [batch, height, width, in], filter [height, width, in, out], bias [out] or none; stride 1,
 * padded to the same size and linear unless said otherwise. The caller owns the result.
 */
export function convolution(
  tf: Tf,
  x: Tensor,
  filter: Tensor,
  bias?: Tensor,
  { stride = 1, pad = 'same', activation = 'linear' }: ConvolutionOptions = {},
): Tensor4D {
  const strides = [stride, stride];
  const attrs = { strides, pad, dataFormat: 'NHWC', dilations: [1, 1], activation, leakyreluAlpha: 0 };
  const uses: Use[] = [{ kind: 'filter', param: filter, strides, pad }];
  if (bias !== undefined) uses.push({ kind: 'shift', param: bias });
  const inputs = { x, filter, ...(bias && { bias }) };
  return tapped(tf, { input: x, activation, uses }, () => fused<Tensor4D>(tf, 'FusedConv2D', inputs, attrs));
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
