/**
 * The gradient of a convolution with respect to its input as products over windows of dy, one product per phase: the
 * pixels of x with equal (row + pad) mod stride and (column + pad) mod stride are reached by the same filter taps
 * (Dumoulin and Visin 2016, arXiv:1603.07285, chapter 4). Nothing is scattered, so nothing is summed twice.
 */
import type { Heap } from './heap.js';
import { PANEL_COLUMNS } from './kernels-src/matmul.js';
import { planRows } from './matmul.js';
import { PANEL_BYTES, packTransposed, type Right } from './panels.js';
import { type ConvInfo, gridTable, type Image, padImages } from './windows.js';

/** One axis of a phase. */
interface PhaseAxis {
  /** Filter taps that reach its pixels. */
  readonly taps: number;
  /** Filter index of the tap that meets the n-th row (or column) of a window of dy. */
  tapAt(n: number): number;
  /** First pixel of x in the phase, and how many there are, `stride` apart. */
  readonly first: number;
  readonly count: number;
  /** Row (or column) of dy where the first pixel's window starts; negative in the padding. The next starts one later. */
  readonly windowStart: number;
}

/** Pixel p = stride·q + phase - pad of x gets dy[q - t] times tap phase + stride·t, for t = 0 .. taps - 1. */
function phaseAxes(axis: { size: number; pad: number; stride: number; filter: number }): PhaseAxis[] {
  const { size, pad, stride, filter } = axis;
  return Array.from({ length: Math.min(stride, filter) }, (_, phase) => {
    const taps = Math.ceil((filter - phase) / stride);
    const q = Math.max(0, Math.ceil((pad - phase) / stride));
    const first = stride * q + phase - pad;
    return {
      taps,
      tapAt: (n: number) => phase + stride * (taps - 1 - n),
      first,
      count: Math.max(0, Math.ceil((size - first) / stride)),
      windowStart: q - (taps - 1),
    };
  }).filter(({ count }) => count > 0);
}

/** Writes dx, [batch, inHeight, inWidth, inChannels], from dy and the filter. All three are addresses of float32 data. */
export function convolutionInputGradient(
  heap: Heap,
  info: ConvInfo,
  { dy, filter, dx }: { dy: number; filter: number; dx: number },
): void {
  const { batchSize, inHeight, inWidth, inChannels, outChannels, padInfo } = info;
  const { strideHeight, strideWidth, filterHeight, filterWidth } = info;
  const vertical = phaseAxes({ size: inHeight, pad: padInfo.top, stride: strideHeight, filter: filterHeight });
  const horizontal = phaseAxes({ size: inWidth, pad: padInfo.left, stride: strideWidth, filter: filterWidth });
  // With fewer taps than the stride, some pixels are reached by none.
  if (filterHeight < strideHeight || filterWidth < strideWidth) {
    heap.floats(dx, batchSize * inHeight * inWidth * inChannels).fill(0);
  }
  const image = padGradient(heap, dy, info, vertical, horizontal);
  const dyPixel = 4 * outChannels;
  const dxPixel = 4 * inChannels;
  const mark = heap.scratchMark;
  for (const y of vertical) {
    for (const x of horizontal) {
      heap.freeScratch(mark);
      const batch = (step: number) => ({ count: batchSize, step });
      const rows = (step: number) => ({ count: y.count, step });
      const columns = (step: number) => ({ count: x.count, step });
      const from = gridTable(heap, batch(image.imageBytes), rows(image.rowBytes), columns(dyPixel));
      const dxRow = inWidth * dxPixel;
      const to = [batch(inHeight * dxRow), rows(strideHeight * dxRow), columns(strideWidth * dxPixel)] as const;
      const terms = { segments: y.taps, length: x.taps * outChannels, stride: image.rowBytes };
      const rowsOfDy = { table: from, count: batchSize * y.count * x.count };
      const right = mirroredRight(heap, info, y, x);
      const multiply = planRows(heap, rowsOfDy, terms, right, { table: gridTable(heap, ...to) });
      multiply(
        image.base + (y.windowStart + image.top) * image.rowBytes + (x.windowStart + image.left) * dyPixel,
        filter,
        dx + y.first * dxRow + x.first * dxPixel,
      );
    }
  }
}

/** dy with zeros around it as far as the windows of any phase reach. */
function padGradient(
  heap: Heap,
  dy: number,
  { batchSize, outHeight, outWidth, outChannels }: ConvInfo,
  vertical: readonly PhaseAxis[],
  horizontal: readonly PhaseAxis[],
): Image & { readonly top: number; readonly left: number } {
  const before = (axes: readonly PhaseAxis[]) => Math.max(0, ...axes.map(({ windowStart }) => -windowStart));
  const reach = (axes: readonly PhaseAxis[]) =>
    before(axes) + Math.max(0, ...axes.map(({ windowStart, count, taps }) => windowStart + count - 1 + taps));
  const [top, left] = [before(vertical), before(horizontal)];
  const reached = { top, left, reachHeight: reach(vertical), reachWidth: reach(horizontal) };
  const image = padImages(heap, dy, [batchSize, outHeight, outWidth, outChannels], reached);
  return { ...image, top, left };
}

/** The filter's taps of a phase in the order of its windows: [rowTaps · columnTaps · outChannels, inChannels]. */
function mirroredRight(heap: Heap, info: ConvInfo, y: PhaseAxis, x: PhaseAxis): Right {
  const { filterWidth, inChannels, outChannels } = info;
  const rowBytes = 4 * outChannels;
  return {
    columns: inChannels,
    pack(filter, panel, firstRow, count, width, target) {
      for (let row = firstRow; row < firstRow + count; ) {
        const n = Math.floor(row / outChannels);
        const channel = row % outChannels;
        const channels = Math.min(outChannels - channel, firstRow + count - row);
        const tap = y.tapAt(Math.floor(n / x.taps)) * filterWidth + x.tapAt(n % x.taps);
        const source = filter + (tap * inChannels + panel * PANEL_COLUMNS) * rowBytes + 4 * channel;
        packTransposed(heap, source, rowBytes, channels, width, target + (row - firstRow) * PANEL_BYTES);
        row += channels;
      }
    },
  };
}
