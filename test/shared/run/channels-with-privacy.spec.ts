/** Several channels side by side under client-level privacy, with an adaptive bound: whose bound is whose. */
import assert from 'node:assert/strict';
import { rngFromSeed } from '../../../shared/rng.js';
import { decodePrivately, encodePrivately, integerBits, latticeFor } from '../../../shared/run/client-level-privacy.js';
import type { PrivacySpec, WorkSpec } from '../../../shared/run/spec.js';
import { type ChannelSpec, updateChannel } from '../../../shared/tensors/channels.js';

const UPDATE = updateChannel([{ name: 'w', shape: [9] }]);
const MEANS: ChannelSpec = {
  ...{ name: 'means', tensors: [{ name: 'm', shape: [2, 3] }], reduce: 'sum', weight: 'clients', clip: { norm: 10 } },
};

/** So little noise that sums can be told apart: its deviation is 0.01 of the norm. */
function workWith(channels: readonly ChannelSpec[], privacy: Partial<PrivacySpec> = {}): WorkSpec {
  const training = { localSteps: 1, batchSize: 1, clientLr: 1, momentum: 0, weightDecay: 0, gradientClipNorm: 0 };
  return {
    ...{ workload: 'w', scale: 'smoke', hyper: {}, partition: 'iid', seed: 1, rounds: 1, model: [...UPDATE.tensors] },
    training: { ...training, lrSchedule: 'constant', proximalMu: 0 },
    phases: [{ name: 'train', channels: [...channels] }],
    privacy: { mode: 'central', clippingBound: 2, noiseMultiplier: 0.01, delta: 1e-5, cohortMax: 40, ...privacy },
    secure: {
      ...{ valueRange: 1, weightCap: 1, adversaryFraction: 0, dropFraction: 0.1, survivorsMin: 20 },
      ...{ phaseDeadlineMs: 1000, trainMetrics: [], testMetrics: [] },
    },
  };
}

function sumOf(work: WorkSpec, values: readonly number[], clients: number) {
  const plan = { work, round: 1 };
  const rng = rngFromSeed(11);
  const sum = new Int32Array(latticeFor(work, 1).length);
  for (let client = 0; client < clients; client++) {
    const integers = encodePrivately(plan, Float32Array.from(values), rng.split(`client ${client}`));
    for (const [i, value] of integers.entries()) sum[i] += value;
  }
  return decodePrivately(plan, sum, rng.split('coordinator'));
}

/** 15 draws of deviation 0.01 · √2 · 10 at most: six of them. */
function assertNear(actual: Float64Array, expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  for (const [i, value] of actual.entries()) assert.ok(Math.abs(value - expected[i]) < 0.85, `${i}: ${value}`);
}

const SMALL = [1, -1, 0, 0, 0, 0, 0, 0, 0];
const LARGE = [6, 0, 0, 0, 0, 0, 0, 0, 0];

describe('channels with privacy', () => {
  it('arrive as they are within their own bounds, however much the bounds differ', () => {
    // norm 8: within the 10 of its own channel, and far beyond the 2 of the other
    const means = [8, 0, 0, 0, 0, 0];
    assertNear(sumOf(workWith([UPDATE, MEANS]), [...SMALL, ...means], 1).sums, [...SMALL, ...means]);
    assertNear(sumOf(workWith([MEANS, UPDATE]), [...means, ...SMALL], 1).sums, [...means, ...SMALL]);
  });

  it('are clipped as they say: together, or each row to its share', () => {
    const long = [30, 0, 0, 0, 0, 0];
    const of = (per: 'all' | 'row') => workWith([UPDATE, { ...MEANS, clip: { norm: 10, per } }]);
    assertNear(sumOf(of('all'), [...SMALL, ...long], 1).sums, [...SMALL, 10, 0, 0, 0, 0, 0]);
    assertNear(sumOf(of('row'), [...SMALL, ...long], 1).sums, [...SMALL, 10 / Math.SQRT2, 0, 0, 0, 0, 0]);
  });

  it('have an adaptive bound that asks the update alone, in whichever order they come', () => {
    const [within, beyond] = [
      [1, 0, 0, 0, 0, 0],
      [40, 0, 0, 0, 0, 0],
    ];
    const cases: [readonly number[], readonly number[], number][] = [
      [SMALL, within, 1],
      [SMALL, beyond, 1],
      [LARGE, within, -1],
      [LARGE, beyond, -1],
    ];
    for (const [update, means, sign] of cases) {
      const sums = [
        sumOf(workWith([UPDATE, MEANS], { adaptive: true }), [...update, ...means], 400),
        sumOf(workWith([MEANS, UPDATE], { adaptive: true }), [...means, ...update], 400),
      ];
      // noise of deviation 2 · 40/20 on 400 signs: five of them
      for (const { withinBound } of sums) assert.ok(Math.abs(withinBound! - sign * 400) < 20, `${withinBound}`);
    }
  });

  it('leave room in their integers for the noise of clients, and none where the coordinator adds it', () => {
    const largest = (mode: PrivacySpec['mode']) => {
      const work = workWith([UPDATE, MEANS], { mode, noiseMultiplier: 2 });
      const { valueBits, shareVariance } = latticeFor(work, 1);
      const noise = mode === 'central' ? 0 : 12 * Math.sqrt(shareVariance);
      return { held: 2 ** (integerBits(work, 1) - 1), needed: 2 ** (valueBits - 1) + noise + 1 };
    };
    for (const mode of ['central', 'distributed', 'local'] as const) {
      const { held, needed } = largest(mode);
      assert.ok(held >= needed && held < 2 * needed, `${mode}: ${held} for ${needed}`);
    }
  });
});
