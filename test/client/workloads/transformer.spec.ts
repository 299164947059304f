/** The transformer beyond what every workload promises: causality, its first answer, and what low-rank runs exchange. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../client/backends/index.js';
import { uploadTensors } from '../../../client/training/evaluate.js';
import { transformer } from '../../../client/workloads/transformer.js';
import {
  causalMask,
  initTransformer,
  sinusoids,
  transformerLogits,
} from '../../../client/workloads/transformer-model.js';
import { packTensors } from '../../../shared/params.js';
import { rngFromSeed } from '../../../shared/rng.js';
import type { Hyper } from '../../../shared/round.js';

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
  const names = (phase: ReturnType<typeof phasesOf>[number]) => phase.channels[0].tensors.map(({ name }) => name);

  it('exchanges every tensor unless factors are asked for', () => {
    const [phase, ...others] = phasesOf(smoke);
    assert.deepEqual(others, []);
    assert.deepEqual(names(phase), Object.keys(transformer.init(rngFromSeed(1), smoke).shared));
  });

  it('exchanges only the second factors of its six kernels once the base is frozen', () => {
    const [first, second] = phasesOf({ ...smoke, lora: 2, 'lora-after': 3 });
    assert.equal(first.rounds, 3);
    assert.ok(names(first).every((name) => !name.includes('lora')));
    const kernels = ['query', 'key', 'value', 'out', 'up', 'down'].map((name) => `block1/${name}/lora-b`);
    assert.deepEqual(names(second), kernels);
    assert.equal(phasesOf({ ...smoke, lora: 2 }).length, 1);
  });

  it('turns its loss into perplexity and bits', () => {
    // a loss of ln 2 is a coin: perplexity 2, one bit
    const figures = transformer.finish?.({ loss: { sum: [3 * Math.LN2], count: 3 } });
    assert.deepEqual(figures, { perplexity: 2, 'bits-per-character': 1 });
  });
});
