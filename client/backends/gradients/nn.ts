/** Gradients of matrix products, convolutions, pooling, resizing and normalisation. */
import type { NamedAttrMap, Tensor } from '@tensorflow/tfjs-core';
import { nearestPixels, type ResizeOptions } from '../nearest.js';
import { type Gradient, type GradientTable, type Tf, unbroadcast } from './gradient.js';

/** Of matrix products, convolutions, pooling, resizing and normalisation. */
export function nnGradients(tf: Tf): GradientTable {
  return { BatchMatMul: matMul(tf), ...convolutions(tf), ...pooling(tf), ...images(tf) };
}

function matMul(tf: Tf): Gradient {
  return {
    inputsToSave: ['a', 'b'],
    gradFunc: (given, saved, attrs) => {
      const [dy, [a, b]] = [given as Tensor, saved as Tensor[]];
      const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
      // Y = A·B: dA = dY·Bᵀ and dB = Aᵀ·dY; a transposed operand transposes its derivative.
      const toA = () => (transposeA ? tf.matMul(b, dy, transposeB, true) : tf.matMul(dy, b, false, !transposeB));
      const toB = () => {
        const sharedB = b.rank === 2 && a.rank > 2 && !transposeA && !transposeB;
        if (!sharedB) return transposeB ? tf.matMul(dy, a, true, transposeA) : tf.matMul(a, dy, !transposeA, false);
        const rows = (x: Tensor) => tf.reshape(x, [-1, x.shape[x.rank - 1]]);
        return tf.matMul(rows(a), rows(dy), true, false);
      };
      return { a: () => unbroadcast(tf, toA(), a.shape), b: () => unbroadcast(tf, toB(), b.shape) };
    },
  };
}

/** Runs a kernel that has no public operation. */
function kernel(tf: Tf, name: string, inputs: Record<string, Tensor>, attrs: object): Tensor {
  return tf.engine().runKernel(name, inputs, attrs as NamedAttrMap) as Tensor;
}

interface ConvAttributes {
  readonly strides: number[];
  readonly pad: 'valid' | 'same' | number;
  readonly dilations?: number | number[];
  readonly dataFormat?: string;
  readonly dimRoundingMode?: string;
}

function convolutions(tf: Tf): GradientTable {
  /** Gradients by a kernel for the input and one for the filter. */
  const by = (toInput: string, toFilter: string): Gradient => ({
    inputsToSave: ['x', 'filter'],
    gradFunc: (given, saved, attrs) => {
      const [dy, [x, filter]] = [given as Tensor, saved as Tensor[]];
      const { dilations = 1 } = attrs as unknown as ConvAttributes;
      const undilated = [dilations].flat().every((dilation) => dilation === 1);
      if (!undilated && toInput.startsWith('Conv')) {
        throw new RangeError(`dilations: expected 1 where a gradient is taken, got ${dilations}`);
      }
      return {
        x: () => kernel(tf, toInput, { dy, filter }, { ...attrs, inputShape: x.shape }),
        filter: () => kernel(tf, toFilter, { x, dy }, { ...attrs, filterShape: filter.shape }),
      };
    },
  });
  return {
    Conv2D: by('Conv2DBackpropInput', 'Conv2DBackpropFilter'),
    Conv3D: by('Conv3DBackpropInputV2', 'Conv3DBackpropFilterV2'),
    DepthwiseConv2dNative: by('DepthwiseConv2dNativeBackpropInput', 'DepthwiseConv2dNativeBackpropFilter'),
    // The transposed convolution is linear in both, and its own gradients are a convolution and a filter gradient.
    Conv2DBackpropInput: {
      inputsToSave: ['dy', 'filter'],
      gradFunc: (given, saved, attrs) => {
        const [ddx, [dy, filter]] = [given as Tensor, saved as Tensor[]];
        return {
          dy: () => kernel(tf, 'Conv2D', { x: ddx, filter }, { dilations: [1, 1], ...attrs }),
          filter: () => kernel(tf, 'Conv2DBackpropFilter', { x: ddx, dy }, { ...attrs, filterShape: filter.shape }),
        };
      },
    },
  };
}

function pooling(tf: Tf): GradientTable {
  const max = (name: string): Gradient => ({
    inputsToSave: ['x'],
    outputsToSave: [true],
    gradFunc: (given, saved, attrs) => {
      const [dy, [input, output]] = [given as Tensor, saved as Tensor[]];
      return { x: () => kernel(tf, name, { dy, input, output }, attrs) };
    },
  });
  return {
    MaxPool: max('MaxPoolGrad'),
    MaxPool3D: max('MaxPool3DGrad'),
    AvgPool: {
      inputsToSave: ['x'],
      gradFunc: (given, saved, attrs) => {
        const [dy, [input]] = [given as Tensor, saved as Tensor[]];
        return {
          x: () => kernel(tf, 'AvgPoolGrad', { dy: atBorder(tf, dy, input, attrs), input }, attrs),
        };
      },
    },
    AvgPool3D: {
      inputsToSave: ['x'],
      gradFunc: (dy, saved, attrs) => ({
        x: () => kernel(tf, 'AvgPool3DGrad', { dy: dy as Tensor, input: (saved as Tensor[])[0] }, attrs),
      }),
    },
  };
}

