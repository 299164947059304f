/** Sums of rows by segment: the gradient of gather, and so of every embedding. */
import type { Kernel, KernelTable } from '../kernel.js';
import { product } from '../kernel.js';

/** out[s] = sum of the rows x[i] with segmentIds[i] = s; ids outside 0 .. numSegments - 1 are dropped. */
const unsortedSegmentSum: Kernel = (context, inputs, attrs) => {
  const { x, segmentIds } = inputs;
  const { numSegments } = attrs as { numSegments: number };
  if (x.dtype !== 'float32' || segmentIds.dtype !== 'int32') return context.onCpu(inputs, attrs);
  const { heap } = context;
  const rank = segmentIds.shape.length;
  const inner = x.shape.slice(rank);
  const width = product(inner);
  const count = product(segmentIds.shape);
  const out = heap.output([numSegments, ...inner]);
  const sums = heap.floats(heap.address(out), numSegments * width).fill(0);
  const rows = heap.floats(heap.address(x), count * width);
  const ids = heap.ints(heap.address(segmentIds), count);
  for (let row = 0; row < count; row++) {
    const id = ids[row];
    if (id < 0 || id >= numSegments) continue;
    const [to, from] = [id * width, row * width];
    for (let column = 0; column < width; column++) sums[to + column] += rows[from + column];
  }
  return out;
};

export const segmentKernels: KernelTable = { UnsortedSegmentSum: unsortedSegmentSum };
