/**
 * What a first model has to be better than, task by task: a guess, and the nearest mean of the drawings that a task shows of
 * each class (one, or five), in pixels as they are and blurred, which forgives where a stroke lies.
 */
import tf = require('@tensorflow/tfjs-core');

import { addMetrics, type SumMetrics } from '../../../shared/run/metrics.js';
import type { Floor, FloorContext, Shard } from '../../workload.js';
import { bestOf, majority, nearestMean, type Scores } from '../parts/classifiers.js';

/** Passes of a 3 x 3 mean. */
const BLURS = 3;

/** Rows `floor/guess`, `floor/pixels` and `floor/blurred`. */
export const metaFloors: readonly Floor<never>[] = [
  { name: 'guess', label: 'one class for all', kind: 'trivial', fit: (context) => judged(context, majority, 0) },
  {
    name: 'pixels',
    label: 'nearest class mean of pixels',
    kind: 'raw-features',
    fit: (context) => judged(context, nearestMean, 0),
  },
  {
    name: 'blurred',
    label: 'nearest class mean of blurred pixels',
    kind: 'classical',
    fit: (context) => judged(context, nearestMean, BLURS),
  },
];

function judged(context: FloorContext<never>, learn: typeof majority, blurs: number) {
  return (shard: Shard): SumMetrics => {
    let total: SumMetrics = {};
    for (const index of shard.test) {
      tf.tidy(() => {
        const { support, query } = context.batch(Int32Array.of(index), { shard, split: 'test' });
        total = addMetrics(total, ofTask({ support, query }, learn, blurs));
      });
    }
    return total;
  };
}

/** support, query [1, ways, drawings, side, side] */
function ofTask(
  { support, query }: { readonly support: tf.Tensor; readonly query: tf.Tensor },
  learn: typeof majority,
  blurs: number,
): SumMetrics {
  const [, classes, shots, side] = support.shape as number[];
  const queries = query.shape[2] as number;
  const width = side * side;
  const [shown, asked] = [support, query].map((tensor) => blurred(tensor.dataSync() as Float32Array, side, blurs));
  const after = (each: number): Scores => {
    const values = new Float32Array(classes * each * width);
    const labels = Int32Array.from({ length: classes * each }, (_, i) => Math.floor(i / each));
    for (let c = 0; c < classes; c++) {
      values.set(shown.subarray(c * shots * width, (c * shots + each) * width), c * each * width);
    }
    return learn({ count: classes * each, width, classes, values, labels });
  };
  const count = classes * queries;
  const right = (scores: Scores) => {
    let sum = 0;
    for (let i = 0; i < count; i++) {
      if (bestOf(scores(asked.subarray(i * width, (i + 1) * width))) === Math.floor(i / queries)) sum++;
    }
    return { sum: [sum], count };
  };
  return { accuracy: right(after(1)), 'accuracy.five-shot': right(after(shots)) };
}

/** Images of side x side, one after another; beyond an edge there is paper, 0. */
function blurred(images: Float32Array, side: number, passes: number): Float32Array {
  let now = images;
  for (let pass = 0; pass < passes; pass++) {
    const next = new Float32Array(now.length);
    for (let i = 0; i < now.length; i++) {
      const [x, y] = [i % side, Math.floor(i / side) % side];
      for (let dy = -1; dy <= 1; dy++) {
        for (let dx = -1; dx <= 1; dx++) {
          const isInside = x + dx >= 0 && x + dx < side && y + dy >= 0 && y + dy < side;
          if (isInside) next[i] += now[i + dy * side + dx] / 9;
        }
      }
    }
    now = next;
  }
  return now;
}
