import assert from 'node:assert/strict';
import {
  composedEpsilon,
  gaussianDelta,
  groupPrivacy,
  noiseShare,
  planGaussianNoise,
  roundedGaussianNoise,
  type Spend,
  withSamplerError,
} from '../../../shared/privacy/index.js';
import { latticeFor } from '../../../shared/run/client-level-privacy.js';
import { costOf, epsilonAfter } from '../../../shared/run/privacy-cost.js';
import type { PrivacySpec, WorkSpec } from '../../../shared/run/spec.js';
import { updateChannel } from '../../../shared/tensors/channels.js';

/** Large enough that what is charged can be told from nothing in a double. */
const SIZE = 10_000_000;
const ROUNDS = 100;

function workOf(mode: PrivacySpec['mode'], more: Partial<PrivacySpec> = {}): WorkSpec {
  const model = [{ name: 'w', shape: [mode === 'example' ? SIZE / 100 : SIZE] }];
  const training = { localSteps: 20, batchSize: 1, clientLr: 1, momentum: 0, weightDecay: 0, gradientClipNorm: 0 };
  return {
    ...{ workload: 'w', scale: 'smoke', hyper: {}, partition: 'iid', seed: 1, rounds: ROUNDS, model },
    training: { ...training, lrSchedule: 'constant', proximalMu: 0 },
    phases: [{ name: 'train', channels: [updateChannel(model)] }],
    privacy: { mode, clippingBound: 1, noiseMultiplier: 10, delta: 1e-9, cohortMax: 100, ...more },
    secure: {
      ...{ valueRange: 1, weightCap: 1, adversaryFraction: 0.5, dropFraction: 0.1, survivorsMin: 80 },
      ...{ phaseDeadlineMs: 1000, trainMetrics: [], testMetrics: [] },
    },
  };
}

/** Draws of a round that hide one unit, and how far each is from the ideal by the table that draws it. */
function drawsOf(work: WorkSpec): { draws: number; error: number } {
  if (work.privacy!.mode === 'example') {
    const dimension = SIZE / 100;
    const { latticeStdDev } = planGaussianNoise({ sensitivity: 1, noiseMultiplier: 10, dimension });
    return { draws: 20 * dimension, error: roundedGaussianNoise(latticeStdDev).statisticalError };
  }
  const lattice = latticeFor(work, 1);
  const shares = work.privacy!.mode === 'distributed' ? 40 : 1; // 80 survivors, half of whom may collude
  return { draws: SIZE * shares, error: noiseShare(lattice).statisticalError };
}

describe('the error of the samplers', () => {
  const modes: Readonly<Record<string, WorkSpec>> = {
    central: workOf('central'),
    distributed: workOf('distributed'),
    local: workOf('local', { noiseMultiplier: 30 }),
    example: workOf('example', { samplingRate: 0.01 }),
    tree: workOf('central', { tree: { separation: 25 } }),
  };
  for (const [mode, work] of Object.entries(modes)) {
    it(`is charged to δ in the figure of mode ${mode}`, () => {
      const cost = costOf(work)!;
      const { draws, error } = drawsOf(work);
      const rounds = work.privacy!.tree ? 4 : ROUNDS;
      const passes = work.privacy!.tree ? 2 * ROUNDS : ROUNDS; // nodes of the tree
      const eta = passes * draws * error;
      const figure = epsilonAfter(cost, rounds);
      const charge = (1 + Math.exp(figure)) * eta;
      assert.ok(charge > 1e-20 && charge < 1e-9 / 2, `a charge that a double can hold beside δ: ${charge}`);
      // ε of ideal noise is a function of δ; with the charge taken off its δ, it must not be above the figure
      const plain = { ...cost, samplerError: 0, delta: 1e-9 - charge };
      const [ideal, uncharged] = [epsilonAfter(plain, rounds), epsilonAfter({ ...plain, delta: 1e-9 }, rounds)];
      assert.ok(figure >= ideal && figure > uncharged, `${figure}, ideal ${ideal}`);
      assert.ok(figure < 1.05 * uncharged, `${figure}, uncharged ${uncharged}`);
    });
  }

  it('takes as much of δ as it needs, and the figure is that of ideal noise where half of δ is not enough', () => {
    const spends: Spend[] = [{ release: { mechanism: 'gaussian', noiseMultiplier: 1 }, count: 1 }];
    const ideal = (delta: number) => composedEpsilon(spends, delta);
    const epsilonWith = (samplerError: number) => withSamplerError(ideal, { delta: 1e-5, samplerError });
    assert.equal(epsilonWith(0), ideal(1e-5));
    assert.equal(epsilonWith(1e-12), ideal(1e-5 * (1 - 2 ** -10))); // (1 + e^4.4) 1e-12 is 8e-11
    assert.equal(epsilonWith(1e-8), ideal(5e-6)); // 8e-7: more than 1e-8, less than 5e-6
    assert.equal(epsilonWith(1e-6), ideal(1e-5)); // 8e-5
    // what the real mechanism may leak at that ε, by total variation, is within δ: the Gaussian's own curve says so
    for (const eta of [1e-12, 1e-8]) {
      const epsilon = epsilonWith(eta);
      assert.ok(gaussianDelta({ noiseMultiplier: 1, epsilon }) + (1 + Math.exp(epsilon)) * eta <= 1e-5);
    }
  });
});

describe('group privacy', () => {
  it('is (k ε, k e^((k-1) ε) δ), and a Gaussian keeps to it', () => {
    assert.equal(groupPrivacy({ epsilon: 0.5, delta: 0, size: 2 }).delta, 0);
    for (const [epsilon, size] of [
      [0.5, 2],
      [1, 3],
      [0.1, 10],
    ]) {
      const delta = gaussianDelta({ noiseMultiplier: 4, epsilon });
      const group = groupPrivacy({ epsilon, delta, size });
      assert.equal(group.delta, Math.min(1, size * Math.exp((size - 1) * epsilon) * delta));
      // k units move the sum k times as far: the same curve at noise 4 / k
      assert.ok(gaussianDelta({ noiseMultiplier: 4 / size, epsilon: group.epsilon }) <= group.delta);
    }
    assert.deepEqual(groupPrivacy({ epsilon: 8, delta: 1e-5, size: 100 }), { epsilon: 800, delta: 1 });
    assert.throws(() => groupPrivacy({ epsilon: 1, delta: 1e-5, size: 0 }), /size: expected an integer >= 1, got 0/);
    assert.throws(() => groupPrivacy({ epsilon: -1, delta: 1e-5, size: 2 }), /epsilon: expected a number >= 0, got -1/);
  });
});
