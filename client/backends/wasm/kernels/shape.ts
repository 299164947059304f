/** Kernels that move or convert data: Identity, Cast, PadV2, and the running sum. */
import type { DataType } from '@tensorflow/tfjs-core';
import { type Kernel, type KernelTable, product } from '../kernel.js';

/** The stock kernel copies, and TensorFlow.js runs it for every tensor that is saved for a gradient. */
const identity: Kernel = ({ heap }, { x }) => heap.alias(x, x.shape);

const cast: Kernel = (context, inputs, attrs) => {
  const { x } = inputs;
  const { heap } = context;
  const { dtype } = attrs as { dtype: DataType };
  if (dtype === x.dtype) return heap.alias(x, x.shape);
  if (dtype !== 'float32' || (x.dtype !== 'bool' && x.dtype !== 'int32')) return context.stock(inputs, attrs);
  const out = heap.output(x.shape);
  const size = product(x.shape);
  const [from, to] = [heap.address(x), heap.floats(heap.address(out), size)];
  const values = x.dtype === 'bool' ? heap.bytes(from, size) : heap.ints(from, size);
  // A loop, because TypedArray.set between element types takes ten times as long.
  for (let index = 0; index < size; index++) to[index] = values[index];
  return out;
};

/** Copies row by row, where a row is all that follows the last padded axis. */
const pad: Kernel = (context, inputs, attrs) => {
  const { x } = inputs;
  const { paddings, constantValue } = attrs as unknown as { paddings: [number, number][]; constantValue: number };
  if (x.dtype !== 'float32' || product(x.shape) === 0) return context.stock(inputs, attrs);
  const { heap } = context;
  const shape = x.shape.map((size, axis) => paddings[axis][0] + size + paddings[axis][1]);
  const out = heap.output(shape);
  const target = heap.floats(heap.address(out), product(shape)).fill(constantValue);
  const source = heap.floats(heap.address(x), product(x.shape));
  const last = paddings.findLastIndex(([before, after]) => before + after > 0);
  const copy = (axis: number, from: number, to: number): void => {
    const inner = product(x.shape.slice(axis + 1));
    const outInner = product(shape.slice(axis + 1));
    const start = to + (axis < 0 ? 0 : paddings[axis][0] * outInner);
    if (axis >= last) target.set(source.subarray(from, from + (axis < 0 ? 1 : x.shape[axis]) * inner), start);
    else for (let n = 0; n < x.shape[axis]; n++) copy(axis + 1, from + n * inner, start + n * outInner);
  };
  copy(Math.min(0, last), 0, 0);
  return out;
};

/** Running sum along an axis, which may be negative: with a negative axis the stock kernel writes outside its memory. */
const cumsum: Kernel = (context, inputs, attrs) => {
  const { x } = inputs;
  const { axis, exclusive, reverse } = attrs as { axis: number; exclusive: boolean; reverse: boolean };
  const [at] = context.tf.util.parseAxisParam(axis, x.shape);
  if (x.dtype !== 'float32') return context.stock(inputs, { ...attrs, axis: at });
  const { heap } = context;
  const [outer, inner] = [x.shape.slice(0, at), x.shape.slice(at + 1)].map(product);
  const size = x.shape[at];
  const out = heap.output(x.shape);
  const sums = heap.floats(heap.address(out), product(x.shape));
  const terms = heap.floats(heap.address(x), product(x.shape));
  const step = reverse ? -inner : inner;
  for (let o = 0; o < outer; o++) {
    for (let i = 0; i < inner; i++) {
      let index = o * size * inner + i + (reverse ? (size - 1) * inner : 0);
      let sum = 0;
      for (let n = 0; n < size; n++, index += step) {
        if (exclusive) sums[index] = sum;
        sum += terms[index];
        if (!exclusive) sums[index] = sum;
      }
    }
  }
  return out;
};

/** Any shape; what is not float32 goes to the stock kernels but for Identity, and Cast from bool and int32. */
export const shapeKernels: KernelTable = { Identity: identity, Cast: cast, PadV2: pad, Cumsum: cumsum };
