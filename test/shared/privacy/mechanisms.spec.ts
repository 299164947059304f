import assert from 'node:assert/strict';
import fc from 'fast-check';
import { composedEpsilon } from '../../../shared/privacy/accounting/releases.js';
import {
  ADAPTIVE_CLIP_DEFAULT,
  adaptClip,
  belowSign,
  splitNoise,
} from '../../../shared/privacy/mechanisms/adaptive-clip.js';
import { clip, clipFactor, norm, weightedSensitivity } from '../../../shared/privacy/mechanisms/clip.js';
import { rotate, unrotate } from '../../../shared/privacy/mechanisms/hadamard.js';
import { roundConditionally, roundedNormBound } from '../../../shared/privacy/mechanisms/rounding.js';
import { discreteGaussianTable } from '../../../shared/privacy/noise/table.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { assertRelative } from './vectors.js';

const vector = fc
  .array(fc.float({ min: -1e6, max: 1e6, noNaN: true }), { maxLength: 60 })
  .map((v) => Float32Array.from(v));
const bound = fc.double({ min: 1e-3, max: 1e4, noNaN: true });

describe('clip', () => {
  it('scales a 3-4-5 vector and leaves a short one alone', () => {
    // norm 5, bound 2.5: scale 0.5
    const clipped = clip(Float32Array.of(3, 4), { bound: 2.5 });
    assert.ok(Math.abs(clipped.vector[0] - 1.5) < 1e-6 && Math.abs(clipped.vector[1] - 2) < 1e-6);
    assert.equal(clipped.normL2, 5);
    assert.equal(clipped.wasClipped, true);
    assert.deepEqual(clip(Float32Array.of(3, 4), { bound: 5 }), {
      vector: Float32Array.of(3, 4),
      normL2: 5,
      wasClipped: false,
    });
    assert.deepEqual(clip(new Float32Array(3), { bound: 1 }).vector, new Float32Array(3));
    assert.deepEqual(clip(new Float32Array(0), { bound: 1 }).vector, new Float32Array(0));
  });

  it('says that it clipped when it clipped any part, in whichever place', () => {
    // bound √2: 1 for each of two tensors
    const options = { bound: Math.SQRT2, scope: 'tensor', groups: [{ length: 2 }, { length: 1 }] } as const;
    assert.equal(clip(Float32Array.of(3, 4, 0.5), options).wasClipped, true);
    assert.equal(clip(Float32Array.of(0.3, 0.4, 5), options).wasClipped, true);
    assert.equal(clip(Float32Array.of(0.3, 0.4, 0.5), options).wasClipped, false);
  });

  it('never leaves more than the bound, and keeps the direction', () =>
    fc.assert(
      fc.property(vector, bound, (v, c) => {
        const before = v.slice();
        const clipped = clip(v, { bound: c });
        assert.deepEqual(v, before, 'the input stays');
        assert.ok(norm(clipped.vector) <= c);
        if (clipped.wasClipped) assert.ok(norm(clipped.vector) >= c * (1 - 1e-5));
        let dot = 0;
        for (let i = 0; i < v.length; i++) dot += v[i] * clipped.vector[i];
        assert.ok(dot >= norm(v) * norm(clipped.vector) * (1 - 1e-5) - 1e-9);
      }),
    ));

  it('shares the bound among tensors and rows, so that the whole keeps it', () =>
    fc.assert(
      fc.property(vector, vector, bound, (a, b, c) => {
        fc.pre(a.length > 0 && b.length > 0);
        const both = Float32Array.from([...a, ...b]);
        const perTensor = clip(both, {
          bound: c,
          scope: 'tensor',
          groups: [{ length: a.length }, { length: b.length }],
        });
        assert.ok(norm(perTensor.vector) <= c);
        assert.ok(norm(perTensor.vector.subarray(0, a.length)) <= c / Math.SQRT2);
        const perRow = clip(both, { bound: c, scope: 'row', groups: [{ length: both.length, rowLength: 1 }] });
        for (const value of perRow.vector) assert.ok(Math.abs(value) <= c / Math.sqrt(both.length));
      }),
    ));

  it('refuses what has no norm or no shape', () => {
    assert.throws(() => clip(Float32Array.of(1, Number.NaN), { bound: 1 }), /finite/);
    assert.throws(() => clip(Float32Array.of(1), { bound: 0 }), /bound/);
    assert.throws(() => clip(Float32Array.of(1, 2), { bound: 1, scope: 'tensor', groups: [{ length: 1 }] }), /groups/);
    assert.throws(
      () => clip(new Float32Array(4), { bound: 1, scope: 'row', groups: [{ length: 4, rowLength: 3 }] }),
      /rowLength/,
    );
  });

  it('knows its factor and the sensitivity of a weighted pair', () => {
    assert.equal(clipFactor(4, 1), 0.25);
    assert.equal(clipFactor(0, 1), 1);
    assert.equal(weightedSensitivity({ bound: 3, weightCap: 2, weightUnit: 4 }), 10); // 2 × 5
  });
});

