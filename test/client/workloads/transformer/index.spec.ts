/** The transformer beyond what every workload promises: causality, its first answer, and what low-rank runs exchange. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../../client/backends/index.js';
import { uploadTensors } from '../../../../client/training/evaluate.js';
import { clippedSumByLoop, clippedSumByTaps } from '../../../../client/training/per-example/index.js';
import { transformer } from '../../../../client/workloads/transformer/index.js';
import {
  causalMask,
  initTransformer,
  sinusoids,
  transformerLogits,
} from '../../../../client/workloads/transformer/model.js';
import { rngFromSeed } from '../../../../shared/rng.js';
import { figuresOf } from '../../../../shared/run/figures.js';
import type { Hyper } from '../../../../shared/run/spec.js';
import { type HostTensors, packTensors } from '../../../../shared/tensors/params.js';

const SIZE = { vocabulary: 7, width: 8, layers: 2, loraRank: 0 };
const [HEADS, TIME] = [2, 5];

/** Logits [time · vocabulary] of one text, and the attention of each layer. */
function run(text: readonly number[], loraRank = 0): { logits: number[]; attention: number[][] } {
  return tf.tidy(() => {
    const params = uploadTensors(initTransformer(rngFromSeed(1), { ...SIZE, loraRank }));
    const surroundings = {
      positions: tf.tensor2d(sinusoids(TIME, SIZE.width), [TIME, SIZE.width]),
      mask: tf.tensor3d(causalMask(HEADS, TIME), [HEADS, TIME, TIME]),
    };
    const attention: number[][] = [];
    const characters = tf.tensor2d([...text], [1, TIME], 'int32');
    const logits = transformerLogits(params, characters, surroundings, (weights) =>
      attention.push(Array.from(weights.dataSync())),
    );
    return { logits: Array.from(logits.dataSync()), attention };
  });
}

describe('the transformer', () => {
  before(() => selectBackend('cpu'));

  it('answers for a character without a look at what follows it', () => {
    const before = run([0, 1, 2, 3, 4]).logits;
    const after = run([0, 1, 2, 6, 5]).logits;
    assert.deepEqual(after.slice(0, 3 * SIZE.vocabulary), before.slice(0, 3 * SIZE.vocabulary));
    assert.notDeepEqual(after.slice(3 * SIZE.vocabulary), before.slice(3 * SIZE.vocabulary));
  });

  it('knows in which order characters came', () => {
    const lastOf = (text: number[]) => run(text).logits.slice(-SIZE.vocabulary);
    assert.notDeepEqual(lastOf([1, 0, 2, 3, 4]), lastOf([0, 1, 2, 3, 4]));
  });

  it('shares attention out: each row sums to 1, and nothing of it lies ahead', () => {
    for (const layer of run([0, 1, 2, 3, 4]).attention) {
      for (let row = 0; row < HEADS * TIME; row++) {
        const weights = layer.slice(row * TIME, (row + 1) * TIME);
        assert.ok(Math.abs(weights.reduce((sum, weight) => sum + weight, 0) - 1) < 1e-5);
        assert.ok(weights.slice((row % TIME) + 1).every((weight) => weight === 0));
      }
    }
  });

  it('is the same function with low-rank factors as without, before they are trained', () => {
    assert.deepEqual(run([0, 1, 2, 3, 4], 3).logits, run([0, 1, 2, 3, 4]).logits);
  });
});

describe('the transformer workload', () => {
  const smoke = transformer.manifest.scales.smoke.hyper;
  const phasesOf = (hyper: Hyper) => {
    const { layout } = packTensors(transformer.init(rngFromSeed(1), hyper).shared);
    return transformer.manifest.phases?.(hyper, layout) ?? [];
  };
  const namesOf = (phase: ReturnType<typeof phasesOf>[number]) => phase.channels[0].tensors.map(({ name }) => name);

  it('exchanges every tensor unless factors are asked for', () => {
    const [phase, ...others] = phasesOf(smoke);
    assert.deepEqual(others, []);
    assert.deepEqual(namesOf(phase), Object.keys(transformer.init(rngFromSeed(1), smoke).shared));
  });

  it('exchanges only the second factors of its six kernels once the base is frozen', () => {
    const [first, second] = phasesOf({ ...smoke, lora: 2, 'lora-after': 3 });
    assert.equal(first.rounds, 3);
    assert.ok(namesOf(first).every((name) => !name.includes('lora')));
    const kernels = ['query', 'key', 'value', 'out', 'up', 'down'].map((name) => `block1/${name}/lora-b`);
    assert.deepEqual(namesOf(second), kernels);
    assert.equal(phasesOf({ ...smoke, lora: 2 }).length, 1);
  });

  it('turns its loss into perplexity and bits', () => {
    // a loss of ln 2 is a coin: perplexity 2, one bit
    const formulas = transformer.manifest.figures?.(smoke);
    const { metrics } = figuresOf({ loss: { sum: [3 * Math.LN2], count: 3 } }, 'test', { formulas });
    assert.deepEqual(metrics, { 'test.loss': Math.LN2, 'test.perplexity': 2, 'test.bits-per-character': 1 });
  });

  for (const lora of [0, 2]) {
    it(`has fast gradients of single windows for all that it trains, rank ${lora}`, async () => {
      await selectBackend('cpu');
      const hyper = { ...smoke, lora };
      const data = await transformer.load({ hyper, rng: rngFromSeed(2) });
      const shard = { train: Int32Array.of(0, 9, 40), test: new Int32Array(0), index: 0, count: 1 };
      const about = { hyper, shard, split: 'train' } as const;
      const [names] = phasesOf(hyper).map(namesOf);
      tf.tidy(() => {
        const params = uploadTensors(drawn(transformer.init(rngFromSeed(1), hyper).shared));
        const trained = names.map((name) => params[name]);
        const lossOf = (indices: Int32Array) =>
          transformer.perExampleLoss?.(params, transformer.batch(data, indices, about));
        const each = (i: number) => tf.sum(lossOf(shard.train.subarray(i, i + 1)) as tf.Tensor);
        const clipping = { bound: 0.5 };
        const fast = clippedSumByTaps(trained, 3, () => lossOf(shard.train) as tf.Tensor, clipping);
        if (typeof fast === 'string') assert.fail(fast);
        const slow = clippedSumByLoop(trained, 3, each, clipping);
        for (const [i, sum] of fast.sums.entries()) {
          const difference = tf.max(tf.abs(tf.sub(sum, slow.sums[i]))).dataSync()[0];
          // two orders of float32 sums over 16 characters of gradients clipped to 0.5
          assert.ok(difference < 1e-5, `${names[i]}: ${difference}`);
        }
      });
    });
  }
});

/** Second factors are 0 at first, which would hide what the first ones do. */
function drawn(tensors: HostTensors): HostTensors {
  const rng = rngFromSeed(4);
  const entries = Object.entries(tensors).map(([name, { shape, data }]) => {
    return [name, { shape, data: name.endsWith('lora-b') ? data.map(() => 0.1 * rng.normal()) : data }] as const;
  });
  return Object.fromEntries(entries);
}
