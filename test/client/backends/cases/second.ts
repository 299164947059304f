/** Gradients of gradients: how the gradient with respect to the weights changes with the data. */
import type { Tensor, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import { convolution, dense } from '../../../../client/backends/layers.js';
import { type Case, op, type Tf } from './case.js';

/** The gradient of sum(cos(layer(x, w))) with respect to w, itself a function of x and w. */
function weightGradient(tf: Tf, layer: (x: Tensor, w: Tensor) => Tensor, x: Tensor, w: Tensor): Tensor {
  return tf.grad((weight: Tensor) => tf.sum(tf.cos(layer(x, weight))))(w);
}

const ACTIVATIONS: readonly [name: string, run: (tf: Tf, x: Tensor) => Tensor][] = [
  ['tanh', (tf, x) => tf.tanh(x)],
  ['sigmoid', (tf, x) => tf.sigmoid(x)],
  ['relu', (tf, x) => tf.relu(x)],
  ['exp', (tf, x) => tf.exp(x)],
  // tf.logSoftmax brings a gradient of its own that cannot be differentiated again.
  ['x - logSumExp', (tf, x) => tf.sub(x, tf.logSumExp(x, -1, true))],
  ['elu', (tf, x) => tf.elu(x)],
  ['mean', (tf, x) => tf.mean(x, 1)],
  ['softmax', (tf, x) => tf.softmax(x)],
];

export const SECOND_GRADIENTS: readonly Case[] = [
  ...ACTIVATIONS.map(([name, run]) =>
    op(
      `weight gradient of matMul and ${name}`,
      [
        [3, 4],
        [4, 5],
      ],
      (tf, x, w) => weightGradient(tf, (a, b) => run(tf, tf.matMul(a as Tensor2D, b as Tensor2D)), x, w),
    ),
  ),
  ...[1, 2].map((stride) =>
    op(
      `weight gradient of conv2d, stride ${stride}`,
      [
        [2, 5, 6, 2],
        [3, 3, 2, 3],
      ],
      (tf, x, w) => weightGradient(tf, (a, b) => tf.conv2d(a as Tensor4D, b as Tensor4D, stride, 'same'), x, w),
    ),
  ),
  op(
    'weight gradient of layer dense',
    [
      [3, 4],
      [4, 5],
    ],
    (tf, x, w) => weightGradient(tf, (a, b) => dense(tf, a, b, tf.zeros([5])), x, w),
  ),
  op(
    'weight gradient of layer convolution',
    [
      [1, 4, 4, 2],
      [3, 3, 2, 3],
    ],
    (tf, x, w) => weightGradient(tf, (a, b) => convolution(tf, a, b, tf.zeros([3])), x, w),
  ),
];
