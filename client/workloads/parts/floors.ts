/** Floors of a workload that tells classes apart, by name: what its tensors of a batch are called is all that it has to say. */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';
import type { SumMetrics } from '../../../shared/run/metrics.js';
import type { Floor, FloorContext, Shard, Split } from '../../workload.js';
import {
  bestOf,
  type LabelledRows,
  majority,
  nearestMean,
  nearestNeighbours,
  type Scores,
  softmaxRegression,
} from './classifiers.js';

/** Examples whose tensors are made at a time. */
const BATCH = 200;

/** Tensors of a workload's batches, by name. */
export interface ClassInputs {
  /** [batch, ...]; its numbers are a row. */
  readonly inputs: string;
  /** One-hot [batch, classes]. */
  readonly labels: string;
}

interface Kind {
  readonly label: string;
  readonly kind: Floor['kind'];
  readonly fit: (rows: LabelledRows, rng: Rng) => Scores;
}

const KINDS = {
  majority: { label: 'the commonest class', kind: 'trivial', fit: majority },
  softmax: { label: 'softmax regression on the inputs', kind: 'raw-features', fit: softmaxRegression },
  'nearest-mean': { label: 'nearest class mean of the inputs', kind: 'classical', fit: nearestMean },
  knn: { label: 'five nearest training examples', kind: 'classical', fit: nearestNeighbours },
} as const satisfies Record<string, Kind>;

/** The floors that every workload with classes can have. */
export type ClassFloor = keyof typeof KINDS;

/** What a fitted floor says of the test examples of one client: sums by metric. Default: the share of right answers. */
export type JudgeRows = (
  scores: Scores,
  of: { readonly context: FloorContext<unknown>; readonly shard: Shard },
) => SumMetrics;

/**
 * Floors `floor/NAME` from the inputs of the workload's own batches.
 * @param about.metric the metric that is the share of right answers
 * @param about.judge instead of it, for a workload with several
 */
export function classFloors<Data>(
  names: readonly ClassFloor[],
  about: ClassInputs & ({ readonly metric: string } | { readonly judge: JudgeRows }),
): Floor<Data>[] {
  return names.map((name) => {
    const { label, kind, fit: learn } = KINDS[name];
    return {
      ...{ name, label, kind },
      fit(context) {
        const all = context as FloorContext<unknown>;
        const scores = learn(
          joined(all.shards.map((shard) => rowsOf(all, { shard, split: 'train' }, about))),
          context.rng,
        );
        if ('judge' in about) return (shard) => about.judge(scores, { context: all, shard });
        return (shard) => ({ [about.metric]: rightIn(scores, rowsOf(all, { shard, split: 'test' }, about)) });
      },
    };
  });
}

/** How many rows are of the class with the highest score. */
export function rightIn(scores: Scores, rows: LabelledRows): SumMetrics[string] {
  let right = 0;
  for (let i = 0; i < rows.count; i++) if (bestOf(scores(rowAt(rows, i))) === rows.labels[i]) right++;
  return { sum: [right], count: rows.count };
}

/** One row, where it lies. */
export function rowAt({ values, width }: LabelledRows, i: number): Float32Array {
  return values.subarray(i * width, (i + 1) * width);
}

/** The rows of a client's examples; tensors that a batch does not have give none. */
export function rowsOf(
  context: FloorContext<unknown>,
  { shard, split }: { readonly shard: Shard; readonly split: Split },
  { inputs, labels }: ClassInputs,
): LabelledRows {
  const indices = shard[split];
  const parts: LabelledRows[] = [];
  for (let start = 0; start < indices.length; start += BATCH) {
    const batch = indices.slice(start, start + BATCH);
    tf.tidy(() => {
      const tensors = context.batch(batch, { shard, split });
      if (tensors[inputs] !== undefined) parts.push(labelled(tensors[inputs], tensors[labels] as tf.Tensor2D));
    });
  }
  return joined(parts);
}

/** Tensors as rows; they stay the caller's. */
export function labelled(inputs: tf.Tensor, labels: tf.Tensor2D): LabelledRows {
  const [count, classes] = labels.shape;
  return {
    ...{ count, classes },
    width: inputs.size / count,
    values: Float32Array.from(inputs.dataSync()),
    labels: Int32Array.from(tf.argMax(labels, 1).dataSync()),
  };
}

/** One after another. */
export function joined(parts: readonly LabelledRows[]): LabelledRows {
  const some = parts.filter(({ count }) => count > 0);
  const [{ width, classes } = { width: 0, classes: 0 }] = some;
  const count = some.reduce((sum, part) => sum + part.count, 0);
  const [values, labels] = [new Float32Array(count * width), new Int32Array(count)];
  let at = 0;
  for (const part of some) {
    values.set(part.values, at * width);
    labels.set(part.labels, at);
    at += part.count;
  }
  return { count, width, classes, values, labels };
}
