/** Rows by index and sums of rows by index: gather, its gradient, and nearest-neighbour resizing. */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { nearestPixels, type ResizeOptions } from '../../nearest.js';
import type { Heap } from '../heap.js';
import { type Kernel, type KernelTable, product } from '../kernel.js';

const gather: Kernel = (context, inputs, attrs) => {
  const { x, indices } = inputs;
  const { axis, batchDims } = attrs as { axis: number; batchDims: number };
  if (x.dtype === 'bool' || x.dtype === 'string' || batchDims > 0) return context.stock(inputs, attrs);
  const { heap, tf } = context;
  const [at] = tf.util.parseAxisParam(axis, x.shape);
  const [outer, inner] = [x.shape.slice(0, at), x.shape.slice(at + 1)].map(product);
  const size = x.shape[at];
  const count = product(indices.shape);
  const ids = heap.ints(heap.address(indices), count);
  const outside = ids.find((id) => id < 0 || id >= size);
  if (outside !== undefined) throw new RangeError(`indices: expected 0 .. ${size - 1}, got ${outside}`);
  const out = heap.output([...x.shape.slice(0, at), ...indices.shape, ...x.shape.slice(at + 1)], x.dtype);
  const [from, table, to] = [x, indices, out].map((tensor) => heap.address(tensor));
  const rowBytes = 4 * inner;
  for (let o = 0; o < outer; o++) {
    heap.run.gatherRows(from + o * size * rowBytes, table, to + o * count * rowBytes, count, rowBytes);
  }
  return out;
};

/** out[s] = sum of the rows x[i] with segmentIds[i] = s; ids outside 0 .. numSegments - 1 are dropped. */
const unsortedSegmentSum: Kernel = (context, inputs, attrs) => {
  const { x, segmentIds } = inputs;
  const { numSegments } = attrs as { numSegments: number };
  if (x.dtype !== 'float32' || segmentIds.dtype !== 'int32') return context.onCpu(inputs, attrs);
  const { heap } = context;
  const inner = x.shape.slice(segmentIds.shape.length);
  const count = product(segmentIds.shape);
  const out = heap.output([numSegments, ...inner]);
  addRows(heap, x, heap.ints(heap.address(segmentIds), count), out);
  return out;
};

/** out = 0, then out[ids[i]] += x[i]; out is [segments, ...row]. */
function addRows(heap: Heap, x: TensorInfo, ids: Int32Array, out: TensorInfo): void {
  const segments = out.shape[0];
  const width = product(out.shape.slice(1));
  const sums = heap.floats(heap.address(out), segments * width).fill(0);
  const rows = heap.floats(heap.address(x), ids.length * width);
  for (let row = 0; row < ids.length; row++) {
    const id = ids[row];
    if (id < 0 || id >= segments) continue;
    const [to, from] = [id * width, row * width];
    for (let column = 0; column < width; column++) sums[to + column] += rows[from + column];
  }
}

const resizeNearest: Kernel = (context, inputs, attrs) => {
  const { images } = inputs;
  if (images.dtype !== 'float32' || product(images.shape) === 0) return context.stock(inputs, attrs);
  const { heap } = context;
  const { size, ...options } = attrs as unknown as ResizeOptions & { size: [number, number] };
  const [batch, , , channels] = images.shape;
  const out = heap.output([batch, ...size, channels]);
  const pixels = batch * size[0] * size[1];
  const table = heap.scratch(4 * pixels);
  nearestPixels(images.shape, out.shape, options, heap.ints(table, pixels));
  heap.run.gatherRows(heap.address(images), table, heap.address(out), pixels, 4 * channels);
  return out;
};

/** GatherV2 throws RangeError at an index outside the axis; UnsortedSegmentSum drops such ids. */
export const gatherKernels: KernelTable = {
  GatherV2: gather,
  UnsortedSegmentSum: unsortedSegmentSum,
  ResizeNearestNeighbor: resizeNearest,
};
