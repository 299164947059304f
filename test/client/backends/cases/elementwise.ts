/** Functions of one and of two tensors, element by element. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { type Case, op, type Tf } from './case.js';

const positive = (z: number) => 0.2 + Math.abs(z);
const inUnit = (z: number) => 0.9 * Math.tanh(z);
/** At least 0.1 from zero, where many functions have a kink. */
const offZero = (z: number) => z + 0.1 * Math.sign(z);

type Unary = readonly [name: string, run: (tf: Tf, x: Tensor) => Tensor, draw?: (z: number) => number];

const FUNCTIONS: readonly Unary[] = [
  ['exp', (tf, x) => tf.exp(x)],
  ['expm1', (tf, x) => tf.expm1(x)],
  ['log', (tf, x) => tf.log(x), positive],
  ['log1p', (tf, x) => tf.log1p(x), positive],
  ['sqrt', (tf, x) => tf.sqrt(x), positive],
  ['rsqrt', (tf, x) => tf.rsqrt(x), positive],
  ['square', (tf, x) => tf.square(x)],
  ['reciprocal', (tf, x) => tf.reciprocal(x), positive],
  ['neg', (tf, x) => tf.neg(x)],
  ['abs', (tf, x) => tf.abs(x), offZero],
  ['sin', (tf, x) => tf.sin(x)],
  ['cos', (tf, x) => tf.cos(x)],
  ['tan', (tf, x) => tf.tan(x), inUnit],
  ['asin', (tf, x) => tf.asin(x), inUnit],
  ['acos', (tf, x) => tf.acos(x), inUnit],
  ['atan', (tf, x) => tf.atan(x)],
  ['sinh', (tf, x) => tf.sinh(x)],
  ['cosh', (tf, x) => tf.cosh(x)],
  ['tanh', (tf, x) => tf.tanh(x)],
  ['asinh', (tf, x) => tf.asinh(x)],
  ['acosh', (tf, x) => tf.acosh(x), (z) => 1.5 + Math.abs(z)],
  ['atanh', (tf, x) => tf.atanh(x), inUnit],
  ['erf', (tf, x) => tf.erf(x)],
  ['sigmoid', (tf, x) => tf.sigmoid(x)],
  ['softplus', (tf, x) => tf.softplus(x)],
  ['relu', (tf, x) => tf.relu(x), offZero],
  ['relu6', (tf, x) => tf.relu6(x), (z) => offZero(5 * z)],
  ['elu', (tf, x) => tf.elu(x), offZero],
  ['selu', (tf, x) => tf.selu(x), offZero],
  ['leakyRelu', (tf, x) => tf.leakyRelu(x, 0.3), offZero],
  ['clipByValue', (tf, x) => tf.clipByValue(x, -0.5, 0.7), (z) => Math.round(z * 5) / 5 + 0.05],
  ['step', (tf, x) => tf.step(x), offZero],
  ['floor, ceil, round and sign', (tf, x) => tf.addN([tf.floor(x), tf.ceil(x), tf.round(x), tf.sign(x)]), (z) => 3 * z],
  ['cast to bool and back', (tf, x) => tf.mul(x, tf.cast(tf.cast(tf.step(x), 'bool'), 'float32')), offZero],
  [
    'cast to int32 and back',
    (tf, x) => tf.mul(x, tf.cast(tf.cast(tf.mul(x, 3), 'int32'), 'float32')),
    (z) => Math.round(z * 3) / 3 + 0.1,
  ],
  ['dropout by a given mask', (tf, x) => tf.mul(x, tf.cast(tf.greater(tf.cos(tf.range(0, 11)), 0), 'float32'))],
];

const TRIGONOMETRIC = ['sin', 'cos', 'tan', 'asin', 'acos', 'atan'];

export const UNARY: readonly Case[] = [
  // 11 elements: two vectors of four and a rest of three
  ...FUNCTIONS.map(([name, run, draw]) =>
    op(name, [[11]], run, { ...(draw && { draw }), ...(TRIGONOMETRIC.includes(name) && { coarse: true }) }),
  ),
  op('prelu', [[2, 5], [5]], (tf, x, alpha) => tf.prelu(x, alpha), { draw: offZero }),
  op(
    'where',
    [
      [3, 4],
      [3, 4],
    ],
    (tf, a, b) => tf.where(tf.greater(a, b), a, tf.mul(b, 2)),
  ),
  op('identity', [[5]], (tf, x) => tf.add(tf.clone(x), tf.clone(x))),
];

const COMBINATIONS: readonly [
  name: string,
  run: (tf: Tf, a: Tensor, b: Tensor) => Tensor,
  draw?: (z: number) => number,
][] = [
  ['add', (tf, a, b) => tf.add(a, b)],
  ['sub', (tf, a, b) => tf.sub(a, b)],
  ['mul', (tf, a, b) => tf.mul(a, b)],
  ['div', (tf, a, b) => tf.div(a, b), positive],
  ['pow', (tf, a, b) => tf.pow(a, b), positive],
  ['maximum', (tf, a, b) => tf.maximum(a, b)],
  ['minimum', (tf, a, b) => tf.minimum(a, b)],
  ['squaredDifference', (tf, a, b) => tf.squaredDifference(a, b)],
  ['atan2', (tf, a, b) => tf.atan2(a, b), positive],
  ['mod', (tf, a, b) => tf.mod(a, b), positive],
];

const BROADCASTS: readonly [a: number[], b: number[]][] = [
  [
    [3, 4],
    [3, 4],
  ],
  [[2, 3, 4], [4]],
  [
    [3, 1],
    [1, 5],
  ],
  [[], [2, 3]],
];

export const BINARY: readonly Case[] = COMBINATIONS.flatMap(([name, run, draw]) =>
  BROADCASTS.map(([a, b]) => op(`${name} [${a}] [${b}]`, [a, b], run, draw && { draw })),
);
