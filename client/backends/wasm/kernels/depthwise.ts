/** The gradients of depthwise convolution, which the stock back end lacks, in plain loops over the heap. */
import type { backend_util, NamedAttrMap } from '@tensorflow/tfjs-core';
import { type Context, type Kernel, type KernelTable, product } from '../kernel.js';

type Shape4 = [number, number, number, number];
type Info = backend_util.Conv2DInfo;

function depthwiseInfo({ tf }: Context, inShape: number[], filterShape: number[], attrs: NamedAttrMap): Info {
  const { strides, pad, dilations, dimRoundingMode } = attrs as unknown as {
    strides: [number, number];
    pad: 'valid' | 'same' | number;
    dilations?: [number, number];
    dimRoundingMode?: 'floor' | 'round' | 'ceil';
  };
  const shapes = [inShape as Shape4, filterShape as Shape4] as const;
  return tf.backend_util.computeConv2DInfo(...shapes, strides, dilations ?? [1, 1], pad, dimRoundingMode, true);
}

/** Visits each pair of output pixel and filter tap inside the image with the offsets (in floats) of x, dy and filter. */
function forEachTap(info: Info, visit: (x: number, dy: number, filter: number) => void): void {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, padInfo } = info;
  for (let n = 0; n < batchSize; n++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        const dy = ((n * outHeight + oy) * outWidth + ox) * outChannels;
        for (let i = 0; i < info.filterHeight; i++) {
          const y = oy * info.strideHeight + i * info.dilationHeight - padInfo.top;
          if (y < 0 || y >= inHeight) continue;
          for (let j = 0; j < info.filterWidth; j++) {
            const x = ox * info.strideWidth + j * info.dilationWidth - padInfo.left;
            if (x < 0 || x >= inWidth) continue;
            visit(((n * inHeight + y) * inWidth + x) * inChannels, dy, (i * info.filterWidth + j) * outChannels);
          }
        }
      }
    }
  }
}

const filterGradient: Kernel = (context, { x, dy }, attrs) => {
  const { heap } = context;
  const { filterShape } = attrs as { filterShape: number[] };
  const info = depthwiseInfo(context, x.shape, filterShape, attrs);
  const out = heap.output(filterShape);
  const sums = heap.floats(heap.address(out), product(filterShape)).fill(0);
  const values = heap.floats(heap.address(x), product(x.shape));
  const gradient = heap.floats(heap.address(dy), product(dy.shape));
  const multiplier = info.outChannels / info.inChannels;
  forEachTap(info, (from, at, tap) => {
    for (let channel = 0; channel < info.outChannels; channel++) {
      sums[tap + channel] += values[from + Math.floor(channel / multiplier)] * gradient[at + channel];
    }
  });
  return out;
};

const inputGradient: Kernel = (context, { dy, filter }, attrs) => {
  const { heap } = context;
  const { inputShape } = attrs as { inputShape: number[] };
  const info = depthwiseInfo(context, inputShape, filter.shape, attrs);
  const out = heap.output(inputShape);
  const sums = heap.floats(heap.address(out), product(inputShape)).fill(0);
  const weights = heap.floats(heap.address(filter), product(filter.shape));
  const gradient = heap.floats(heap.address(dy), product(dy.shape));
  const multiplier = info.outChannels / info.inChannels;
  forEachTap(info, (to, at, tap) => {
    for (let channel = 0; channel < info.outChannels; channel++) {
      sums[to + Math.floor(channel / multiplier)] += weights[tap + channel] * gradient[at + channel];
    }
  });
  return out;
};

/** Gradients with respect to filter and input, [height, width, in, multiplier] and [batch, height, width, channels]. */
export const depthwiseKernels: KernelTable = {
  DepthwiseConv2dNativeBackpropFilter: filterGradient,
  DepthwiseConv2dNativeBackpropInput: inputGradient,
};
