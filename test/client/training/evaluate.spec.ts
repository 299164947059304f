/** Evaluation in batches: every example counts once, also those of the last batch, and what is no number is told. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../client/backends/index.js';
import { evaluate, evaluateEach } from '../../../client/training/evaluate.js';
import { defineWorkload, type Workload } from '../../../client/workload.js';

/** Batches are of 200. The metric is the sum of the examples' numbers, and for each batch one more in `sizes`. */
function counting(sizes: number[] = []) {
  return defineWorkload<readonly number[]>({
    manifest: { name: 'counting' } as Workload['manifest'],
    init: () => ({ shared: { w: { shape: [1], data: new Float32Array(1) } } }),
    load: async () => [],
    examples: (data) => ({ train: { count: 0 }, test: { count: data.length } }),
    batch: (data, indices) => {
      sizes.push(indices.length);
      return { x: tf.tensor1d(Array.from(indices, (i) => data[i])) };
    },
    perExampleLoss: (_, { x }) => x as tf.Tensor1D,
    metrics: (_, { x }) => ({ total: { sum: tf.reshape(tf.sum(x), [1]), count: x.shape[0] } }),
  });
}

function input(data: readonly number[], sizes: number[] = [], more: { readonly toTheEnd?: boolean } = {}) {
  const test = Int32Array.from(data.keys());
  return {
    ...{ workload: counting(sizes), data, hyper: {}, split: 'test' as const, privateTensors: {}, ...more },
    shard: { train: new Int32Array(0), test, index: 0, count: 1 },
    shared: { w: { shape: [1], data: new Float32Array(1) } },
  };
}

describe('an evaluation', () => {
  before(() => selectBackend('cpu'));

  const batches: readonly [number, readonly number[]][] = [
    [1, [1]],
    [199, [199]],
    [200, [200]],
    [201, [200, 1]],
    [400, [200, 200]],
    [457, [200, 200, 57]],
  ];
  for (const [examples, expected] of batches) {
    it(`of ${examples} examples counts each once, in batches of ${expected.join(', ')}`, async () => {
      const sizes: number[] = [];
      const data = Array.from({ length: examples }, (_, i) => i + 1);
      // the sum of 1..n: n (n + 1) / 2, exact in float32 within a batch
      const total = (examples * (examples + 1)) / 2;
      assert.deepEqual(await evaluate(input(data, sizes)), { total: { sum: [total], count: examples } });
      assert.deepEqual(sizes, expected);
    });
  }

  it('of no examples is empty', async () => {
    assert.deepEqual(await evaluate(input([])), {});
  });

  it('says that a metric is no number, at once or after the last batch, and leaves no tensor', async () => {
    const data = Array.from({ length: 457 }, (_, i) => (i === 230 ? Number.NaN : 1));
    const before = tf.memory().numTensors;
    for (const [toTheEnd, seen] of [
      [false, 2],
      [true, 3],
    ] as const) {
      const sizes: number[] = [];
      await assert.rejects(
        evaluate(input(data, sizes, { toTheEnd })),
        /metric "total" of the test split is not finite/,
      );
      assert.equal(sizes.length, seen);
    }
    assert.equal(tf.memory().numTensors, before);
  });
});

describe('an evaluation that is cancelled', () => {
  before(() => selectBackend('cpu'));

  it('ends before its next batch, or its next example', async () => {
    const abort = new AbortController();
    const sizes: number[] = [];
    const onProgress = () => abort.abort();
    const task = { ...input(new Array<number>(400).fill(1), sizes), signal: abort.signal, onProgress };
    await assert.rejects(evaluate(task), { code: 'aborted' });
    assert.deepEqual(sizes, [200]);
    const tests = { noiseMultiplier: 1, evaluations: 1, metrics: [{ name: 'total', size: 1, max: 1 }] };
    await assert.rejects(evaluateEach({ ...task, onProgress: undefined }, tests), { code: 'aborted' });
    assert.deepEqual(sizes, [200]);
  });
});

describe('an evaluation example by example', () => {
  before(() => selectBackend('cpu'));

  it('looks at every one, each in a shard that has no other', async () => {
    const seen: unknown[] = [];
    const task = input([0.25, 0.5, 1]);
    const batch: typeof task.workload.batch = (data, indices, context) => {
      const { train, test } = context.shard;
      seen.push([[...indices], [...train], [...test]]);
      return task.workload.batch(data, indices, context);
    };
    const shard = { ...task.shard, train: Int32Array.of(0, 1) };
    const tests = { noiseMultiplier: 1, evaluations: 1, metrics: [{ name: 'total', size: 1, max: 1 }] };
    const total = await evaluateEach({ ...task, shard, workload: { ...task.workload, batch } }, tests);
    assert.deepEqual(
      seen,
      [0, 1, 2].map((i) => [[i], [], [i]]),
    );
    assert.deepEqual(total, [4096 * 1.75, 4096 * 3]); // in steps of 2^-12
  });
});
