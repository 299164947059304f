/** Gradients of reductions, running sums and softmax. */
import type { NamedAttrMap, Tensor } from '@tensorflow/tfjs-core';
import { SPREAD } from '../kernel-names.js';
import { fusedOr, type GradientTable, ofInput, ofOutput, type Tf } from './gradient.js';

/** Of kernels that reduce over axes, of running sums and of softmax. */
export function reduceGradients(tf: Tf): GradientTable {
  return {
    Sum: ofInput((dy, x, { axis }) => spread(tf, dy, x, axesOf(tf, x, axis), 1)),
    Mean: ofInput((dy, x, { axis }) => {
      const axes = axesOf(tf, x, axis);
      return spread(tf, dy, x, axes, 1 / axes.reduce((count, n) => count * x.shape[n], 1));
    }),
    Max: extremum(tf, 'reductionIndices'),
    Min: extremum(tf, 'axis'),
    Prod: ofInput((dy, x, { axis }) =>
      tf.mul(spread(tf, dy, x, axesOf(tf, x, axis), 1), productOfOthers(tf, x, axesOf(tf, x, axis))),
    ),
    Cumsum: {
      gradFunc: (dy, _saved, attrs) => {
        const { axis, exclusive, reverse } = attrs as { axis: number; exclusive: boolean; reverse: boolean };
        return { x: () => tf.cumsum(dy as Tensor, axis, exclusive, !reverse) };
      },
    },
    Softmax: ofOutput(
      tf,
      'Softmax',
      (dy, y, { dim }) => {
        const weighted = tf.mul(dy, y);
        return tf.sub(weighted, tf.mul(tf.sum(weighted, dim as number, true), y));
      },
      'logits',
    ),
    LogSoftmax: ofOutput(
      tf,
      'LogSoftmax',
      (dy, y, { axis }) => tf.sub(dy, tf.mul(tf.sum(dy, axis as number, true), tf.exp(y))),
      'logits',
    ),
    ArgMax: ofInput((_dy, x) => tf.zerosLike(x)),
    ArgMin: ofInput((_dy, x) => tf.zerosLike(x)),
    TopK: {
      inputsToSave: ['x'],
      outputsToSave: [false, true],
      gradFunc: (dys, saved) => {
        const [x, indices] = saved as Tensor[];
        return { x: () => topkGradient(tf, (dys as unknown as Tensor[])[0], x, indices) };
      },
    },
  };
}

function axesOf(tf: Tf, x: Tensor, axis: NamedAttrMap[string]): number[] {
  return tf.util.parseAxisParam(axis as number | number[], x.shape);
}

/** dy, from which `axes` were removed, repeated along them and multiplied by `scale`. */
function spread(tf: Tf, dy: Tensor, x: Tensor, axes: number[], scale: number): Tensor {
  const kept = tf.reshape(
    dy,
    x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size)),
  );
  const attrs = { shape: x.shape, axes, scale };
  // Not by tile, which webgpu computes on the host above rank 4.
  return fusedOr(tf, SPREAD, { x: kept }, attrs, () => tf.mul(kept, tf.fill(x.shape, scale)));
}

/** dy at every element that equals the extremum. */
function extremum(tf: Tf, attribute: 'axis' | 'reductionIndices') {
  return {
    inputsToSave: ['x'],
    outputsToSave: [true],
    gradFunc: (given: Tensor | Tensor[], saved: Tensor | Tensor[], attrs: NamedAttrMap) => {
      const [dy, [x, y]] = [given as Tensor, saved as Tensor[]];
      const axes = axesOf(tf, x, attrs[attribute]);
      return {
        x: () => tf.mul(spread(tf, dy, x, axes, 1), tf.cast(tf.equal(x, spread(tf, y, x, axes, 1)), 'float32')),
      };
    },
  };
}

/** For each element the product of all others along the axes: correct where some are zero. */
function productOfOthers(tf: Tf, x: Tensor, axes: number[]): Tensor {
  const order = [...x.shape.keys()].filter((axis) => !axes.includes(axis)).concat(axes);
  const moved = tf.transpose(x, order);
  const size = axes.reduce((count, axis) => count * x.shape[axis], 1);
  const rows = tf.reshape(moved, [-1, size]);
  const others = tf.mul(tf.cumprod(rows, 1, true, false), tf.cumprod(rows, 1, true, true));
  const back = order.map((_, axis) => order.indexOf(axis));
  return tf.transpose(tf.reshape(others, moved.shape), back);
}

/** The chosen values' gradients at the places they came from, along the last axis. */
function topkGradient(tf: Tf, dy: Tensor, x: Tensor, indices: Tensor): Tensor {
  const size = x.shape[x.rank - 1];
  const k = indices.shape[indices.rank - 1];
  const rows = x.size / size;
  const start = tf.mul(tf.reshape(tf.range(0, rows, 1, 'int32'), [rows, 1]), tf.scalar(size, 'int32'));
  const ids = tf.reshape(tf.add(tf.reshape(indices, [rows, k]), start), [rows * k]);
  return tf.reshape(tf.unsortedSegmentSum(tf.reshape(dy, [rows * k]), ids as never, x.size), x.shape);
}
