/** Gradients of element-wise functions of two tensors, which may broadcast. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { type Gradient, type GradientTable, type Tf, unbroadcast } from './gradient.js';

/** Constant in pieces: their results may steer a `where` without ending the differentiation. */
const FLAT = [
  ...['Equal', 'NotEqual', 'Greater', 'GreaterEqual', 'Less', 'LessEqual'],
  ...['LogicalAnd', 'LogicalOr', 'LogicalXor', 'FloorDiv'],
];

type Partial = (dy: Tensor, a: Tensor, b: Tensor) => Tensor;

/** Of kernels with two inputs, which may be broadcast: each gradient has its own input's shape. */
export function binaryGradients(tf: Tf): GradientTable {
  /** The partial derivatives times dy, before the sum over broadcast axes. */
  const of = (toA: Partial, toB: Partial): Gradient => ({
    inputsToSave: ['a', 'b'],
    gradFunc: (given, saved) => {
      const [dy, [a, b]] = [given as Tensor, saved as Tensor[]];
      return {
        a: () => unbroadcast(tf, toA(dy, a, b), a.shape),
        b: () => unbroadcast(tf, toB(dy, a, b), b.shape),
      };
    },
  });
  const float = (condition: Tensor) => tf.cast(condition, 'float32');
  const zero: Partial = (dy) => tf.zerosLike(dy);
  const flat = of(zero, zero);
  return {
    Add: of(
      (dy) => dy,
      (dy) => dy,
    ),
    Sub: of(
      (dy) => dy,
      (dy) => tf.neg(dy),
    ),
    Multiply: of(
      (dy, _a, b) => tf.mul(dy, float(b)),
      (dy, a) => tf.mul(dy, float(a)),
    ),
    RealDiv: of(
      (dy, _a, b) => tf.div(dy, float(b)),
      (dy, a, b) => tf.neg(tf.div(tf.mul(dy, float(a)), tf.square(float(b)))),
    ),
    SquaredDifference: of(
      (dy, a, b) => tf.mul(dy, tf.mul(tf.sub(a, b), 2)),
      (dy, a, b) => tf.mul(dy, tf.mul(tf.sub(b, a), 2)),
    ),
    // Where both are equal the gradient goes to the first.
    Maximum: of(
      (dy, a, b) => tf.mul(dy, float(tf.greaterEqual(a, b))),
      (dy, a, b) => tf.mul(dy, float(tf.less(a, b))),
    ),
    Minimum: of(
      (dy, a, b) => tf.mul(dy, float(tf.lessEqual(a, b))),
      (dy, a, b) => tf.mul(dy, float(tf.greater(a, b))),
    ),
    Pow: of(
      (dy, a, b) => tf.mul(dy, tf.mul(float(b), tf.pow(a, tf.sub(float(b), 1)))),
      // ln of the base where it is positive; elsewhere the power is not differentiable in the exponent.
      (dy, a, b) => {
        const positive = tf.greater(a, 0);
        const log = tf.where(positive, tf.log(tf.where(positive, a, tf.onesLike(a))), tf.zerosLike(a));
        return tf.mul(dy, tf.mul(tf.pow(a, b), log));
      },
    ),
    Atan2: of(
      (dy, a, b) => tf.mul(dy, tf.div(b, tf.add(tf.square(a), tf.square(b)))),
      (dy, a, b) => tf.neg(tf.mul(dy, tf.div(a, tf.add(tf.square(a), tf.square(b))))),
    ),
    Mod: of(
      (dy) => dy,
      (dy, a, b) => tf.neg(tf.mul(dy, tf.floor(tf.div(a, b)))),
    ),
    ...Object.fromEntries(FLAT.map((name) => [name, flat])),
    AddN: {
      saveAllInputs: true,
      gradFunc: (dy, saved) =>
        Object.fromEntries((saved as Tensor[]).map((_, index) => [index, () => tf.clone(dy as Tensor)])),
    },
  };
}
