/** Convolutions, example by example: the windows that a filter saw, and the gradient that each example alone has for it. */
import tf = require('@tensorflow/tfjs-core');

import { EXAMPLE_FILTER_GRADIENTS } from '../../backends/kernel-names.js';

interface FilterAttributes {
  readonly strides: number[];
  readonly pad: 'same' | 'valid';
  readonly dataFormat: string;
  /** [height, width, in, out] */
  readonly filterShape: number[];
}

/** x [batch, ...], dy [batch, height, width, out] -> [batch, size of the filter] */
export function exampleFilterGradients(x: tf.Tensor4D, dy: tf.Tensor4D, attrs: FilterAttributes): tf.Tensor {
  const size = attrs.filterShape.reduce((product, dimension) => product * dimension, 1);
  if (tf.getKernel(EXAMPLE_FILTER_GRADIENTS, tf.getBackend())) {
    const each = tf.engine().runKernel(EXAMPLE_FILTER_GRADIENTS, { x, dy }, { ...attrs }) as tf.Tensor;
    return tf.reshape(each, [x.shape[0], size]);
  }
  const right = tf.reshape(dy, [dy.shape[0], -1, dy.shape[3]]);
  return tf.reshape(tf.matMul(windows(x, attrs), right, true, false), [x.shape[0], size]);
}

/**
 * im2col: [batch, height, width, in] -> [batch, outHeight · outWidth, filterHeight · filterWidth · in], as a slice with
 * strides for each place in the filter.
 */
function windows(x: tf.Tensor4D, { strides, pad, filterShape }: FilterAttributes): tf.Tensor3D {
  const [filterHeight, filterWidth] = filterShape;
  const info = tf.backend_util.computeConv2DInfo(
    x.shape,
    filterShape as [number, number, number, number],
    strides as [number, number],
    1,
    pad,
  );
  const { top, bottom, left, right } = info.padInfo;
  const padded = tf.pad(x, [
    [0, 0],
    [top, bottom],
    [left, right],
    [0, 0],
  ]);
  const [batch, , , channels] = x.shape;
  const places: tf.Tensor[] = [];
  for (let row = 0; row < filterHeight; row++) {
    for (let column = 0; column < filterWidth; column++) {
      const end = [
        batch,
        row + (info.outHeight - 1) * info.strideHeight + 1,
        column + (info.outWidth - 1) * info.strideWidth + 1,
        channels,
      ];
      const step = [1, info.strideHeight, info.strideWidth, 1];
      places.push(tf.stridedSlice(padded, [0, row, column, 0], end, step));
    }
  }
  return tf.reshape(tf.concat(places, 3), [batch, info.outHeight * info.outWidth, -1]);
}
