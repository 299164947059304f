/**
 * From a tap to gradients of single examples: for each way in which a layer uses a parameter (taps.ts), the norms of the
 * examples' gradients, the gradients themselves, and their weighted sum.
 *
 * With x the layer's input and δ the derivative with respect to its output before the activation, each [batch, times, ...]:
 *
 *     product  g_b = Σ_t x_bt δ_btᵀ;   one time: |g_b| = |x_b| |δ_b| (Goodfellow 2015, arXiv:1510.01799)
 *     filter   the same, x_bt being the window of output pixel t
 *     lookup   g_b has in row v the sum of δ_bt over the times at which v was looked up
 *     gain     g_b = Σ_t x_bt ∘ δ_bt
 *     shift    g_b = Σ_t δ_bt
 *
 * A norm is taken of the very numbers that are added, or bounds them from above term by term:
 *
 * - A sum over times is *written down*, its float32 value e_b is both measured and added. That e_b is not quite g_b is no
 *   matter: it follows from example b alone, so clipping it bounds what b adds.
 * - A product at one time is one term: what is added, fl(x_i · fl(f δ_j)), is at most |x_i| f |δ_j| (1 + 2^-24)² for every
 *   entry, so |x_b| |δ_b| bounds it; both with what underflow took, since one may be as large as the other is small.
 *
 * *Ghost norms*, Σ_tu (x_t · x_u)(δ_t · δ_u) (Li et al. 2021, arXiv:2110.05679, section 4), write nothing down but are sums of
 * both signs: where they cancel, float32 leaves a norm of zero for a gradient of any size. They are not used here.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Use } from '../../backends/taps.js';
import { exampleFilterGradients } from './im2col.js';
import { boundOfSquares, sumOfSquares } from './norms.js';

/** One use of a parameter, whose gradient is `shape`. All results are for the caller's tidy. */
export interface ExampleGradients {
  /** |g_b|² as {@link weightedSum} adds it, or a bound of it, [batch]; for {@link boundOfNorm}. */
  squaredNorms(): tf.Tensor;
  /** g_b, [batch, size]; costs memory for every example */
  each(): tf.Tensor;
  /** Σ_b factors_b g_b in the parameter's shape */
  weightedSum(factors: tf.Tensor): tf.Tensor;
}

/** A layer's input and the derivative of the summed loss by its output before the activation. */
interface LayerSignals {
  readonly examples: number;
  readonly input: tf.Tensor;
  readonly outputGradient: tf.Tensor;
  /** A bound of |δ_b|² over all times, kept for the layer's second parameter. */
  outputGradientSquares?: tf.Tensor;
}

/**
 * @returns nothing if the batch is no leading part of the first axis, or a shape is not one that a tap describes
 */
export function exampleGradients(use: Use, signals: LayerSignals): ExampleGradients | undefined {
  const { examples, input, outputGradient } = signals;
  if (outputGradient.shape[0] % examples !== 0 || input.shape[0] % examples !== 0) return undefined;
  switch (use.kind) {
    case 'product':
      return productGradients(use, signals);
    case 'filter':
      return filterGradients(use, signals);
    case 'lookup':
      return lookupGradients(use.param, tf.reshape(input, [examples, -1]), perTime(outputGradient, examples));
    case 'gain': {
      if (use.param.rank !== 1 || use.param.size !== outputGradient.shape[outputGradient.rank - 1]) return undefined;
      return writtenDown(use.param, tf.sum(perTime(tf.mul(input, outputGradient), examples), 1));
    }
    case 'shift': {
      const perExample = [outputGradient.shape[0] / examples, ...outputGradient.shape.slice(1)];
      if (!endsWith(perExample, use.param.shape)) return undefined;
      if (outputGradient.size === examples * use.param.size) {
        const each = tf.reshape(outputGradient, [examples, use.param.size]);
        return { ...writtenDown(use.param, each), squaredNorms: () => outputGradientSquares(signals) };
      }
      return writtenDown(use.param, tf.sum(tf.reshape(outputGradient, [examples, -1, use.param.size]), 1));
    }
  }
}

function outputGradientSquares(signals: LayerSignals): tf.Tensor {
  signals.outputGradientSquares ??= boundOfSquares(signals.outputGradient);
  return signals.outputGradientSquares;
}

