/**
 * Gradients of the kernels that gradients are made of, so that a gradient can be differentiated once more: attacks that
 * reconstruct data from gradients need it. Products, sums and element-wise functions have theirs in the other files; pooling
 * and gelu are differentiable once.
 */
import type { NamedAttrMap, Tensor } from '@tensorflow/tfjs-core';
import { ADD_SCALED, RELU_GRAD, SIGMOID_GRAD, SPREAD, TANH_GRAD } from '../kernel-names.js';
import { type Gradient, type GradientTable, type Tf, unbroadcast } from './gradient.js';

/** Of gradient kernels; without these a gradient cannot be differentiated again. */
export function secondGradients(tf: Tf): GradientTable {
  const run = (name: string, inputs: Record<string, Tensor>, attrs: NamedAttrMap = {}) =>
    tf.engine().runKernel(name, inputs, attrs) as Tensor;
  /** A kernel {dy, y} -> dy · f(y), linear in dy: its gradient towards dy is itself, towards y it is g · dy · f'(y). */
  const scaledBy = (name: string, y: string, slope: (y: Tensor) => Tensor): Gradient => ({
    inputsToSave: ['dy', y],
    gradFunc: (given, saved) => {
      const [g, [dy, value]] = [given as Tensor, saved as Tensor[]];
      return { dy: () => run(name, { dy: g, [y]: value }), [y]: () => tf.mul(tf.mul(g, dy), slope(value)) };
    },
  });
  return {
    [RELU_GRAD]: scaledBy(RELU_GRAD, 'x', (x) => tf.zerosLike(x)),
    [TANH_GRAD]: scaledBy(TANH_GRAD, 'y', (y) => tf.mul(y, -2)),
    [SIGMOID_GRAD]: scaledBy(SIGMOID_GRAD, 'y', (y) => tf.sub(1, tf.mul(y, 2))),
    // y + 1 where y < 0, else 1
    EluGrad: scaledBy('EluGrad', 'y', (y) => tf.cast(tf.less(y, 0), 'float32')),
    [SPREAD]: {
      gradFunc: (g, _saved, attrs) => {
        const { axes, scale } = attrs as { axes: number[]; scale: number };
        return { x: () => tf.mul(tf.sum(g as Tensor, axes, true), scale) };
      },
    },
    [ADD_SCALED]: {
      inputsToSave: ['a', 'b'],
      gradFunc: (given, saved, attrs) => {
        const [g, [a, b]] = [given as Tensor, saved as Tensor[]];
        const { scale } = attrs as { scale: number };
        return { a: () => unbroadcast(tf, g, a.shape), b: () => tf.reshape(tf.mul(g, scale), b.shape) };
      },
    },
    // The filter gradient is linear in x and in dy.
    Conv2DBackpropFilter: {
      inputsToSave: ['x', 'dy'],
      gradFunc: (given, saved, attrs) => {
        const [filter, [x, dy]] = [given as Tensor, saved as Tensor[]];
        return {
          x: () => run('Conv2DBackpropInput', { dy, filter }, { ...attrs, inputShape: x.shape }),
          dy: () => run('Conv2D', { x, filter }, { dilations: [1, 1], ...attrs }),
        };
      },
    },
  };
}
