/**
 * What a site's data are, as its own people are shown them before anything trains: counts, classes, groups, the range of
 * each tensor. For the site only; nothing here is ever sent.
 */
import tf = require('@tensorflow/tfjs-core');

import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Hyper, WorkSpec } from '../../shared/run/spec.js';
import { batchOf } from '../training/batch.js';
import { evaluate } from '../training/evaluate.js';
import { initialModel } from '../training/task.js';
import type { JudgedSplit, Shard, Split, Workload } from '../workload.js';
import type { Examples } from './partition.js';

/** Of one tensor of the batches: its shape for one example, and all of its values. */
export interface ValueRange {
  readonly tensor: string;
  readonly shape: readonly number[];
  readonly min: number;
  readonly max: number;
  readonly mean: number;
}

/** Of one split. Examples by class or group; absent where the data have none. */
export interface SplitSummary {
  readonly count: number;
  readonly classes?: Readonly<Record<string, number>>;
  readonly groups?: Readonly<Record<string, number>>;
  readonly ranges: readonly ValueRange[];
}

/** Of each split; of validation, where the workload has such a split of its own. */
export type SplitSummaries = Readonly<Record<Split, SplitSummary>> & { readonly validation?: SplitSummary };

const BATCH_SIZE = 200;
/** Of groups; a data set may have one for each example. */
const MOST_GROUPS = 1000;

/**
 * Makes every batch once. Needs a running back end, and leaves no tensor behind.
 * @throws FlError invalid-argument: no example to train on, a batch of another size than asked for, or a value that is no
 *   finite number, with split, tensor and example
 */
export async function inspectData<Data>(workload: Workload<Data>, data: Data, hyper: Hyper): Promise<SplitSummaries> {
  const own = workload.validation?.examples(data, hyper);
  const examples = { ...workload.examples(data, hyper), ...(own && { validation: own }) };
  const of = (split: JudgedSplit) => examples[split] ?? { count: 0 };
  for (const split of ['train', 'validation', 'test'] as const) {
    const { count } = of(split);
    if (!Number.isSafeInteger(count) || count < 0)
      throw invalidArgument(`${split}.count`, 'a number of examples', count);
  }
  if (examples.train.count === 0) throw invalidArgument('train', 'at least one example to train on', 0);
  const all = (split: JudgedSplit) => Int32Array.from({ length: of(split).count }, (_, i) => i);
  const shard: Shard = { train: all('train'), validation: all('validation'), test: all('test'), index: 0, count: 1 };
  const summary = async (split: JudgedSplit): Promise<SplitSummary> => ({
    count: of(split).count,
    ...countsOf(split, of(split)),
    ranges: await rangesOf(
      (indices) => batchOf(workload, data, indices, { hyper, shard, split }),
      shard[split] ?? all(split),
      split,
    ),
  });
  return {
    train: await summary('train'),
    ...(own && { validation: await summary('validation') }),
    test: await summary('test'),
  };
}

/** Enough to see which figures there are, and that they can be measured. */
const MEASURED = 2;

/**
 * The names of the figures that a site sends of its examples, each with the length of its vector of sums: measured of a few
 * training examples under the first model. Needs a running back end.
 */
export async function figuresOf<Data>(
  workload: Workload<Data>,
  data: Data,
  work: Pick<WorkSpec, 'hyper' | 'seed'>,
): Promise<{ readonly name: string; readonly size: number }[]> {
  const first = Int32Array.from({ length: MEASURED }, (_, i) => i);
  const train = first.slice(0, workload.examples(data, work.hyper).train.count);
  const shard: Shard = { train, test: new Int32Array(0), index: 0, count: 1 };
  const { shared, private: privateTensors } = initialModel(workload as Workload, work);
  const about = { workload, data, hyper: work.hyper, shard, shared, privateTensors };
  const sums = await evaluate({ ...about, split: 'train' });
  return Object.entries(sums).map(([name, { sum, count }]) => {
    if (!Number.isFinite(count)) throw invalidArgument(`metric ${name}: count`, 'how many its sums are over', count);
    return { name, size: sum.length };
  });
}

function countsOf(split: JudgedSplit, { count, labels, groups }: Examples): Pick<SplitSummary, 'classes' | 'groups'> {
  for (const [name, values] of [['labels', labels] as const, ['groups', groups] as const]) {
    if (values !== undefined && values.length !== count) {
      throw invalidArgument(`${split}.${name}`, `one for each of ${count} examples`, values.length);
    }
  }
  const tally = (values: ArrayLike<number | string>) => {
    const counts = new Map<number | string, number>();
    for (let i = 0; i < count; i++) counts.set(values[i], (counts.get(values[i]) ?? 0) + 1);
    return counts;
  };
  const classes = labels && Object.fromEntries([...tally(labels)].sort(([a], [b]) => Number(a) - Number(b)));
  const byGroup = groups && tally(groups);
  return {
    ...(classes && { classes }),
    ...(byGroup && byGroup.size <= MOST_GROUPS && { groups: Object.fromEntries(byGroup) }),
  };
}

async function rangesOf(
  batchOf: (indices: Int32Array) => Readonly<Record<string, tf.Tensor>>,
  indices: Int32Array,
  split: JudgedSplit,
): Promise<ValueRange[]> {
  const ranges = new Map<string, { shape: number[]; min: number; max: number; sum: number; count: number }>();
  for (let from = 0; from < indices.length; from += BATCH_SIZE) {
    const wanted = indices.slice(from, from + BATCH_SIZE);
    const batch = tf.tidy(() => batchOf(wanted)) as Record<string, tf.Tensor>;
    try {
      for (const [tensor, made] of Object.entries(batch)) {
        if (made.shape[0] !== wanted.length) {
          throw invalidArgument(`${split}: batch.${tensor}`, `${wanted.length} rows`, `shape [${made.shape}]`);
        }
        const range = ranges.get(tensor) ?? {
          ...{ shape: made.shape.slice(1), min: Number.POSITIVE_INFINITY, max: Number.NEGATIVE_INFINITY },
          ...{ sum: 0, count: 0 },
        };
        ranges.set(tensor, range);
        const values = await made.data();
        const perExample = values.length / wanted.length;
        for (const [i, value] of values.entries()) {
          if (!Number.isFinite(value)) {
            const example = `example ${wanted[Math.floor(i / perExample)]} of ${indices.length}, value ${i % perExample}`;
            throw new FlError(
              'invalid-argument',
              `${split}: batch.${tensor}: ${example}: expected a finite number, got ${value}`,
            );
          }
          range.min = Math.min(range.min, value);
          range.max = Math.max(range.max, value);
          range.sum += value;
        }
        range.count += values.length;
      }
    } finally {
      tf.dispose(batch);
    }
  }
  return [...ranges].map(([tensor, { shape, min, max, sum, count }]) => {
    return { tensor, shape, min, max, mean: count === 0 ? 0 : sum / count };
  });
}
