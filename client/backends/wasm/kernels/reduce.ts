/** Sum, Mean, Tile and the spreading of a gradient over the axes that were summed. */
import type { NamedAttrMap, TensorInfo } from '@tensorflow/tfjs-core';
import { SPREAD } from '../../kernel-names.js';
import type { Heap } from '../heap.js';
import { type Kernel, type KernelTable, product } from '../kernel.js';

/** The axes as runs of neighbours, first to last; axes of size 1 do not separate neighbours. */
function spansOf(shape: readonly number[], axes: readonly number[]): { first: number; end: number }[] {
  const spans: { first: number; end: number }[] = [];
  for (const axis of [...axes].sort((a, b) => a - b)) {
    const last = spans.at(-1);
    const adjacent = last && shape.slice(last.end, axis).every((size) => size === 1);
    if (adjacent) last.end = axis + 1;
    else spans.push({ first: axis, end: axis + 1 });
  }
  return spans;
}

/** The tensor as [outer, size, inner], `size` the axes of the run. */
function spanOf(shape: readonly number[], { first, end }: { first: number; end: number }) {
  const parts = [shape.slice(0, first), shape.slice(first, end), shape.slice(end)];
  const [outer, size, inner] = parts.map(product);
  return { outer, size, inner };
}

const reduce =
  (scaleOf: (count: number) => number): Kernel =>
  (context, inputs, attrs) => {
    const { x } = inputs;
    const { axis, keepDims } = attrs as { axis: number | number[]; keepDims: boolean };
    if (x.dtype !== 'float32' || product(x.shape) === 0) return context.stock(inputs, attrs);
    const axes = context.tf.util.parseAxisParam(axis, x.shape);
    const kept = x.shape.map((size, index) => (axes.includes(index) ? 1 : size));
    const out = sumOver(context.heap, x, axes, scaleOf(product(x.shape) / product(kept)));
    return { ...out, shape: keepDims ? kept : x.shape.filter((_, index) => !axes.includes(index)) };
  };

/** Sums span by span, the last first, so that the long runs of memory are summed first; owns and frees what is between. */
function sumOver(heap: Heap, x: TensorInfo, axes: readonly number[], scale: number): TensorInfo {
  let current = x;
  const shape = [...x.shape];
  const spans = spansOf(shape, axes);
  if (spans.length === 0) return scaled(heap, x, scale);
  for (let n = spans.length - 1; n >= 0; n--) {
    const { outer, size, inner } = spanOf(shape, spans[n]);
    shape.fill(1, spans[n].first, spans[n].end);
    const out = heap.output(shape);
    const [from, to] = [heap.address(current), heap.address(out)];
    const factor = n === 0 ? scale : 1;
    if (inner === 1) heap.run.rowSums(from, to, outer, size, factor);
    else {
      for (let o = 0; o < outer; o++) {
        heap.run.columnSums(from + 4 * o * size * inner, to + 4 * o * inner, size, inner, factor);
      }
    }
    if (current !== x) heap.release(current);
    current = out;
  }
  return current;
}

function scaled(heap: Heap, x: TensorInfo, scale: number): TensorInfo {
  if (scale === 1) return heap.alias(x, x.shape);
  const out = heap.output(x.shape);
  heap.run.spread(heap.address(x), heap.address(out), 1, 1, product(x.shape), scale);
  return out;
}

const spread: Kernel = ({ heap }, { x }, attrs) => {
  const { shape, axes, scale } = attrs as { shape: number[]; axes: number[]; scale: number };
  const repeats = shape.map((size, axis) => (axes.includes(axis) ? size : 1));
  return repeat(heap, x, repeats, scale);
};

/** Repeats the tensor along each axis and multiplies it by `scale`. */
function repeat(heap: Heap, x: TensorInfo, repeats: readonly number[], scale: number): TensorInfo {
  if (product(x.shape) * product(repeats) === 0) return heap.output(x.shape.map((size, axis) => size * repeats[axis]));
  const axes = repeats.flatMap((times, axis) => (times === 1 ? [] : [axis]));
  if (axes.length === 0) return scaled(heap, x, scale);
  let current = x;
  const shape = [...x.shape];
  // The last axis first, so that the later steps copy long runs.
  axes.reverse().forEach((axis, index) => {
    const [outer, inner] = [shape.slice(0, axis), shape.slice(axis)].map(product);
    shape[axis] *= repeats[axis];
    const out = heap.output(shape);
    heap.run.spread(heap.address(current), heap.address(out), outer, repeats[axis], inner, index === 0 ? scale : 1);
    if (current !== x) heap.release(current);
    current = out;
  });
  return current;
}

const tile: Kernel = (context, inputs, attrs: NamedAttrMap) => {
  const { reps } = attrs as { reps: number[] };
  if (inputs.x.dtype !== 'float32') return context.stock(inputs, attrs);
  return repeat(context.heap, inputs.x, reps, 1);
};

/** float32 of any shape, other types by the stock kernels; Spread repeats x, axes of size 1, to the shape that was summed over. */
export const reduceKernels: KernelTable = {
  Sum: reduce(() => 1),
  Mean: reduce((count) => 1 / count),
  Tile: tile,
  [SPREAD]: spread,
};
