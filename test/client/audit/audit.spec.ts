/** Planted examples: what becomes of them in training, and what an audit makes of it. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { type AuditSetup, auditTraining } from '../../../client/audit/audit.js';
import { mislabelled } from '../../../client/audit/canaries.js';
import { selectBackend } from '../../../client/backends/index.js';
import { cnn } from '../../../client/workloads/cnn/index.js';
import { oneRunBound, privacyEpsilon } from '../../../shared/privacy/index.js';
import { rngFromSeed } from '../../../shared/rng.js';

const PLAIN = { momentum: 0, weightDecay: 0, gradientClipNorm: 0, lrSchedule: 'constant', proximalMu: 0 } as const;
const DELTA = 1e-5;

interface Setting {
  readonly gradientCanaries?: number;
  readonly noiseMultiplier: number;
  readonly samplingRate: number;
  readonly steps: number;
}

async function planOf({ gradientCanaries = 40, noiseMultiplier, samplingRate, steps }: Setting): Promise<AuditSetup> {
  const hyper = { ...cnn.manifest.scales.smoke.hyper, 'train-examples': 60, 'test-examples': 20 };
  return {
    workload: cnn,
    hyper,
    data: await cnn.load({ hyper, rng: rngFromSeed(2) }),
    gradientCanaries,
    mislabelledImages: 20,
    ordinaryImages: 40,
    training: { ...PLAIN, localSteps: steps, batchSize: 128, clientLr: 1 },
    privacy: { mode: 'example', clippingBound: 0.5, noiseMultiplier, samplingRate, delta: DELTA },
    rng: rngFromSeed(3),
  };
}

describe('the audit of training', () => {
  before(() => selectBackend('wasm'));

  it('moves the coordinate of a gradient canary by exactly the clipping bound in each step, and no other', async () => {
    const scores = await auditTraining(await planOf({ noiseMultiplier: 1e-6, samplingRate: 1, steps: 3 }));
    const kinds = [scores.gradientCanaries, scores.mislabelledImages, scores.ordinaryImages];
    const examples = kinds.flatMap(({ included }) => included).filter(Boolean).length;
    // Three steps of learning rate 1 along sums that are divided by the expected lot, here all examples: 3 · 0.5 / examples
    for (const [i, score] of scores.gradientCanaries.scores.entries()) {
      const expected = scores.gradientCanaries.included[i] ? 1.5 / examples : 0;
      assert.ok(Math.abs(score - expected) < 1e-3 * (1.5 / examples), `canary ${i}: ${score}, expected ${expected}`);
    }
  });

  it('refutes a claim of more noise than there is, and not the truth', async () => {
    const setting = { gradientCanaries: 600, samplingRate: 0.5, steps: 20 };
    const { gradientCanaries } = await auditTraining(await planOf({ ...setting, noiseMultiplier: 1 }));
    const { epsilon } = oneRunBound({ ...gradientCanaries, delta: DELTA, confidence: 0.95 });
    const claim = (noiseMultiplier: number) => privacyEpsilon({ ...setting, noiseMultiplier, delta: DELTA });
    assert.ok(epsilon > claim(6), `${epsilon} > ${claim(6)}`);
    assert.ok(epsilon < claim(1), `${epsilon} < ${claim(1)}`);
  });

  it('scores alike for equal seeds and leaves no tensor behind', async () => {
    const plan = await planOf({ noiseMultiplier: 1, samplingRate: 0.5, steps: 2 });
    const first = await auditTraining(plan);
    const held = tf.memory().numTensors;
    assert.deepEqual(await auditTraining(plan), first);
    assert.equal(tf.memory().numTensors, held);
  });

  it('makes labels wrong where it is asked to, and leaves the data as they were', async () => {
    const { data } = await planOf({ noiseMultiplier: 1, samplingRate: 1, steps: 1 });
    const before = data.train.labels.slice();
    const { train } = mislabelled(data, [1, 3], rngFromSeed(4));
    const changed = Array.from(train.labels, (label, i) => (label === before[i] ? [] : [i])).flat();
    assert.deepEqual(changed, [1, 3]);
    assert.deepEqual(data.train.labels, before);
  });
});
