/**
 * BatchMatMul and _FusedMatMul for every transposition, with broadcasting over the leading dimensions.
 *
 * The stock kernel takes a scalar path for transposed operands; ours transposes on the way into the cache, and takes a
 * right side that is shared by the whole batch as one product.
 */
import type { TensorInfo } from '@tensorflow/tfjs-core';
import { FlError } from '../../../../shared/errors.js';
import type { Heap } from '../heap.js';
import { type Context, type Kernel, type KernelTable, product } from '../kernel.js';
import { type Epilogue, linearTable, planRows, planTransposed } from '../matmul.js';
import { plainRight, transposedRight } from '../panels.js';
import { addBias, applyActivation, boundsOf } from './activation.js';

interface Shape {
  readonly rows: number;
  readonly depth: number;
  readonly columns: number;
  readonly transposeA: boolean;
  readonly transposeB: boolean;
}

const batchMatMul: Kernel = (context, inputs, attrs) => {
  const { a, b } = inputs;
  const { transposeA, transposeB } = attrs as { transposeA: boolean; transposeB: boolean };
  if (a.dtype !== 'float32' || b.dtype !== 'float32') return context.onCpu(inputs, attrs);
  return multiply(context, { a, b, transposeA, transposeB }, {});
};

const fusedMatMul: Kernel = (context, inputs, attrs) => {
  const { transposeA, transposeB, activation } = attrs as {
    transposeA: boolean;
    transposeB: boolean;
    activation: string;
  };
  const { a, b, bias } = inputs;
  const bounds = boundsOf(activation);
  const columns = b.shape[b.shape.length - (transposeB ? 2 : 1)];
  const isRow = !bias || (bias.shape.at(-1) === columns && product(bias.shape) === columns);
  if (transposeA || !isRow) {
    const linear = multiply(context, { a, b, transposeA, transposeB }, {});
    return applyActivation(context, bias ? addBias(context, linear, bias) : linear, inputs, attrs);
  }
  const out = multiply(
    context,
    { a, b, transposeA, transposeB },
    { bias: bias && context.heap.address(bias), ...bounds },
  );
  return bounds ? out : applyActivation(context, out, inputs, attrs);
};

/** [.., rows, depth] by [.., depth, columns], with FlError 'invalid-argument' where the depths differ. */
export const matmulKernels: KernelTable = { BatchMatMul: batchMatMul, _FusedMatMul: fusedMatMul };

function multiply(
  { heap, tf }: Context,
  operands: { a: TensorInfo; b: TensorInfo; transposeA: boolean; transposeB: boolean },
  epilogue: Epilogue,
): TensorInfo {
  const { a, b, transposeA, transposeB } = operands;
  const [rows, depth] = lastTwo(a.shape, transposeA);
  const [depthB, columns] = lastTwo(b.shape, transposeB);
  if (depth !== depthB) {
    throw new FlError(
      'invalid-argument',
      `matMul: inner sizes of [${a.shape}] and [${b.shape}] differ: ${depth}, ${depthB}`,
    );
  }
  const batchA = a.shape.slice(0, -2);
  const batchB = b.shape.slice(0, -2);
  const batch = tf.broadcast_util.assertAndGetBroadcastShape(batchA, batchB);
  const out = heap.output([...batch, rows, columns]);
  if (product(out.shape) === 0) return out;
  const [addressA, addressB, addressOut] = [a, b, out].map((tensor) => heap.address(tensor));
  if (depth === 0) {
    heap.floats(addressOut, product(out.shape)).fill(0);
    return out;
  }
  const shared = product(batchB) === 1 && !transposeA;
  const shape = { rows: shared ? rows * product(batch) : rows, depth, columns, transposeA, transposeB };
  const offsetsA = shared ? [0] : batchOffsets(batchA, batch, 4 * rows * depth);
  const offsetsB = shared ? [0] : batchOffsets(batchB, batch, 4 * depth * columns);
  multiplyAll(
    heap,
    shape,
    offsetsA.map((offset, index) => ({
      a: addressA + offset,
      b: addressB + offsetsB[index],
      out: addressOut + index * 4 * rows * columns,
    })),
    epilogue,
  );
  return out;
}

/** Products of one shape, planned once. */
function multiplyAll(
  heap: Heap,
  { rows, depth, columns, transposeA, transposeB }: Shape,
  slices: readonly { a: number; b: number; out: number }[],
  epilogue: Epilogue,
): void {
  const right = transposeB ? transposedRight(heap, depth, columns) : plainRight(heap, columns);
  if (transposeA && columns < TRANSPOSE_FROM_COLUMNS) {
    const left = { table: linearTable(heap, depth, 4 * rows), count: depth };
    const multiply = planTransposed(heap, left, { segments: 1, length: rows, stride: 0 }, right);
    for (const { a, b, out } of slices) multiply(a, b, out);
    return;
  }
  const stride = 4 * depth + (transposeA ? LINE_BYTES : 0); // a gap, lest rows a power of two apart share a cache set
  const plain = transposeA ? heap.scratch(rows * stride) : 0;
  const left = { table: linearTable(heap, rows, stride), count: rows };
  const target = { table: linearTable(heap, rows, 4 * columns), ...epilogue };
  const multiply = planRows(heap, left, { segments: 1, length: depth, stride: 0 }, right, target);
  for (const { a, b, out } of slices) {
    if (transposeA) transposeInto(heap, a, plain, stride, depth, rows);
    multiply(plain || a, b, out);
  }
}

const LINE_BYTES = 64;
/** With fewer columns on the right, transposing the left side takes as long as it saves. */
const TRANSPOSE_FROM_COLUMNS = 24;
/** Columns of the source per pass, so that the lines written stay in the first-level cache until they are full. */
const TRANSPOSE_COLUMNS = 64;

/** target[c, r] = source[r, c], the rows of the target `stride` bytes apart. */
function transposeInto(
  heap: Heap,
  source: number,
  target: number,
  stride: number,
  rows: number,
  columns: number,
): void {
  for (let start = 0; start < columns; start += TRANSPOSE_COLUMNS) {
    const count = Math.min(TRANSPOSE_COLUMNS, columns - start);
    heap.run.transpose(source + 4 * start, 4 * columns, target + start * stride, stride, rows, count);
  }
}

/** [rows, columns] of the matrices in a tensor, as multiplied. */
function lastTwo(shape: readonly number[], transposed: boolean): [number, number] {
  const [rows, columns] = shape.slice(-2);
  return transposed ? [columns, rows] : [rows, columns];
}

/** Byte offset of each matrix of the output's batch in an operand with batch shape `from`, repeated where it is 1. */
function batchOffsets(from: readonly number[], to: readonly number[], matrixBytes: number): number[] {
  let offsets = [0];
  const lead = to.length - from.length;
  let stride = product(from) * matrixBytes;
  to.forEach((size, axis) => {
    const own = axis < lead ? 1 : from[axis - lead];
    stride /= own;
    const step = own === 1 ? 0 : stride;
    offsets = offsets.flatMap((offset) => Array.from({ length: size }, (_, index) => offset + index * step));
  });
  return offsets;
}
