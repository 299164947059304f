/**
 * What a gradient is: a rule by which TensorFlow.js carries the derivative of an operation's output back to its inputs.
 *
 * `@tensorflow/tfjs-core` registers none by itself in Node. Its stock ones load there, but 55 of the 263 cases of our spec
 * fail on them. Ours are written from the calculus, use a fused kernel where the back end has one, and reduce over
 * broadcast axes throughout.
 */
import type { GradConfig, NamedAttrMap, Tensor } from '@tensorflow/tfjs-core';

/** TensorFlow.js's core, given so that this file does not load it. */
export type Tf = typeof import('@tensorflow/tfjs-core');

/** One rule; `kernelName` is its key in the table. */
export type Gradient = Omit<GradConfig, 'kernelName'>;
/** Gradients by the name of the kernel whose gradient each is. */
export type GradientTable = Readonly<Record<string, Gradient>>;

/** dx of an operation with one input `x`. Called when, and only if, dx is wanted. */
export type UnaryRule = (dy: Tensor, saved: Tensor, attrs: NamedAttrMap) => Tensor;

/** A rule for one input that needs the input. */
export function ofInput(rule: UnaryRule): Gradient {
  return {
    inputsToSave: ['x'],
    gradFunc: (dy, saved, attrs) => ({ x: () => rule(dy as Tensor, (saved as Tensor[])[0], attrs) }),
  };
}

/**
 * A rule for one input that needs the output of `kernelName`. While the gradient itself is recorded, for a gradient of it,
 * the output is computed anew from the input: on the tape the saved copy of an output stands before the operation that made
 * it, so what flows back into the copy would be lost.
 */
export function ofOutput(tf: Tf, kernelName: string, rule: UnaryRule, input = 'x'): Gradient {
  return {
    inputsToSave: [input],
    outputsToSave: [true],
    gradFunc: (dy, saved, attrs) => {
      const [x, y] = saved as Tensor[];
      const output = () => (isRecording(tf) ? (tf.engine().runKernel(kernelName, { [input]: x }, attrs) as Tensor) : y);
      return { [input]: () => rule(dy as Tensor, output(), attrs) };
    },
  };
}

function isRecording(tf: Tf): boolean {
  return tf.engine().state.gradientDepth > 0;
}

/** A rule for one input that needs neither. */
export function ofGradient(rule: (dy: Tensor, attrs: NamedAttrMap) => Tensor): Gradient {
  return { gradFunc: (dy, _saved, attrs) => ({ x: () => rule(dy as Tensor, attrs) }) };
}

/** Runs `fused` if the current back end has that kernel, else `composed`, which must mean the same. */
export function fusedOr(
  tf: Tf,
  name: string,
  inputs: Record<string, Tensor>,
  attrs: object,
  composed: () => Tensor,
): Tensor {
  if (!tf.getKernel(name, tf.getBackend())) return composed();
  return tf.engine().runKernel(name, inputs, attrs as NamedAttrMap) as Tensor;
}

/**
 * Sums a gradient over the axes along which an input of `shape` was broadcast. Always a tensor of its own: the engine may
 * dispose a gradient when it adds another to it, so one tensor must never serve two inputs.
 */
export function unbroadcast(tf: Tf, gradient: Tensor, shape: number[]): Tensor {
  const axes = tf.broadcast_util.getReductionAxes(shape, gradient.shape);
  return tf.reshape(axes.length > 0 ? tf.sum(gradient, axes) : gradient, shape);
}
