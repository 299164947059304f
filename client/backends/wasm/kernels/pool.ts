/** The gradients of maximum and average pooling, window by window. */
import type { backend_util, NamedAttrMap, TensorInfo } from '@tensorflow/tfjs-core';
import { type Context, type Kernel, type KernelTable, product } from '../kernel.js';

type Info = backend_util.Conv2DInfo;

interface Window {
  /** Offsets in bytes: of the window's first pixel inside the image, and of the output pixel. */
  readonly inside: number;
  readonly output: number;
  readonly rows: number;
  readonly columns: number;
}

function poolInfo({ tf }: Context, x: TensorInfo, attrs: NamedAttrMap): Info {
  type Pair = [number, number];
  const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as {
    filterSize: Pair;
    strides: Pair;
    pad: 'valid' | 'same' | number;
    dimRoundingMode?: 'floor' | 'round' | 'ceil';
  };
  return tf.backend_util.computePool2DInfo(
    x.shape as [number, number, number, number],
    filterSize,
    strides,
    1,
    pad,
    dimRoundingMode,
  );
}

/** The part of one axis of a window that lies inside the image: first pixel and number of pixels. */
function inside(
  index: number,
  stride: number,
  pad: number,
  filter: number,
  size: number,
): [first: number, count: number] {
  const start = index * stride - pad;
  const first = Math.max(0, start);
  return [first, Math.max(0, Math.min(size, start + filter) - first)];
}

function forEachWindow(info: Info, visit: (window: Window) => void): void {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, padInfo } = info;
  const pixelBytes = 4 * inChannels;
  let output = 0;
  for (let n = 0; n < batchSize; n++) {
    for (let y = 0; y < outHeight; y++) {
      const [top, rows] = inside(y, info.strideHeight, padInfo.top, info.filterHeight, inHeight);
      for (let x = 0; x < outWidth; x++) {
        const [left, columns] = inside(x, info.strideWidth, padInfo.left, info.filterWidth, inWidth);
        visit({ inside: ((n * inHeight + top) * inWidth + left) * pixelBytes, output, rows, columns });
        output += pixelBytes;
      }
    }
  }
}

const maxPoolGradient: Kernel = (context, inputs, attrs) => {
  const { heap } = context;
  const { input, output, dy } = inputs;
  const info = poolInfo(context, input, attrs);
  const out = heap.output(input.shape);
  const [x, y, gradient, dx] = [input, output, dy, out].map((tensor) => heap.address(tensor));
  heap.floats(dx, product(input.shape)).fill(0);
  const { inChannels, inWidth } = info;
  const { maxPoolWindow } = heap.run;
  forEachWindow(info, ({ inside, output: pixel, rows, columns }) => {
    const to = dx + inside;
    maxPoolWindow(
      x + inside,
      y + pixel,
      gradient + pixel,
      to,
      rows,
      columns,
      4 * inChannels * inWidth,
      4 * inChannels,
      inChannels,
    );
  });
  return out;
};

/** Divides by the whole window even at the border, as the kernels of all back ends do; our gradient of AvgPool corrects it. */
const averagePoolGradient: Kernel = (context, inputs, attrs) => {
  const { heap } = context;
  const { input, dy } = inputs;
  const info = poolInfo(context, input, attrs);
  const out = heap.output(input.shape);
  const [gradient, dx] = [dy, out].map((tensor) => heap.address(tensor));
  heap.floats(dx, product(input.shape)).fill(0);
  const { inChannels, inWidth } = info;
  const scale = 1 / (info.filterHeight * info.filterWidth);
  const { averagePoolWindow } = heap.run;
  forEachWindow(info, ({ inside, output: pixel, rows, columns }) => {
    const rowBytes = 4 * inChannels * inWidth;
    averagePoolWindow(gradient + pixel, dx + inside, rows, columns, rowBytes, 4 * inChannels, inChannels, scale);
  });
  return out;
};

/** Gradients with respect to the input, [batch, height, width, channels], float32. */
export const poolKernels: KernelTable = { MaxPoolGrad: maxPoolGradient, AvgPoolGrad: averagePoolGradient };
