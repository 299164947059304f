/** Rounded Gaussian noise: its distribution against published values and by moments, and the lattice that it is added on. */
import assert from 'node:assert/strict';
import {
  noisyMean,
  planGaussianNoise,
  roundedGaussianError,
  roundedGaussianNoise,
  roundedGaussianTable,
} from '../../../shared/privacy/noise/rounded-gaussian.js';
import { deltaWithSamplerError, type NoiseTable } from '../../../shared/privacy/noise/table.js';
import { type Rng, rngFromSeed } from '../../../shared/rng.js';
import { dpSteps } from '../../../shared/run/privacy-steps.js';

/** The value that a table draws for one 32-bit word. */
function drawnFor(table: NoiseTable, word: number): number {
  const rng = { bytes: () => new Uint8Array(Uint32Array.of(word).buffer), u32: () => 0 } as unknown as Rng;
  const out = new Int32Array(1);
  table.fill(out, rng);
  return out[0];
}

/** P(X <= k) to 2^-32: the first word for which more than k is drawn. */
function cumulative(table: NoiseTable, k: number): number {
  let [low, high] = [0, 2 ** 32];
  while (low < high) {
    const middle = Math.floor((low + high) / 2);
    if (drawnFor(table, middle) <= k) low = middle + 1;
    else high = middle;
  }
  return low / 2 ** 32;
}

describe('rounded Gaussian tables', () => {
  // Φ((k + 1/2)/s) by CPython 3.11, statistics.NormalDist(0, s).cdf(k + 0.5)
  const published: readonly (readonly [noiseStdDev: number, values: readonly (readonly [k: number, cdf: number])[]])[] =
    [
      [
        1,
        [
          [-3, 0.006209665325776159],
          [-1, 0.3085375387259869],
          [0, 0.6914624612740131],
          [2, 0.9937903346742238],
        ],
      ],
      [
        17.25,
        [
          [-40, 0.011014859696994062],
          [-5, 0.3970965479070302],
          [0, 0.5115619253596408],
          [60, 0.9997736151350323],
        ],
      ],
      [
        4096,
        [
          [-9000, 0.014005097669333444],
          [-1, 0.4999513009912829],
          [0, 0.5000486990087171],
          [4095, 0.8413152068237626],
        ],
      ],
    ];
  for (const [noiseStdDev, values] of published) {
    it(`give each value the normal mass of its cell, at deviation ${noiseStdDev}`, () => {
      const table = roundedGaussianTable(noiseStdDev);
      for (const [k, cdf] of values) {
        const got = cumulative(table, k);
        assert.ok(Math.abs(got - cdf) <= 2 ** -32 + 1e-15, `P(X <= ${k}): expected ${cdf}, got ${got}`);
      }
    });
  }

  for (const noiseStdDev of [1.5, 40, 2000, 170_000]) {
    it(`draw with mean 0 and deviation ${noiseStdDev}, normal to the fourth moment`, () => {
      const draws = new Int32Array(200_000);
      roundedGaussianNoise(noiseStdDev).fill(draws, rngFromSeed(20_260_101));
      const moment = (power: number) => draws.reduce((sum, x) => sum + x ** power, 0) / draws.length;
      // Rounding adds 1/12 to the variance (Sheppard). Five standard errors: s/√n, s²√(2/n), s⁴√(96/n). Used as a variance, or the
      // other way round, a deviation is off by a factor s.
      const variance = noiseStdDev ** 2 + 1 / 12;
      const n = draws.length;
      assert.ok(Math.abs(moment(1)) < 5 * Math.sqrt(variance / n), `${moment(1)}`);
      assert.ok(Math.abs(moment(2) - variance) < 5 * variance * Math.sqrt(2 / n), `${moment(2)} for ${variance}`);
      // fourth: 3 s⁴ + s²/2 + 1/80 of the unrounded deviation s
      const fourth = 3 * noiseStdDev ** 4 + noiseStdDev ** 2 / 2 + 1 / 80;
      assert.ok(Math.abs(moment(4) - fourth) < 5 * fourth * Math.sqrt(96 / 9 / n), `${moment(4)} for ${fourth}`);
    });
  }

  it('of two tables: every sixteenth of the normal mass, and every remainder of the coarse step, comes as often', () => {
    // deviation 4000: step √(4000 / 2.5) = 40
    const draws = new Int32Array(200_000);
    roundedGaussianNoise(4000).fill(draws, rngFromSeed(5));
    // quantiles of the standard normal at 1/16 .. 15/16: CPython 3.11, NormalDist().inv_cdf(i / 16)
    const quantiles = [1.5341205443525459, 1.1503493803760079, 0.8871465590188758, 0.6744897501960817];
    quantiles.push(0.4887764111146694, 0.31863936396437514, 0.15731068461017067);
    const edges = [...quantiles.map((z) => -z), 0, ...quantiles.toReversed()].map((z) => 4000 * z);
    const [shares, remainders] = [new Array<number>(16).fill(0), new Array<number>(40).fill(0)];
    for (const draw of draws) {
      shares[edges.filter((edge) => edge < draw).length]++;
      remainders[((draw % 40) + 40) % 40]++;
    }
    for (const counts of [shares, remainders]) {
      const expected = draws.length / counts.length;
      const statistic = counts.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0);
      // χ² with k cells has mean k-1 and variance 2(k-1)
      const freedom = counts.length - 1;
      assert.ok(statistic < freedom + 5 * Math.sqrt(2 * freedom), `χ² ${statistic} over ${counts.length} cells`);
    }
  });

  it('say how far from ideal they are: what a whole run is charged does not show', () => {
    const { statisticalError } = roundedGaussianNoise(170_000);
    for (const deviation of [3.7, 1024, 1025, 170_000]) {
      assert.equal(roundedGaussianError(deviation), roundedGaussianNoise(deviation).statisticalError);
    }
    // two tables of about 650: 30,000 thresholds of half a rounding of 2^-96 in all
    assert.ok(statisticalError > 20_000 * 2 ** -97 && statisticalError < 40_000 * 2 ** -97, `${statisticalError}`);
    // 29,000 numbers, 10,000 steps, ε = 8
    const delta = deltaWithSamplerError({ epsilon: 8, delta: 1e-5, statisticalError, draws: 2.9e8 });
    assert.ok(delta < 1e-5 * (1 + 1e-6));
  });

  it('refuse what they cannot be made for', () => {
    for (const noiseStdDev of [0.5, 1e9, Number.NaN]) {
      assert.throws(() => roundedGaussianTable(noiseStdDev), /noiseStdDev/);
      assert.throws(() => roundedGaussianNoise(noiseStdDev), /noiseStdDev/);
    }
  });
});

