/** Gradients of operations that move elements about: each is the operation that moves them back, adding where they meet. */
import type { Tensor } from '@tensorflow/tfjs-core';
import { type GradientTable, ofGradient, ofInput, type Tf } from './gradient.js';

/** Of kernels that move values and compute none. */
export function shapeGradients(tf: Tf): GradientTable {
  return { ...rearrangements(tf), ...joins(tf), ...paddings(tf), ...selections(tf) };
}

function rearrangements(tf: Tf): GradientTable {
  return {
    Reshape: ofInput((dy, x) => tf.reshape(dy, x.shape)),
    ExpandDims: {
      inputsToSave: ['input'],
      gradFunc: (dy, saved) => ({ input: () => tf.reshape(dy as Tensor, (saved as Tensor[])[0].shape) }),
    },
    Transpose: ofGradient((dy, attrs) => {
      const { perm } = attrs as { perm: number[] };
      return tf.transpose(
        dy,
        perm.map((_, axis) => perm.indexOf(axis)),
      );
    }),
    Reverse: ofGradient((dy, attrs) => tf.reverse(dy, (attrs as { dims: number | number[] }).dims)),
    Tile: ofInput((dy, x, attrs) => {
      // [r0·n0, r1·n1, ..] as [r0, n0, r1, n1, ..], summed over the repeats
      const { reps } = attrs as { reps: number[] };
      const split = tf.reshape(
        dy,
        x.shape.flatMap((size, axis) => [reps[axis], size]),
      );
      return tf.reshape(
        tf.sum(
          split,
          x.shape.map((_, axis) => 2 * axis),
        ),
        x.shape,
      );
    }),
    SpaceToBatchND: ofGradient((dy, attrs) => {
      const { blockShape, paddings } = attrs as unknown as { blockShape: number[]; paddings: number[][] };
      return tf.batchToSpaceND(dy, blockShape, paddings);
    }),
    BatchToSpaceND: ofGradient((dy, attrs) => {
      const { blockShape, crops } = attrs as unknown as { blockShape: number[]; crops: number[][] };
      return tf.spaceToBatchND(dy, blockShape, crops);
    }),
  };
}

function joins(tf: Tf): GradientTable {
  return {
    Concat: {
      saveAllInputs: true,
      gradFunc: (dy, saved, attrs) => {
        const inputs = saved as Tensor[];
        const [axis] = tf.util.parseAxisParam((attrs as { axis: number }).axis, inputs[0].shape);
        const sizes = inputs.map(({ shape }) => shape[axis]);
        const part = (index: number) => {
          const begin = inputs[0].shape.map((_, n) =>
            n === axis ? sizes.slice(0, index).reduce((a, b) => a + b, 0) : 0,
          );
          return tf.slice(dy as Tensor, begin, inputs[index].shape);
        };
        return Object.fromEntries(inputs.map((_, index) => [index, () => part(index)]));
      },
    },
    Pack: {
      saveAllInputs: true,
      gradFunc: (dy, saved, attrs) => {
        const { axis } = attrs as { axis: number };
        const shape = (saved as Tensor[])[0].shape;
        const [at] = tf.util.parseAxisParam(axis, (dy as Tensor).shape);
        const stacked = shape.toSpliced(at, 0, 1);
        const part = (index: number) =>
          tf.reshape(
            tf.slice(
              dy as Tensor,
              stacked.map((_, n) => (n === at ? index : 0)),
              stacked,
            ),
            shape,
          );
        return Object.fromEntries((saved as Tensor[]).map((_, index) => [index, () => part(index)]));
      },
    },
    SplitV: {
      gradFunc: (dys, _saved, attrs) => ({ x: () => tf.concat(dys as Tensor[], (attrs as { axis: number }).axis) }),
    },
    Unpack: {
      gradFunc: (dys, _saved, attrs) => ({ value: () => tf.stack(dys as Tensor[], (attrs as { axis: number }).axis) }),
    },
  };
}

function paddings(tf: Tf): GradientTable {
  return {
    PadV2: ofInput((dy, x, attrs) => {
      const { paddings } = attrs as unknown as { paddings: [number, number][] };
      return tf.slice(
        dy,
        paddings.map(([before]) => before),
        x.shape,
      );
    }),
    MirrorPad: ofInput((dy, x, attrs) => {
      const { paddings, mode } = attrs as unknown as { paddings: [number, number][]; mode: 'reflect' | 'symmetric' };
      return paddings.reduce((gradient, [before, after], axis) => {
        if (before + after === 0) return gradient;
        const size = x.shape[axis];
        const edge = mode === 'reflect' ? 0 : 1;
        const source = Array.from({ length: before + size + after }, (_, position) => {
          const inside = position - before;
          if (inside < 0) return -inside - edge;
          return inside < size ? inside : 2 * (size - 1) - inside + edge;
        });
        return sumInto(tf, gradient, tf.tensor1d(source, 'int32'), axis, size);
      }, tf.clone(dy));
    }),
    Slice: ofInput((dy, x, attrs) => {
      const { begin, size } = attrs as { begin: number | number[]; size: number | number[] };
      const [start, length] = tf.slice_util.parseSliceParams(x, begin, size);
      return tf.pad(
        dy,
        x.shape.map((whole, axis): [number, number] => [start[axis], whole - start[axis] - length[axis]]),
      );
    }),
  };
}