function productGradients(
  { param, transposed = false }: Extract<Use, { kind: 'product' }>,
  signals: LayerSignals,
): ExampleGradients {
  const { examples, input, outputGradient } = signals;
  const sides = transposed ? ([outputGradient, input] as const) : ([input, outputGradient] as const);
  const each = () => {
    const [left, right] = sides.map((side) => perTime(side, examples));
    return rows(tf.matMul(left, right, true, false));
  };
  if (input.size > examples * input.shape[input.rank - 1]) return writtenDown(param, each()); // several times
  return {
    each,
    squaredNorms: () => tf.mul(boundOfSquares(input), outputGradientSquares(signals)),
    weightedSum: (factors) => {
      const [left, right] = sides.map(rows);
      return tf.matMul(left, tf.mul(right, tf.expandDims(factors, 1)), true, false);
    },
  };
}

/** [batch, ...] -> [batch, all the rest] */
function rows(x: tf.Tensor): tf.Tensor2D {
  return x.rank === 2 ? (x as tf.Tensor2D) : tf.reshape(x, [x.shape[0], -1]);
}

/** [batch · times, ..., width] -> [batch, all the rest, width] */
function perTime(x: tf.Tensor, examples: number): tf.Tensor3D {
  return tf.reshape(x, [examples, -1, x.shape[x.rank - 1]]);
}

function endsWith(shape: readonly number[], end: readonly number[]): boolean {
  return end.length <= shape.length && end.every((size, i) => size === shape[shape.length - end.length + i]);
}

/** Gradients, [batch, size], that are simply there. */
export function writtenDown(param: tf.Tensor, each: tf.Tensor): ExampleGradients {
  return {
    squaredNorms: () => sumOfSquares(each),
    each: () => each,
    weightedSum: (factors) => weigh(factors, each, param.shape),
  };
}

function weigh(factors: tf.Tensor, each: tf.Tensor, shape: number[]): tf.Tensor {
  return tf.reshape(tf.matMul(tf.reshape(factors, [1, -1]), each as tf.Tensor2D), shape);
}

function filterGradients(
  { param, strides, pad }: Extract<Use, { kind: 'filter' }>,
  { examples, input, outputGradient }: LayerSignals,
): ExampleGradients | undefined {
  if (input.shape[0] !== examples) return undefined;
  const attrs = { strides: [...strides], pad, dataFormat: 'NHWC', filterShape: param.shape };
  return writtenDown(param, exampleFilterGradients(input as tf.Tensor4D, outputGradient as tf.Tensor4D, attrs));
}

/** The rows of the table that an example looked up are written down, each at the first time that it did; the others are zero. */
function lookupGradients(param: tf.Tensor, looked: tf.Tensor2D, right: tf.Tensor3D): ExampleGradients {
  const [examples, times, width] = right.shape;
  const [entries] = param.shape;
  const ids = tf.cast(looked, 'int32');
  let found: tf.Tensor3D | undefined;
  const written = (): tf.Tensor3D => {
    found ??= times === 1 ? right : tf.matMul(sameAsFirst(ids), right);
    return found;
  };
  return {
    squaredNorms: () => sumOfSquares(written()),
    each() {
      const chosen = tf.cast(tf.oneHot(ids, entries), 'float32'); // [batch, times, entries]
      return rows(tf.matMul(chosen, right, true, false));
    },
    weightedSum(factors) {
      const weighed = tf.mul(written(), tf.reshape(factors, [examples, 1, 1]));
      return tf.unsortedSegmentSum(tf.reshape(weighed, [-1, width]), tf.reshape(ids, [-1]), entries);
    },
  };
}

/** [batch, times, times]: 1 at t, u if the ids at t and u agree and t is the first time of that id; else 0. */
function sameAsFirst(ids: tf.Tensor2D): tf.Tensor3D {
  const [examples, times] = ids.shape;
  const agree = tf.equal(tf.reshape(ids, [examples, times, 1]), tf.reshape(ids, [examples, 1, times]));
  const same = tf.cast(agree, 'float32') as tf.Tensor3D;
  const earlier = tf.tensor2d(
    Float32Array.from({ length: times * times }, (_, i) => Number(i % times < Math.floor(i / times))),
    [times, times],
  );
  const first = tf.cast(tf.equal(tf.sum(tf.mul(same, earlier), 2, true), 0), 'float32');
  return tf.mul(same, first);
}
