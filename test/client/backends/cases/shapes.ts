/** Operations that move elements about. */
import type { Tensor, Tensor1D } from '@tensorflow/tfjs-core';
import { type Case, op, type Tf } from './case.js';

const pair = (tensors: Tensor[]) => tensors as [Tensor, Tensor];

export const REARRANGEMENTS: readonly Case[] = [
  op('reshape', [[2, 6]], (tf, x) => tf.reshape(x, [3, 4])),
  op('expandDims and squeeze', [[2, 1, 3]], (tf, x) => tf.expandDims(tf.squeeze(x, [1]), 0)),
  op('transpose', [[2, 3, 4, 5]], (tf, x) => tf.transpose(x, [0, 2, 3, 1])),
  op('transpose of heads', [[2, 3, 4, 5]], (tf, x) => tf.transpose(x, [0, 2, 1, 3])),
  op('reverse', [[2, 3, 4]], (tf, x) => tf.reverse(x, [0, 2])),
  op('tile', [[2, 1, 3]], (tf, x) => tf.tile(x, [2, 4, 1])),
  op('tile of a column', [[3, 1]], (tf, x) => tf.tile(x, [1, 7])),
  op('tile of all axes', [[2, 3]], (tf, x) => tf.tile(x, [3, 2])),
  op('tile of int32', [[2, 3]], (tf, x) => tf.tile(tf.cast(x, 'int32'), [3, 2]), { constant: true }),
  op('oneHot in float32', [[5]], (tf, x) => tf.oneHot(tf.cast(tf.mul(tf.abs(x), 2), 'int32'), 4, 1, 0, 'float32'), {
    constant: true,
  }),
  op('broadcastTo', [[3, 1]], (tf, x) => tf.broadcastTo(x, [2, 3, 5])),
  op('spaceToBatchND', [[1, 4, 4, 2]], (tf, x) =>
    tf.spaceToBatchND(
      x,
      [2, 2],
      [
        [0, 0],
        [0, 0],
      ],
    ),
  ),
  op('batchToSpaceND', [[4, 2, 2, 1]], (tf, x) =>
    tf.batchToSpaceND(
      x,
      [2, 2],
      [
        [0, 0],
        [0, 1],
      ],
    ),
  ),
];

export const JOINS: readonly Case[] = [
  op(
    'concat',
    [
      [2, 3],
      [2, 5],
    ],
    (tf, a, b) => tf.concat([a, b, a], 1),
  ),
  op(
    'stack and unstack',
    [
      [3, 4],
      [3, 4],
    ],
    (tf, a, b) => tf.mul(...pair(tf.unstack(tf.stack([a, b], 1), 1))),
  ),
  op(
    'stack along the last axis',
    [
      [3, 4],
      [3, 4],
    ],
    (tf, a, b) => tf.stack([a, b], -1),
  ),
  op('split', [[4, 6]], (tf, x) => tf.mul(...pair(tf.split(x, 2, 1)))),
  op('slice', [[4, 5, 2]], (tf, x) => tf.slice(x, [1, 2, 0], [2, -1, 1])),
  op('pad', [[2, 3, 2]], (tf, x) =>
    tf.pad(
      x,
      [
        [1, 0],
        [0, 2],
        [1, 1],
      ],
      0.5,
    ),
  ),
  op('pad of the batch only', [[2, 3]], (tf, x) =>
    tf.pad(x, [
      [1, 2],
      [0, 0],
    ]),
  ),
  op('pad of nothing', [[2, 3]], (tf, x) =>
    tf.pad(x, [
      [0, 0],
      [0, 0],
    ]),
  ),
  op('batchNorm', [[2, 3, 3, 4], [4], [4], [4]], (tf, x, mean, offset, scale) => {
    const variance = tf.add(tf.square(mean), 0.5);
    return tf.batchNorm(x, mean as Tensor1D, variance as Tensor1D, offset as Tensor1D, scale as Tensor1D);
  }),
];

const ids = (tf: Tf, values: number[]) => tf.tensor1d(values, 'int32');
const pairs = (tf: Tf, values: [number, number][]) => tf.tensor2d(values, [values.length, 2], 'int32');

/** Row and column of three elements, the first of them twice. */
const TWICE: [number, number][] = [
  [0, 1],
  [2, 3],
  [0, 1],
];

export const SELECTIONS: readonly Case[] = [
  op('gather rows (an embedding)', [[6, 5]], (tf, x) =>
    tf.gather(
      x,
      pairs(tf, [
        [1, 3],
        [1, 5],
      ]),
    ),
  ),
  op('gather columns', [[3, 6, 2]], (tf, x) => tf.gather(x, ids(tf, [5, 0, 5]), 1)),
  op('gather per batch', [[2, 4, 3]], (tf, x) =>
    tf.gather(
      x,
      pairs(tf, [
        [1, 1],
        [0, 3],
      ]),
      1,
      1,
    ),
  ),
  op('gather of int32', [[6, 5]], (tf, x) => tf.gather(tf.cast(x, 'int32'), ids(tf, [5, 0, 5])), { constant: true }),
  op('gatherND', [[3, 4]], (tf, x) => tf.gatherND(x, pairs(tf, TWICE)), { except: { webgpu: 'its kernel leaks' } }),
  op('scatterND', [[3, 2]], (tf, x) => tf.scatterND(tf.tensor2d([[4], [1], [4]], [3, 1], 'int32'), x, [6, 2])),
  op('unsortedSegmentSum', [[5, 3]], (tf, x) => tf.unsortedSegmentSum(x, ids(tf, [1, 0, 1, -1, 2]), 3)),
  op('oneHot', [], (tf) => tf.oneHot(ids(tf, [1, 0, 3]), 4), { constant: true }),
];
