/**
 * Where the windows of a convolution lie on the heap: images padded with zeros where needed, and tables of the address of
 * each window. Images are [batch, height, width, channels]; addresses, strides and row lengths are in bytes.
 */
import type { backend_util } from '@tensorflow/tfjs-core';
import type { Heap } from './heap.js';
import type { Rows, Terms } from './matmul.js';

/** The geometry of a convolution as TensorFlow.js works it out, channels last. */
export type ConvInfo = backend_util.Conv2DInfo;

/** Images on the heap; the first pixel of the first one is at `base`, pixels of a row follow each other. */
export interface Image {
  readonly base: number;
  readonly rowBytes: number;
  readonly imageBytes: number;
}

/** In pixels. */
interface Padding {
  readonly top: number;
  readonly left: number;
  /** Size, padding included, that the windows reach over. */
  readonly reachHeight: number;
  readonly reachWidth: number;
}

type Shape4 = readonly [batch: number, height: number, width: number, channels: number];

/** The images at `source` with zeros around them, in scratch space; or where they are, if no window leaves them. */
export function padImages(
  heap: Heap,
  source: number,
  [batch, height, width, channels]: Shape4,
  { top, left, reachHeight, reachWidth }: Padding,
): Image {
  const pixelBytes = 4 * channels;
  const sourceRow = width * pixelBytes;
  if (top === 0 && left === 0 && reachHeight <= height && reachWidth <= width) {
    return { base: source, rowBytes: sourceRow, imageBytes: height * sourceRow };
  }
  const rowBytes = reachWidth * pixelBytes;
  const imageBytes = reachHeight * rowBytes;
  const base = heap.scratch(batch * imageBytes);
  const rows = Math.max(0, Math.min(height, reachHeight - top));
  const copiedBytes = Math.max(0, Math.min(width, reachWidth - left)) * pixelBytes;
  const lead = top * rowBytes + left * pixelBytes;
  heap.run.padImages(source, base, batch, rows, copiedBytes, sourceRow, rowBytes, height * sourceRow, imageBytes, lead);
  return { base, rowBytes, imageBytes };
}

interface GridAxis {
  readonly count: number;
  readonly step: number;
}

/** Address, in scratch space, of an Int32 table of the addresses (from 0) on a regular grid, the last axis fastest. */
export function gridTable(heap: Heap, outer: GridAxis, middle: GridAxis, inner: GridAxis): number {
  const count = outer.count * middle.count * inner.count;
  const address = heap.scratch(4 * count);
  const table = heap.ints(address, count);
  let row = 0;
  for (let i = 0; i < outer.count; i++) {
    for (let j = 0; j < middle.count; j++) {
      const start = i * outer.step + j * middle.step;
      for (let k = 0; k < inner.count; k++) table[row++] = start + k * inner.step;
    }
  }
  return address;
}

/** Row r is the window of output pixel r of [batch, outHeight, outWidth]; its terms are the filter's rows, one by one. */
export function windowsOf(
  heap: Heap,
  x: number,
  info: ConvInfo,
): { base: number; imageBytes: number; rows: Rows; terms: Terms } {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, filterHeight, filterWidth, padInfo } = info;
  const image = padImages(heap, x, [batchSize, inHeight, inWidth, inChannels], {
    top: padInfo.top,
    left: padInfo.left,
    reachHeight: (outHeight - 1) * info.strideHeight + filterHeight,
    reachWidth: (outWidth - 1) * info.strideWidth + filterWidth,
  });
  const table = gridTable(
    heap,
    { count: batchSize, step: image.imageBytes },
    { count: outHeight, step: info.strideHeight * image.rowBytes },
    { count: outWidth, step: info.strideWidth * inChannels * 4 },
  );
  return {
    base: image.base,
    imageBytes: image.imageBytes,
    rows: { table, count: batchSize * outHeight * outWidth },
    terms: { segments: filterHeight, length: filterWidth * inChannels, stride: image.rowBytes },
  };
}
