/** Gradients of element-wise functions of one tensor. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { GELU, GELU_GRAD, RELU_GRAD, SIGMOID_GRAD, TANH_GRAD } from '../kernel-names.js';
import {
  fusedOr,
  type Gradient,
  type GradientTable,
  ofGradient,
  ofInput,
  ofOutput,
  type Tf,
  type UnaryRule,
  unbroadcast,
} from './gradient.js';

/** Klambauer et al. 2017, https://arxiv.org/abs/1706.02515 */
const SELU_SCALE = 1.0507009873554805;
const SELU_ALPHA = 1.6732632423543772;

/** Of kernels that map each element by itself. */
export function unaryGradients(tf: Tf): GradientTable {
  return { ...trigonometric(tf), ...exponential(tf), ...activations(tf), ...flat(tf) };
}

function trigonometric(tf: Tf): GradientTable {
  const output = (name: string, rule: UnaryRule) => ofOutput(tf, name, rule);
  const onePlus = (x: Tensor) => tf.add(x, 1);
  const oneMinus = (x: Tensor) => tf.sub(1, x);
  return {
    Sin: ofInput((dy, x) => tf.mul(dy, tf.cos(x))),
    Cos: ofInput((dy, x) => tf.neg(tf.mul(dy, tf.sin(x)))),
    Tan: output('Tan', (dy, y) => tf.mul(dy, onePlus(tf.square(y)))),
    Asin: ofInput((dy, x) => tf.div(dy, tf.sqrt(oneMinus(tf.square(x))))),
    Acos: ofInput((dy, x) => tf.neg(tf.div(dy, tf.sqrt(oneMinus(tf.square(x)))))),
    Atan: ofInput((dy, x) => tf.div(dy, onePlus(tf.square(x)))),
    Sinh: ofInput((dy, x) => tf.mul(dy, tf.cosh(x))),
    Cosh: ofInput((dy, x) => tf.mul(dy, tf.sinh(x))),
    Tanh: output('Tanh', (dy, y) => fusedOr(tf, TANH_GRAD, { dy, y }, {}, () => tf.mul(dy, oneMinus(tf.square(y))))),
    Asinh: ofInput((dy, x) => tf.div(dy, tf.sqrt(onePlus(tf.square(x))))),
    Acosh: ofInput((dy, x) => tf.div(dy, tf.sqrt(tf.sub(tf.square(x), 1)))),
    Atanh: ofInput((dy, x) => tf.div(dy, oneMinus(tf.square(x)))),
  };
}

function exponential(tf: Tf): GradientTable {
  const output = (name: string, rule: UnaryRule) => ofOutput(tf, name, rule);
  return {
    Exp: output('Exp', (dy, y) => tf.mul(dy, y)),
    Expm1: output('Expm1', (dy, y) => tf.mul(dy, tf.add(y, 1))),
    Log: ofInput((dy, x) => tf.div(dy, x)),
    Log1p: ofInput((dy, x) => tf.div(dy, tf.add(x, 1))),
    Erf: ofInput((dy, x) => tf.mul(dy, tf.mul(tf.exp(tf.neg(tf.square(x))), 2 / Math.sqrt(Math.PI)))),
    Square: ofInput((dy, x) => tf.mul(dy, tf.mul(x, 2))),
    Sqrt: output('Sqrt', (dy, y) => tf.div(dy, tf.mul(y, 2))),
    Rsqrt: output('Rsqrt', (dy, y) => tf.mul(dy, tf.mul(tf.mul(y, tf.square(y)), -0.5))),
    Reciprocal: output('Reciprocal', (dy, y) => tf.neg(tf.mul(dy, tf.square(y)))),
    Neg: ofGradient((dy) => tf.neg(dy)),
    Abs: ofInput((dy, x) => tf.mul(dy, tf.sign(x))),
  };
}

function activations(tf: Tf): GradientTable {
  const output = (name: string, rule: UnaryRule) => ofOutput(tf, name, rule);
  const where = (condition: Tensor, a: Tensor, b: Tensor) => tf.where(condition, a, b);
  return {
    // Only the output is saved: where it is positive decides, and that has no derivative.
    Relu: {
      outputsToSave: [true],
      gradFunc: (given, saved) => {
        const [dy, [y]] = [given as Tensor, saved as Tensor[]];
        return { x: () => fusedOr(tf, RELU_GRAD, { dy, x: y }, {}, () => tf.mul(dy, tf.step(y))) };
      },
    },
    Relu6: ofInput((dy, x) => tf.mul(dy, tf.cast(tf.logicalAnd(tf.greater(x, 0), tf.lessEqual(x, 6)), 'float32'))),
    Sigmoid: output('Sigmoid', (dy, y) =>
      fusedOr(tf, SIGMOID_GRAD, { dy, y }, {}, () => tf.mul(dy, tf.mul(y, tf.sub(1, y)))),
    ),
    Softplus: ofInput((dy, x) => tf.mul(dy, tf.sigmoid(x))),
    [GELU]: ofInput((dy, x) => tf.engine().runKernel(GELU_GRAD, { dy, x }) as Tensor),
    Elu: output('Elu', (dy, y) => tf.engine().runKernel('EluGrad', { dy, y }) as Tensor),
    Selu: ofInput((dy, x) =>
      where(tf.greater(x, 0), tf.mul(dy, SELU_SCALE), tf.mul(dy, tf.mul(tf.exp(x), SELU_SCALE * SELU_ALPHA))),
    ),
    LeakyRelu: ofInput((dy, x, attrs) => where(tf.greater(x, 0), dy, tf.mul(dy, (attrs as { alpha: number }).alpha))),
    Prelu: {
      inputsToSave: ['x', 'alpha'],
      gradFunc: (given, saved) => {
        const [dy, [x, alpha]] = [given as Tensor, saved as Tensor[]];
        return {
          x: () => where(tf.greater(x, 0), dy, tf.mul(dy, alpha)),
          alpha: () => unbroadcast(tf, tf.mul(dy, tf.minimum(x, 0)), alpha.shape),
        };
      },
    },
    ClipByValue: ofInput((dy, x, attrs) => {
      const { clipValueMin, clipValueMax } = attrs as { clipValueMin: number; clipValueMax: number };
      const inside = tf.logicalAnd(tf.greaterEqual(x, clipValueMin), tf.lessEqual(x, clipValueMax));
      return tf.mul(dy, tf.cast(inside, 'float32'));
    }),
  };
}

/** Functions that are constant in pieces, and those that only change the type. */
function flat(tf: Tf): GradientTable {
  const zero = ofGradient((dy) => tf.zerosLike(dy));
  const same = ofGradient((dy) => tf.cast(dy, 'float32'));
  const cast = ofGradient((dy, { dtype }) => (dtype === 'float32' ? tf.clone(dy) : tf.zeros(dy.shape)));
  const names = [
    'Ceil',
    'Floor',
    'Round',
    'Sign',
    'Step',
    'IsFinite',
    'IsInf',
    'IsNan',
    'OnesLike',
    'ZerosLike',
    'LogicalNot',
  ];
  return { ...Object.fromEntries(names.map((name): [string, Gradient] => [name, zero])), Identity: same, Cast: cast };
}
