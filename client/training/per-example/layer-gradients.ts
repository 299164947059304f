/**
 * From a tap to gradients of single examples: for each way in which a layer uses a parameter (taps.ts), the squared norms
 * of the examples' gradients, the gradients themselves, and their weighted sum.
 *
 * With x the layer's input and δ the derivative with respect to its output before the activation, each [batch, times, ...]:
 *
 *     product  g_b = Σ_t x_bt δ_btᵀ;   one time: |g_b|² = |x_b|² |δ_b|² (Goodfellow 2015, arXiv:1510.01799)
 *              several: |g_b|² = Σ_tu (x_bt · x_bu)(δ_bt · δ_bu), the *ghost norm* (Li et al. 2021, arXiv:2110.05679, section 4)
 *     filter   the same, x_bt being the window of output pixel t
 *     lookup   g_b has in row v the sum of δ_bt over the times at which v was looked up; x_bt · x_bu is 1 if they agree, else 0
 *     gain     g_b = Σ_t x_bt ∘ δ_bt
 *     shift    g_b = Σ_t δ_bt
 *
 * Ghost norms never write a gradient down but take times² products; which of the two is cheaper is decided by shape.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Use } from '../../backends/taps.js';
import { exampleFilterGradients, windows } from './im2col.js';

/** One use of a parameter, whose gradient is `shape`. All results are for the caller's tidy. */
export interface ExampleGradients {
  /** |g_b|², [batch] */
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
  /** |δ_b|² over all times, kept for the layer's second parameter. */
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
      if (outputGradient.shape[0] === examples && outputGradient.rank === 2 && !use.transposed)
        return rowProduct(use.param, signals);
      return use.transposed
        ? productGradients(use.param, perTime(outputGradient, examples), perTime(input, examples))
        : productGradients(use.param, perTime(input, examples), perTime(outputGradient, examples));
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
  signals.outputGradientSquares ??= squares(signals.outputGradient);
  return signals.outputGradientSquares;
}

/** One time: x [batch, in], δ [batch, out]. */
function rowProduct(param: tf.Tensor, signals: LayerSignals): ExampleGradients {
  const { examples, input, outputGradient } = signals;
  return {
    squaredNorms: () => tf.mul(squares(input), outputGradientSquares(signals)),
    each: () => tf.reshape(tf.mul(tf.expandDims(input, 2), tf.expandDims(outputGradient, 1)), [examples, param.size]),
    weightedSum: (factors) => tf.matMul(input, tf.mul(outputGradient, tf.expandDims(factors, 1)), true, false),
  };
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
    squaredNorms: () => tf.sum(tf.square(each), 1),
    each: () => each,
    weightedSum: (factors) => weigh(factors, each, param.shape),
  };
}

function weigh(factors: tf.Tensor, each: tf.Tensor, shape: number[]): tf.Tensor {
  return tf.reshape(tf.matMul(tf.reshape(factors, [1, -1]), each as tf.Tensor2D), shape);
}

/** δ_b times the factor of its example, as rows [batch · times, width]. */
function weighRows(factors: tf.Tensor, rows: tf.Tensor3D): tf.Tensor2D {
  const [batch, times, width] = rows.shape;
  return tf.reshape(tf.mul(rows, tf.reshape(factors, [batch, 1, 1])), [batch * times, width]);
}

/**
 * Whether the norms of `inputs` x `outputs` gradients over `times` are cheaper as ghosts: times² · (inputs + outputs) products,
 * against writing inputs · outputs numbers for each example and reading them twice, each worth about four products.
 */
function prefersGhost(times: number, inputs: number, outputs: number): boolean {
  return times * times * (inputs + outputs) <= 4 * inputs * outputs;
}

function productGradients(param: tf.Tensor, left: tf.Tensor3D, right: tf.Tensor3D): ExampleGradients {
  const [examples, times, inputs] = left.shape;
  const outputs = right.shape[2];
  const ghost = prefersGhost(times, inputs, outputs);
  let written: tf.Tensor | undefined;
  const each = (): tf.Tensor => {
    written ??= tf.reshape(tf.matMul(left, right, true, false), [examples, inputs * outputs]);
    return written;
  };
  return {
    each,
    squaredNorms: () => (ghost ? ghostNorms(left, right) : tf.sum(tf.square(each()), 1)),
    weightedSum: (factors) => {
      if (written !== undefined) return weigh(factors, written, param.shape);
      return tf.matMul(tf.reshape(left, [-1, inputs]), weighRows(factors, right), true, false);
    },
  };
}

function ghostNorms(left: tf.Tensor3D, right: tf.Tensor3D): tf.Tensor {
  if (left.shape[1] === 1) return tf.mul(squares(left), squares(right));
  return tf.sum(tf.mul(gram(left), gram(right)), [1, 2]);
}

/** Σ over all but the first axis of x² */
function squares(x: tf.Tensor): tf.Tensor {
  const axes = x.shape.map((_, axis) => axis).slice(1);
  return tf.sum(tf.square(x), axes);
}

/** [batch, times, width] -> [batch, times, times] */
function gram(x: tf.Tensor3D): tf.Tensor {
  return tf.matMul(x, x, false, true);
}

function filterGradients(
  { param, strides, pad }: Extract<Use, { kind: 'filter' }>,
  { examples, input, outputGradient }: LayerSignals,
): ExampleGradients | undefined {
  if (input.shape[0] !== examples) return undefined;
  const attrs = { strides: [...strides], pad, dataFormat: 'NHWC', filterShape: param.shape };
  const outputs = param.shape[3] as number;
  const right = perTime(outputGradient, examples);
  const ghost = prefersGhost(right.shape[1], param.size / outputs, outputs);
  let written: tf.Tensor | undefined;
  const each = (): tf.Tensor => {
    written ??= exampleFilterGradients(input as tf.Tensor4D, outputGradient as tf.Tensor4D, attrs);
    return written;
  };
  return {
    each,
    squaredNorms: () =>
      ghost ? ghostNorms(windows(input as tf.Tensor4D, attrs), right) : tf.sum(tf.square(each()), 1),
    weightedSum: (factors) => {
      if (written !== undefined) return weigh(factors, written, param.shape);
      const dy = tf.reshape(weighRows(factors, right), outputGradient.shape);
      return tf.engine().runKernel('Conv2DBackpropFilter', { x: input, dy }, attrs) as tf.Tensor;
    },
  };
}

function lookupGradients(param: tf.Tensor, ids: tf.Tensor2D, right: tf.Tensor3D): ExampleGradients {
  const [examples, times, width] = right.shape;
  const [entries] = param.shape;
  return {
    squaredNorms() {
      if (times === 1) return squares(right);
      const same = tf.equal(tf.reshape(ids, [examples, times, 1]), tf.reshape(ids, [examples, 1, times]));
      return tf.sum(tf.mul(tf.cast(same, 'float32'), gram(right)), [1, 2]);
    },
    each() {
      const chosen = tf.cast(tf.oneHot(tf.cast(ids, 'int32'), entries), 'float32'); // [batch, times, entries]
      return tf.reshape(tf.matMul(chosen, right, true, false), [examples, entries * width]);
    },
    weightedSum(factors) {
      const rows = weighRows(factors, right);
      return tf.unsortedSegmentSum(rows, tf.cast(tf.reshape(ids, [-1]), 'int32') as tf.Tensor1D, entries);
    },
  };
}
