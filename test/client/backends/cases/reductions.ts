/** Sums and other reductions, running sums, softmax. */
import { type Case, op } from './case.js';

const AXES: readonly (number | number[] | undefined)[] = [
  undefined,
  0,
  1,
  -1,
  [0, 1],
  [1, 2],
  [0, 2],
  [0, 3],
  [1, 3],
  [0, 1, 2, 3],
];
const FEW_AXES: readonly (number | number[] | undefined)[] = [undefined, 0, -1, [0, 2]];

export const REDUCTIONS: readonly Case[] = [
  ...AXES.flatMap((axis) => [
    op(`sum over ${axis}`, [[3, 4, 5, 6]], (tf, x) => tf.sum(x, axis), { terms: 360 }),
    op(`mean over ${axis}, kept`, [[3, 4, 5, 6]], (tf, x) => tf.mean(x, axis, true), { terms: 360 }),
  ]),
  ...FEW_AXES.flatMap((axis) => [
    op(`max over ${axis}`, [[3, 4, 5]], (tf, x) => tf.max(x, axis)),
    op(`min over ${axis}`, [[3, 4, 5]], (tf, x) => tf.min(x, axis)),
    op(`prod over ${axis}`, [[2, 3, 2]], (tf, x) => tf.prod(x, axis)),
    op(`logSumExp over ${axis}`, [[3, 4, 5]], (tf, x) => tf.logSumExp(x, axis)),
  ]),
  op('sum of int32', [[3, 5]], (tf, x) => tf.sum(tf.cast(tf.mul(x, 9), 'int32'), 0), { constant: true }),
  op('sum of 70,000', [[7, 10_000]], (tf, x) => tf.sum(x), { terms: 70_000 }),
  op('column sums of 700 rows', [[700, 21]], (tf, x) => tf.sum(x, 0), { terms: 700 }),
  op('moments', [[4, 5, 3]], (tf, x) => tf.moments(x, [1, 2]).variance),
  op('softmax', [[3, 7]], (tf, x) => tf.softmax(x)),
  op('logSoftmax', [[3, 7]], (tf, x) => tf.logSoftmax(x)),
  op('argMax and argMin', [[4, 9]], (tf, x) => tf.stack([tf.argMax(x, 1), tf.argMin(x, 1)]), { constant: true }),
  op('topk', [[3, 8]], (tf, x) => tf.topk(x, 3).values),
  op('norm', [[3, 4]], (tf, x) => tf.norm(x, 2, 1)),
];

const FLAGS = [false, true];

export const SCANS: readonly Case[] = [0, 1, -1].flatMap((axis) =>
  FLAGS.flatMap((exclusive) =>
    FLAGS.map((reverse) =>
      op(`cumsum along ${axis}${exclusive ? ', exclusive' : ''}${reverse ? ', reversed' : ''}`, [[3, 4, 5]], (tf, x) =>
        tf.cumsum(x, axis, exclusive, reverse),
      ),
    ),
  ),
);
