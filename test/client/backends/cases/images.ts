/** Convolution, pooling and resizing of images [batch, height, width, channels]. */
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { type Case, op } from './case.js';

const image = (x: unknown) => x as Tensor4D;
const STRIDES = [1, 2] as const;
const PADDINGS = ['same', 'valid'] as const;

type Pair = [number, number];
type Padding = 'same' | 'valid' | number;
const GEOMETRIES: readonly [image: number[], filter: number[], strides: Pair, pad: Padding][] = [
  [[2, 7, 6, 3], [3, 3, 3, 5], [1, 1], 'same'],
  [[2, 8, 8, 1], [5, 5, 1, 16], [2, 2], 'same'],
  [[1, 9, 7, 4], [3, 2, 4, 8], [2, 2], 'valid'],
  [[2, 5, 5, 3], [1, 1, 3, 9], [1, 1], 'valid'],
  [[2, 5, 5, 3], [1, 1, 3, 9], [2, 2], 'same'],
  [[2, 10, 10, 2], [3, 3, 2, 3], [3, 3], 1],
  [[1, 6, 6, 20], [5, 5, 20, 11], [1, 1], 'same'],
  [[1, 4, 6, 2], [2, 3, 2, 2], [1, 2], 'valid'],
  [[1, 5, 5, 2], [2, 2, 2, 2], [3, 3], 'same'],
  [[1, 6, 5, 1], [4, 4, 1, 1], [1, 1], 2],
  [[1, 3, 3, 2], [5, 5, 2, 4], [2, 2], 'same'],
];

export const CONVOLUTIONS: readonly Case[] = [
  ...GEOMETRIES.map(([x, filter, strides, pad]) =>
    op(
      `conv2d [${x}] * [${filter}] stride ${strides} pad ${pad}`,
      [x, filter],
      (tf, a, w) => tf.conv2d(image(a), image(w), strides, pad),
      { terms: 500 },
    ),
  ),
  op(
    'conv2d of one image',
    [
      [6, 5, 2],
      [3, 3, 2, 3],
    ],
    (tf, x, w) => tf.conv2d(x as never, image(w), 1, 'same'),
  ),
  op(
    'conv2d, dilated',
    [
      [1, 8, 8, 2],
      [3, 3, 2, 3],
    ],
    (tf, x, w) => tf.conv2d(image(x), image(w), 1, 'same', 'NHWC', 2),
    {
      constant: true,
    },
  ),
  ...STRIDES.map((stride) =>
    op(
      `conv2dTranspose stride ${stride}`,
      [
        [2, 4, 5, 3],
        [3, 3, 4, 3],
      ],
      (tf, x, w) => tf.conv2dTranspose(image(x), image(w), [2, 4 * stride, 5 * stride, 4], stride, 'same'),
      { terms: 200 },
    ),
  ),
  ...(['linear', 'relu', 'sigmoid'] as const).map((activation) =>
    op(
      `fused conv2d + bias + ${activation}`,
      [[2, 6, 6, 3], [3, 3, 3, 9], [9]],
      (tf, x, filter, bias) =>
        tf.fused.conv2d({ x: image(x), filter: image(filter), strides: 2, pad: 'same', bias, activation }),
      { constant: true },
    ),
  ),
  ...STRIDES.flatMap((stride) =>
    PADDINGS.map((pad) =>
      op(
        `depthwiseConv2d stride ${stride} ${pad}`,
        [
          [2, 6, 5, 3],
          [3, 3, 3, 2],
        ],
        (tf, x, w) => tf.depthwiseConv2d(image(x), image(w), stride, pad),
      ),
    ),
  ),
];

const WINDOWS: readonly [filter: number, stride: number, pad: Padding][] = [
  [2, 2, 'same'],
  [2, 2, 'valid'],
  [3, 2, 'same'],
  [3, 1, 'same'],
  [2, 3, 'valid'],
];

/** All different, by 0.02 or more: 421 is prime and no input is larger. */
const distinct = (_z: number, index: number) => ((index * 137) % 421) * 0.02 - 4;

export const POOLING: readonly Case[] = [1, 6].flatMap((channels) =>
  WINDOWS.flatMap(([filter, stride, pad]) => [
    op(
      `maxPool ${filter} stride ${stride} ${pad}, ${channels} channels`,
      [[2, 5, 7, channels]],
      (tf, x) => tf.maxPool(image(x), filter, stride, pad),
      { draw: distinct },
    ),
    op(`avgPool ${filter} stride ${stride} ${pad}, ${channels} channels`, [[2, 5, 7, channels]], (tf, x) =>
      tf.avgPool(image(x), filter, stride, pad),
    ),
  ]),
);

export const RESIZING: readonly Case[] = [
  ...[false, true].flatMap((aligned) => [
    op(`resizeNearestNeighbor x2, alignCorners ${aligned}`, [[2, 3, 4, 5]], (tf, x) =>
      tf.image.resizeNearestNeighbor(image(x), [6, 8], aligned),
    ),
    op(`resizeNearestNeighbor to a smaller size, alignCorners ${aligned}`, [[1, 6, 5, 2]], (tf, x) =>
      tf.image.resizeNearestNeighbor(image(x), [4, 3], aligned),
    ),
    op(`resizeBilinear, alignCorners ${aligned}`, [[2, 3, 4, 5]], (tf, x) =>
      tf.image.resizeBilinear(image(x), [6, 9], aligned),
    ),
  ]),
  op('resizeNearestNeighbor, half pixels', [[2, 3, 4, 1]], (tf, x) =>
    tf.image.resizeNearestNeighbor(image(x), [5, 6], false, true),
  ),
  ...(['reflect', 'symmetric'] as const).map((mode) =>
    op(`mirrorPad ${mode}`, [[3, 4]], (tf, x) =>
      tf.mirrorPad(
        x,
        [
          [1, 2],
          [2, 1],
        ],
        mode,
      ),
    ),
  ),
  op('localResponseNormalization', [[1, 3, 3, 6]], (tf, x) => tf.localResponseNormalization(image(x), 2)),
];
