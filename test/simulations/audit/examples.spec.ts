/** The audit of example-level privacy finds half of the noise, and the search an example that is not clipped. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { auditTraining } from '../../../client/audit/audit.js';
import { searchExamples } from '../../../client/audit/search.js';
import { selectBackend } from '../../../client/backends/index.js';
import { sumOverLot } from '../../../client/training/per-example/lot.js';
import { cnn } from '../../../client/workloads/cnn/index.js';
import { privacyEpsilon } from '../../../shared/privacy/index.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { gaussianBound } from '../../../simulations/audit/report.js';

const PLAIN = { momentum: 0, weightDecay: 0, gradientClipNorm: 0, lrSchedule: 'constant', proximalMu: 0 } as const;
const hyper = { ...cnn.manifest.scales.smoke.hyper, 'train-examples': 60, 'test-examples': 20 };
const DELTA = 1e-5;

async function search(sum?: typeof sumOverLot): Promise<number> {
  const data = await cnn.load({ hyper, rng: rngFromSeed(2) });
  const training = { ...PLAIN, localSteps: 1, batchSize: 32, clientLr: 1 };
  const about = { workload: cnn, hyper, data, training, clippingBound: 0.5, draws: 60, rng: rngFromSeed(4) };
  return searchExamples({ ...about, ...(sum && { sum }) });
}

describe('the audit of example-level privacy', function () {
  this.timeout(120_000);
  before(() => selectBackend('wasm'));

  it('finds no example of the network that moves a sum by more than the noise is made for, and some that come close', async () => {
    await search();
    const held = tf.memory().numTensors;
    const most = await search();
    // 1 / (1 + floatAllowance), which is less than 1 %
    assert.ok(most > 0.99 && most <= 1, `${most}`);
    assert.equal(tf.memory().numTensors, held);
  });

  for (const [what, times] of [
    ['no clipping', 1e30],
    ['a bound that is 1 % too large', 1.01],
  ] as const) {
    it(`finds an example when there is ${what}`, async () => {
      const most = await search((input, layout, state, options) =>
        sumOverLot(input, layout, state, {
          ...options,
          clipping: { bound: Math.min(2 ** 40, options.clipping.bound * times) },
        }),
      );
      assert.ok(most > 1, `${most}`);
    });
  }

  it('refutes the claim when there is half of the noise', async () => {
    const [samplingRate, steps, claimed] = [0.5, 20, 2];
    const { gradientCanaries } = await auditTraining({
      ...{ workload: cnn, hyper, data: await cnn.load({ hyper, rng: rngFromSeed(2) }), rng: rngFromSeed(3) },
      ...{ gradientCanaries: 1000, mislabelledImages: 20, ordinaryImages: 40 },
      training: { ...PLAIN, localSteps: steps, batchSize: 128, clientLr: 1 },
      privacy: { mode: 'example', clippingBound: 0.5, noiseMultiplier: claimed / 2, samplingRate, delta: DELTA },
    });
    const { epsilonAtLeast } = gaussianBound('canaries', gradientCanaries, { delta: DELTA, confidence: 0.95 });
    const claim = privacyEpsilon({ noiseMultiplier: claimed, samplingRate, steps, delta: DELTA });
    assert.ok(epsilonAtLeast > claim, `${epsilonAtLeast} of ${claim}`);
  });
});