describe('adaptive clipping', () => {
  // Norms are lognormal with median 1. Andrew et al. 2021, Algorithm 1: η = 0.2, γ = 0.5; 100 clients, σ_b = 5.
  for (const start of [0.1, 5]) {
    it(`converges to the median norm from ${start}`, () => {
      const rng = rngFromSeed(11);
      const noise = discreteGaussianTable(2 * 5);
      let state = { ...ADAPTIVE_CLIP_DEFAULT, bound: start };
      let tail = 0;
      for (let round = 0; round < 300; round++) {
        let signs = 0;
        for (let client = 0; client < 100; client++) signs += belowSign(Math.exp(0.5 * rng.normal()), state.bound);
        const noisy = Int32Array.of(signs);
        noise.addTo(noisy, rng);
        state = adaptClip(state, noisy[0], 100);
        if (round >= 200) tail += state.bound / 100;
      }
      // One step moves ln C by 0.2 × noise of about 0.07; the mean of 100 correlated rounds stays within 5 %
      assert.ok(Math.abs(tail - 1) < 0.05, `ended at ${tail}`);
    });
  }

  it('shrinks when all fit and grows when none does, by the paper’s step', () => {
    const state = { bound: 2, quantile: 0.5, learningRate: 0.2 };
    assertRelative(adaptClip(state, 10, 10).bound, 2 * Math.exp(-0.1), 1e-15); // b = 1
    assertRelative(adaptClip(state, -10, 10).bound, 2 * Math.exp(0.1), 1e-15); // b = 0
    assert.equal(adaptClip(state, 0, 10).bound, 2); // b = γ
    assert.throws(() => adaptClip(state, 1, 0), /survivors/);
  });

  it('splits the noise so that updates and bits together cost what the updates alone would', () => {
    const noiseMultiplier = 1.1;
    const bitNoiseStdDev = 5;
    const updates = splitNoise({ noiseMultiplier, bitNoiseStdDev });
    const gaussian = (z: number) => ({ release: { mechanism: 'gaussian', noiseMultiplier: z } as const, count: 10 });
    const alone = composedEpsilon([gaussian(noiseMultiplier)], 1e-5);
    const both = composedEpsilon([gaussian(updates), gaussian(2 * bitNoiseStdDev)], 1e-5); // sign sum: sensitivity 1
    assertRelative(both, alone, 1e-12);
    assert.throws(() => splitNoise({ noiseMultiplier: 2, bitNoiseStdDev: 1 }), /bitNoiseStdDev/);
  });
});

describe('rotation and rounding', () => {
  it('keeps the norm and undoes itself', () => {
    for (const length of [1, 2, 5, 64, 1000]) {
      const rng = rngFromSeed(length);
      const v = Float32Array.from({ length }, () => rng.normal());
      const turned = rotate(v, rngFromSeed(1).split('signs'));
      const normOf = (values: Float64Array) => Math.sqrt(values.reduce((sum, x) => sum + x * x, 0));
      assertRelative(normOf(turned), norm(v), 1e-12);
      const back = unrotate(turned, rngFromSeed(1).split('signs'), length);
      for (let i = 0; i < length; i++) assert.ok(Math.abs(back[i] - v[i]) < 1e-12);
    }
  });

  it('spreads a spike over all coordinates', () => {
    const spike = new Float32Array(256);
    spike[17] = 1;
    for (const value of rotate(spike, rngFromSeed(2))) assertRelative(Math.abs(value), 1 / 16, 1e-12);
  });

  it('rounds without bias and never above the norm bound', () => {
    const scaled = Float64Array.from({ length: 50 }, (_, i) => (i - 25) / 7);
    const scaledNorm = Math.sqrt(scaled.reduce((sum, x) => sum + x * x, 0));
    const limit = roundedNormBound({ scaledNorm, dimension: 50 });
    const rng = rngFromSeed(5);
    const sums = new Float64Array(50);
    const rounds = 4000;
    for (let k = 0; k < rounds; k++) {
      const rounded = roundConditionally(scaled, limit, rng);
      assert.ok(norm(rounded) <= limit);
      rounded.forEach((value, i) => {
        sums[i] += value;
      });
    }
    // one coordinate's rounding has deviation at most 1/2; conditioning biases a little (the paper's Proposition 26), hence 0.06
    sums.forEach((sum, i) => {
      assert.ok(Math.abs(sum / rounds - (scaled[i] as number)) < 0.06, `coordinate ${i}`);
    });
  });

  it('has the bound of the paper and gives up on what was not clipped', () => {
    // c = 10, d = 100: (10 + 10)² = 400; 100 + 25 + sqrt(2 × 0.5) (10 + 5) = 140
    assertRelative(roundedNormBound({ scaledNorm: 10, dimension: 100 }), Math.sqrt(140), 1e-12);
    // c = 1, d = 1: 4 against 1 + 1/4 + 1.5 = 2.75
    assertRelative(roundedNormBound({ scaledNorm: 1, dimension: 1 }), Math.sqrt(2.75), 1e-12);
    assert.throws(() => roundConditionally(Float64Array.of(9), 3, rngFromSeed(1)), /clipped/);
  });
});
