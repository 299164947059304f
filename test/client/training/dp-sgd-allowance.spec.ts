/** The deviation of DP-SGD's noise, measured finely enough to see what float32 sums add to the clipping bound. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../client/backends/index.js';
import { dpSgd } from '../../../client/training/dp-sgd.js';
import { floatAllowance } from '../../../client/training/per-example/chunks.js';
import { defineWorkload, type Workload } from '../../../client/workload.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { updateChannel } from '../../../shared/tensors/channels.js';

const SIZE = 2 ** 20;
const shared = { w: { shape: [SIZE], data: new Float32Array(SIZE) } };

/** One example, whose gradient is 0. */
const flat = defineWorkload<null>({
  manifest: { name: 'flat' } as Workload['manifest'],
  init: () => ({ shared }),
  load: async () => null,
  examples: () => ({ train: { count: 1 }, test: { count: 0 } }),
  batch: (_, indices) => ({ x: tf.zeros([indices.length]) }),
  perExampleLoss: ({ w }, { x }) => tf.add(x, tf.mul(tf.sum(w), 0)) as tf.Tensor1D,
  metrics: () => ({}),
});

describe('the noise of a step of DP-SGD', () => {
  before(() => selectBackend('cpu'));

  it('covers what float32 sums over chunks add to the clipping bound', async () => {
    // chunks of 128 hold 173 at most: 2^-10 + 173² 2^-23 = 0.454 % (per-example/chunks.ts), and one step of gradient 0
    // leaves z C (1 + that). Over 2^20 numbers a deviation is measured to 2^-10.5 = 0.069 %: 0.23 % is 3 of these
    const allowance = floatAllowance(128, 1);
    assert.ok(Math.abs(allowance - 0.00454) < 1e-5, `${allowance}`);
    const { contribution } = await dpSgd({
      ...{ workload: flat, data: null, hyper: {}, shared, privateTensors: {}, round: 1, rounds: 1 },
      shard: { train: Int32Array.of(0), test: new Int32Array(0), index: 0, count: 1 },
      phase: { name: 'train', channels: [updateChannel([{ name: 'w', shape: [SIZE] }])] },
      training: {
        ...{ localSteps: 1, batchSize: 128, clientLr: 1, momentum: 0, weightDecay: 0, gradientClipNorm: 0 },
        ...{ lrSchedule: 'constant', proximalMu: 0 },
      },
      privacy: { mode: 'example', clippingBound: 1, noiseMultiplier: 2, delta: 1e-5, samplingRate: 1 },
      noiseKey: new Uint8Array(32).fill(1), // so that it comes out the same each time
      rng: rngFromSeed(7),
    });
    const deviation = Math.sqrt(contribution.values.reduce((sum, value) => sum + value ** 2, 0) / SIZE);
    const excess = deviation / 2 - 1;
    assert.ok(excess > allowance / 2 && excess < (3 / 2) * allowance, `${excess} for ${allowance}`);
  });
});