/**
 * dy times the pixels in a whole window over the pixels of it inside the image: average pooling divides by the latter, but
 * TensorFlow.js's kernels for its gradient by the former.
 */
function atBorder(tf: Tf, dy: Tensor, x: Tensor, attrs: NamedAttrMap): Tensor {
  type Pair = [number, number];
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as {
    filterSize: Pair;
    strides: Pair;
    pad: 'valid' | 'same' | number;
    dimRoundingMode?: 'floor' | 'round' | 'ceil';
  };
  const shape = x.shape as [number, number, number, number];
  const info = tf.backend_util.computePool2DInfo(shape, filterSize, strides, 1, pad, dimRoundingMode);
  const { padInfo, outHeight, outWidth } = info;
  const inside = (count: number, stride: number, before: number, filter: number, size: number) =>
    Array.from({ length: count }, (_, index) => {
      const start = index * stride - before;
      return Math.max(1, Math.min(size, start + filter) - Math.max(0, start));
    });
  const rows = inside(outHeight, info.strideHeight, padInfo.top, info.filterHeight, info.inHeight);
  const columns = inside(outWidth, info.strideWidth, padInfo.left, info.filterWidth, info.inWidth);
  const whole = info.filterHeight * info.filterWidth;
  const factors = rows.flatMap((row) => columns.map((column) => whole / (row * column)));
  if (factors.every((factor) => factor === 1)) return dy;
  return tf.mul(dy, tf.tensor4d(factors, [1, outHeight, outWidth, 1]));
}

/** Each pixel of dy is added to the pixel that it was copied from. */
function nearestGradient(tf: Tf, dy: Tensor, shape: number[], options: ResizeOptions): Tensor {
  const [batch, height, width, channels] = shape;
  const sources = new Int32Array(dy.size / channels);
  nearestPixels(shape, dy.shape, options, sources);
  const pixels = tf.reshape(dy, [-1, channels]);
  const summed = tf.unsortedSegmentSum(pixels, tf.tensor1d(sources, 'int32'), batch * height * width);
  return tf.reshape(summed, shape);
}

function images(tf: Tf): GradientTable {
  const resize = (name: string): Gradient => ({
    inputsToSave: ['images'],
    gradFunc: (dy, saved, attrs) => ({
      images: () => kernel(tf, name, { dy: dy as Tensor, images: (saved as Tensor[])[0] }, attrs),
    }),
  });
  return {
    ResizeBilinear: resize('ResizeBilinearGrad'),
    // Not by ResizeNearestNeighborGrad, which is wrong on cpu for more than one image and everywhere for half pixels.
    ResizeNearestNeighbor: {
      inputsToSave: ['images'],
      gradFunc: (given, saved, attrs) => {
        const [dy, [{ shape }]] = [given as Tensor, saved as Tensor[]];
        return { images: () => nearestGradient(tf, dy, shape, attrs as unknown as ResizeOptions) };
      },
    },
    LRN: {
      inputsToSave: ['x'],
      outputsToSave: [true],
      gradFunc: (dy, saved, attrs) => {
        const [x, y] = saved as Tensor[];
        return { x: () => kernel(tf, 'LRNGrad', { x, y, dy: dy as Tensor }, attrs) };
      },
    },
    Dilation2D: {
      inputsToSave: ['x', 'filter'],
      gradFunc: (given, saved, attrs) => {
        const [dy, [x, filter]] = [given as Tensor, saved as Tensor[]];
        return {
          x: () => kernel(tf, 'Dilation2DBackpropInput', { x, filter, dy }, attrs),
          filter: () => kernel(tf, 'Dilation2DBackpropFilter', { x, filter, dy }, attrs),
        };
      },
    },
    FusedBatchNorm: {
      inputsToSave: ['x', 'mean', 'variance', 'scale'],
      gradFunc: (given, saved, attrs) => {
        const [dy, [x, mean, variance, scale]] = [given as Tensor, saved as Tensor[]];
        const { varianceEpsilon } = attrs as { varianceEpsilon: number };
        // y = (x - mean) · r · scale + offset with r = (variance + ε)^(-1/2), so dr/dvariance = -r³ / 2
        const r = tf.rsqrt(tf.add(variance, varianceEpsilon));
        const scaled = () => (scale ? tf.mul(dy, scale) : dy);
        const centred = () => tf.sub(x, mean);
        const cubed = () => tf.mul(tf.mul(r, tf.square(r)), -0.5);
        return {
          x: () => unbroadcast(tf, tf.mul(scaled(), r), x.shape),
          mean: () => unbroadcast(tf, tf.neg(tf.mul(scaled(), r)), mean.shape),
          variance: () => unbroadcast(tf, tf.mul(tf.mul(scaled(), centred()), cubed()), variance.shape),
          scale: () => unbroadcast(tf, tf.mul(tf.mul(dy, centred()), r), mean.shape),
          offset: () => unbroadcast(tf, dy, mean.shape),
        };
      },
    },
  };
}