function selections(tf: Tf): GradientTable {
  return {
    GatherV2: {
      inputsToSave: ['x', 'indices'],
      gradFunc: (given, saved, attrs) => {
        const [dy, [x, indices]] = [given as Tensor, saved as Tensor[]];
        const { axis, batchDims } = attrs as { axis: number; batchDims: number };
        return {
          x: () =>
            batchDims
              ? gatherBatchesGradient(tf, dy, x, indices, axis, batchDims)
              : gatherGradient(tf, dy, x, indices, axis),
          indices: () => tf.zeros(indices.shape),
        };
      },
    },
    GatherNd: {
      inputsToSave: ['params', 'indices'],
      gradFunc: (dy, saved) => {
        const [params, indices] = saved as Tensor[];
        return {
          params: () => tf.scatterND(indices, dy as Tensor, params.shape),
          indices: () => tf.zeros(indices.shape),
        };
      },
    },
    ScatterNd: {
      inputsToSave: ['indices'],
      gradFunc: (dy, saved) => {
        const [indices] = saved as Tensor[];
        return { updates: () => tf.gatherND(dy as Tensor, indices), indices: () => tf.zeros(indices.shape) };
      },
    },
    UnsortedSegmentSum: {
      inputsToSave: ['segmentIds'],
      gradFunc: (given, saved, attrs) => {
        const [dy, [ids]] = [given as Tensor, saved as Tensor[]];
        const { numSegments } = attrs as { numSegments: number };
        const inRange = tf.logicalAnd(tf.greaterEqual(ids, 0), tf.less(ids, tf.scalar(numSegments, 'int32')));
        const rows = () => {
          const gathered = tf.gather(dy, tf.where(inRange, ids, tf.zerosLike(ids)));
          const mask = tf.reshape(inRange, [...ids.shape, ...Array<number>(gathered.rank - ids.rank).fill(1)]);
          return tf.mul(gathered, tf.cast(mask, 'float32'));
        };
        return { x: rows, segmentIds: () => tf.zeros(ids.shape) };
      },
    },
    Select: {
      inputsToSave: ['condition'],
      gradFunc: (given, saved) => {
        const [dy, [condition]] = [given as Tensor, saved as Tensor[]];
        return {
          condition: () => tf.zeros(condition.shape),
          t: () => tf.mul(dy, tf.cast(condition, 'float32')),
          e: () => tf.mul(dy, tf.cast(tf.logicalNot(condition), 'float32')),
        };
      },
    },
    OneHot: {
      inputsToSave: ['indices'],
      gradFunc: (_dy, saved) => ({ indices: () => tf.zeros((saved as Tensor[])[0].shape) }),
    },
  };
}

/** out[.., ids[i], ..] += x[.., i, ..] along `axis`. */
function sumInto(tf: Tf, x: Tensor, ids: Tensor, axis: number, size: number): Tensor {
  if (axis === 0) return tf.unsortedSegmentSum(x, ids as never, size);
  const front = [axis, ...x.shape.flatMap((_, n) => (n === axis ? [] : [n]))];
  const back = front.map((_, n) => front.indexOf(n));
  return tf.transpose(tf.unsortedSegmentSum(tf.transpose(x, front), ids as never, size), back);
}

function gatherGradient(tf: Tf, dy: Tensor, x: Tensor, indices: Tensor, axis: number): Tensor {
  const [at] = tf.util.parseAxisParam(axis, x.shape);
  const rows = tf.reshape(dy, [...x.shape.slice(0, at), indices.size, ...x.shape.slice(at + 1)]);
  return sumInto(tf, rows, tf.reshape(indices, [indices.size]), at, x.shape[at]);
}

/** The leading `batchDims` axes of x and indices run together: offsets make the indices of each batch its own. */
function gatherBatchesGradient(
  tf: Tf,
  dy: Tensor,
  x: Tensor,
  indices: Tensor,
  axis: number,
  batchDims: number,
): Tensor {
  const [at] = tf.util.parseAxisParam(axis, x.shape);
  const batch = tf.util.sizeFromShape(x.shape.slice(0, batchDims));
  const outer = tf.util.sizeFromShape(x.shape.slice(batchDims, at));
  const inner = tf.util.sizeFromShape(x.shape.slice(at + 1));
  const count = indices.size / batch;
  const size = x.shape[at];
  // dy is [batch, outer, count, inner]; the row of x that it came from is (batch · outer + o) · size + index.
  const start = tf.reshape(tf.range(0, batch * outer, 1, 'int32'), [batch, outer, 1]);
  const rows = tf.add(tf.mul(start, tf.scalar(size, 'int32')), tf.reshape(indices, [batch, 1, count]));
  const ids = tf.reshape(rows, [batch * outer * count]);
  const summed = tf.unsortedSegmentSum(
    tf.reshape(dy, [batch * outer * count, inner]),
    ids as never,
    batch * outer * size,
  );
  return tf.reshape(summed, x.shape);
}
