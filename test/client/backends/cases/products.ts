/** Matrix products in all transpositions, batched, broadcast and fused. */
import type { Tensor2D } from '@tensorflow/tfjs-core';
import { addScaled, convolution, dense, gelu } from '../../../../client/backends/layers.js';
import { type Case, op } from './case.js';

/** Any size from below the tile (4 rows, 8 columns) to above the blocks (320 deep), odd and even. */
const MATRICES: readonly [rows: number, depth: number, columns: number][] = [
  [1, 1, 1],
  [3, 5, 7],
  [4, 8, 8],
  [10, 33, 17],
  [17, 9, 24],
  [2, 700, 9],
  [130, 3, 2],
];

const FLAGS = [false, true];

export const PRODUCTS: readonly Case[] = MATRICES.flatMap(([rows, depth, columns]) =>
  FLAGS.flatMap((transposeA) =>
    FLAGS.map((transposeB) =>
      op(
        `matMul ${rows}x${depth}x${columns} ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`,
        [transposeA ? [depth, rows] : [rows, depth], transposeB ? [columns, depth] : [depth, columns]],
        (tf, a, b) => tf.matMul(a, b, transposeA, transposeB),
        { terms: Math.max(rows, depth, columns) },
      ),
    ),
  ),
);

const BATCHES: readonly [a: string, b: string, transposed?: string][] = [
  ['3,4,5', '3,5,6'],
  ['2,3,4,5', '2,3,6,5', 'B'],
  ['2,3,5,4', '2,3,5,6', 'A'],
  ['2,5,4', '2,6,5', 'AB'],
  ['3,4,5', '5,9'],
  ['3,5,4', '5,9', 'A'],
  ['1,4,5', '3,5,6'],
];
const shapeOf = (text: string) => text.split(',').map(Number);

export const BATCHED_PRODUCTS: readonly Case[] = [
  ...BATCHES.map(([a, b, transposed = '']) =>
    op(`matMul [${a}] · [${b}]${transposed && `, ${transposed} transposed`}`, [shapeOf(a), shapeOf(b)], (tf, x, y) =>
      tf.matMul(x, y, transposed.includes('A'), transposed.includes('B')),
    ),
  ),
  // cpu multiplies the wrong matrices where both sides are broadcast, so there one side is repeated first.
  op(
    'matMul [3,1,4,5] · [1,2,5,6]',
    [shapeOf('3,1,4,5'), shapeOf('1,2,5,6')],
    (tf, a, b) =>
      tf.matMul(
        tf.getBackend() === 'cpu' ? tf.tile(a, [1, 2, 1, 1]) : a,
        tf.getBackend() === 'cpu' ? tf.tile(b, [3, 1, 1, 1]) : b,
      ),
    { except: { webgpu: 'its kernel refuses' } },
  ),
  op('matMul of nothing', [], (tf) => tf.matMul(tf.zeros([0, 3]), tf.zeros([3, 2])), { constant: true }),
  op('matMul of depth 0', [], (tf) => tf.matMul(tf.zeros([2, 0]), tf.zeros([0, 2])), { constant: true }),
  op('matMul of int32', [[3, 4]], (tf, x) => tf.matMul(tf.cast(x, 'int32'), tf.cast(x, 'int32'), false, true), {
    constant: true,
    draw: (z) => 10 * z,
  }),
  op('einsum bij,bjk->bik', [shapeOf('2,3,4'), shapeOf('2,4,5')], (tf, a, b) => tf.einsum('bij,bjk->bik', a, b), {
    constant: true,
  }),
];

const ACTIVATIONS = ['linear', 'relu', 'relu6', 'elu', 'sigmoid', 'leakyrelu'] as const;

export const FUSED_PRODUCTS: readonly Case[] = ACTIVATIONS.flatMap((activation) => [
  op(
    `fused matMul + bias + ${activation}`,
    [[5, 7], [7, 11], [11]],
    (tf, a, b, bias) => tf.fused.matMul({ a: a as Tensor2D, b: b as Tensor2D, bias, activation }),
    { constant: true },
  ),
  op(
    `fused matMul + bias + ${activation}, both transposed`,
    [[7, 5], [11, 7], [11]],
    (tf, a, b, bias) =>
      tf.fused.matMul({ a: a as Tensor2D, b: b as Tensor2D, bias, activation, transposeA: true, transposeB: true }),
    { constant: true },
  ),
]);

export const LAYERS: readonly Case[] = (['linear', 'relu'] as const)
  .flatMap((activation) => [
    op(`layer dense, ${activation}`, [[6, 7], [7, 9], [9]], (tf, x, weight, bias) =>
      dense(tf, x, weight, bias, activation),
    ),
    op(`layer convolution, ${activation}`, [[2, 6, 5, 3], [3, 3, 3, 9], [9]], (tf, x, filter, bias) =>
      convolution(tf, x, filter, bias, { stride: 2, activation }),
    ),
  ])
  .concat(
    op('layer gelu', [[11]], (tf, x) => gelu(tf, x), { draw: (z) => 2 * z }),
    op('addScaled', [[11], [11]], (tf, a, b) => addScaled(tf, a, b, -0.3)),
  );