describe('noise on a lattice', () => {
  it('covers the rounding of both neighbours, for a thousandth more noise', () => {
    for (const [sensitivity, noiseMultiplier, dimension] of [
      [1, 1, 28_938],
      [0.1, 4, 1000],
      [3, 0.5, 1_663_370],
    ]) {
      const plan = planGaussianNoise({ sensitivity, noiseMultiplier, dimension });
      const noiseStdDev = plan.latticeStdDev * plan.granularity;
      // two vectors on the lattice are at most g/2 off in each entry, each
      const needed = noiseMultiplier * (sensitivity + plan.granularity * Math.sqrt(dimension));
      assert.ok(Math.abs(noiseStdDev / needed - 1) < 1e-12, `${noiseStdDev} for ${needed}`);
      assert.ok(Math.abs(noiseStdDev / (noiseMultiplier * sensitivity * plan.inflation) - 1) < 1e-12);
      assert.ok(plan.inflation > 1 && plan.inflation <= 1.001, `${plan.inflation}`);
    }
  });

  it('refuses what is no bound and no noise', () => {
    const plan = { sensitivity: 1, noiseMultiplier: 1, dimension: 10_000 };
    assert.throws(() => planGaussianNoise({ ...plan, sensitivity: 0 }), /sensitivity/);
    assert.throws(() => planGaussianNoise({ ...plan, noiseMultiplier: 0 }), /noiseMultiplier/);
    // 2^26 / 1001 / 100
    assert.throws(() => planGaussianNoise({ ...plan, noiseMultiplier: 671 }), /noiseMultiplier.*670/);
  });

  it('is the nearest lattice point plus whole steps, whatever the vector', () => {
    const plan = { granularity: 0.25, latticeStdDev: 300, inflation: 1 };
    const table = roundedGaussianTable(300);
    const add = (...sum: number[]) => noisyMean(Float64Array.from(sum), { plan, table }, 1, rngFromSeed(3));
    const noise = add(0, 0, 0, 0);
    assert.ok(noise.every((value) => Number.isInteger(value / 0.25) && value !== 0));
    assert.deepEqual(
      noisyMean(new Float64Array(4), { plan, table }, 8, rngFromSeed(3)),
      noise.map((value) => value / 8),
    );
    // 0.1 -> 0, 0.13 -> 0.25, -7.3 -> -7.25
    assert.deepEqual(
      add(0.1, 0.13, -7.3, 1000),
      noise.map((value, i) => value + [0, 0.25, -7.25, 1000][i]),
    );
  });
});

describe('the steps of DP-SGD in a round', () => {
  it('are local steps, or as many as use an example once in each epoch', () => {
    assert.equal(dpSteps({ localSteps: 7 }, 0.1), 7);
    assert.equal(dpSteps({ localEpochs: 3 }, 0.01), 300);
    assert.equal(dpSteps({ localEpochs: 2 }, 0.4), 6); // ⌈2.5⌉ = 3
    assert.equal(dpSteps({ localEpochs: 1 }, 1), 1);
    for (let k = 1; k <= 1000; k++) assert.equal(dpSteps({ localEpochs: 1 }, 1 / k), k);
    assert.throws(() => dpSteps({ localEpochs: 1 }, 0), /samplingRate/);
    assert.throws(() => dpSteps({ localEpochs: 1 }, 1.5), /samplingRate/);
  });
});
