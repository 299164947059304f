import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { discreteGaussianPmf, skellamPmf } from '../../../shared/privacy/accounting/pld-sources.js';
import { sampleDiscreteGaussian, sampleDiscreteLaplace, sampleSkellam } from '../../../shared/privacy/noise/exact.js';
import { coinsFromRng, rational, rationalFromNumber } from '../../../shared/privacy/noise/rational.js';
import {
  deltaWithSamplerError,
  discreteGaussianError,
  discreteGaussianTable,
  type NoiseTable,
  skellamTable,
} from '../../../shared/privacy/noise/table.js';
import { type Rng, rngFromSeed } from '../../../shared/rng.js';
import { coinsFromTurboShake, squeeze } from './turboshake.js';
import { vectors } from './vectors.js';

const DRAWS = 200_000;

/** Draws by name; every entry goes through the same statistical tests. `variance` is the exact one. */
interface Sampler {
  name: string;
  variance: number;
  /** Excess kurtosis of the ideal distribution. */
  excessKurtosis: number;
  pmf: Float64Array;
  draw(count: number, rng: Rng): Int32Array;
}

describe('published discrete Gaussian vectors', () => {
  it('replays TurboSHAKE128', () => {
    // RFC 9861 section 5: TurboSHAKE128(M = empty, D = 1F, 32 bytes)
    const next = squeeze(new Uint8Array(0), 0x1f);
    const bytes = Uint8Array.from({ length: 32 }, () => next());
    assert.equal(
      Buffer.from(bytes).toString('hex'),
      '1e415f1c5983aff2169217277d17bb538cd945a397ddec541f1ce41af2c1b74c',
    );
  });

  const published = vectors<{ vectors: { stdNum: string; stdDenom: string; seed: string; samples: string[] }[] }>(
    'discrete-gaussian.json',
  ).vectors;
  for (const vector of published) {
    it(`conforms to libprio-rs at deviation ${vector.stdNum}/${vector.stdDenom}`, () => {
      const coins = coinsFromTurboShake(Buffer.from(vector.seed, 'hex'));
      const noiseStdDev = rational(BigInt(vector.stdNum), BigInt(vector.stdDenom));
      const got = vector.samples.map(() => sampleDiscreteGaussian(noiseStdDev, coins).toString());
      assert.deepEqual(got, vector.samples);
    });
  }
});

describe('noise moments and shape', () => {
  for (const sampler of samplers()) {
    it(`${sampler.name}: mean, variance and every probability`, () => {
      const draws = sampler.draw(DRAWS, rngFromSeed(20_260_101));
      let sum = 0;
      let squares = 0;
      for (const value of draws) {
        sum += value;
        squares += value * value;
      }
      // Five standard errors (1 in 1.7 million by chance, and the seed is fixed): the mean has variance s²/n, the mean square
      // (excess kurtosis + 2) s⁴/n. A deviation used as a variance, or the reverse, is off by a factor s.
      const mean = sum / draws.length;
      const variance = squares / draws.length;
      assert.ok(Math.abs(mean) < 5 * Math.sqrt(sampler.variance / draws.length), `mean ${mean}`);
      const spread = sampler.variance * Math.sqrt((sampler.excessKurtosis + 2) / draws.length);
      assert.ok(Math.abs(variance - sampler.variance) < 5 * spread, `variance ${variance} for ${sampler.variance}`);
      const { statistic, cells } = chiSquare(draws, sampler.pmf);
      // χ² with k cells has mean k-1 and variance 2(k-1)
      assert.ok(statistic < cells - 1 + 5 * Math.sqrt(2 * (cells - 1)), `χ² ${statistic} over ${cells} cells`);
    });
  }
});

describe('noise tables', () => {
  it('say how far they are from ideal, and how that is charged', () => {
    // 2 × ceil(1000 sqrt(2 ln 2^98)) + 3 = 23,315 thresholds, half a rounding of 2^-96 each
    const { statisticalError } = discreteGaussianTable(1000);
    for (const deviation of [0.5, 2.3, 1000]) {
      assert.equal(discreteGaussianError(deviation), discreteGaussianTable(deviation).statisticalError);
    }
    assert.ok(statisticalError > 23_315 * 2 ** -97 && statisticalError < 23_330 * 2 ** -97);
    // a whole run: 1e6 coordinates, 100 shares, 1,000 rounds at ε = 8
    const delta = deltaWithSamplerError({ epsilon: 8, delta: 1e-5, statisticalError, draws: 1e11 });
    assert.ok(delta >= 1e-5 && delta < 1.00001e-5);
    // 1e6 draws, (1 + e) × 1e6 × 2^-52
    const charged = deltaWithSamplerError({ epsilon: 1, delta: 0, statisticalError: 2 ** -52, draws: 1e6 });
    assert.ok(Math.abs(charged - (1 + Math.E) * 1e6 * 2 ** -52) < 1e-22);
  });

  it('add into the ring, wrapping', () => {
    const table = discreteGaussianTable(3);
    const noise = new Int32Array(1000);
    table.fill(noise, rngFromSeed(7));
    const ring = new Int32Array(1000).fill(2 ** 31 - 1);
    table.addTo(ring, rngFromSeed(7));
    assert.deepEqual(
      ring,
      noise.map((value) => (2 ** 31 - 1 + value) | 0),
    );
  });

  it('are reproducible by seed, and change with it', () => {
    const print = (seed: number) => {
      const out = new Int32Array(5000);
      skellamTable(50).fill(out, rngFromSeed(seed));
      return createHash('sha256').update(out).digest('hex');
    };
    assert.equal(print(3), print(3));
    assert.notEqual(print(3), print(4));
  });

  it('refuse what they cannot build', () => {
    assert.throws(() => discreteGaussianTable(0), /noiseStdDev/);
    assert.throws(() => discreteGaussianTable(1e6), /noiseStdDev/);
    assert.throws(() => skellamTable(Number.NaN), /variance/);
  });

  it('zero noise is zero', () => {
    const coins = coinsFromRng(rngFromSeed(1));
    assert.equal(sampleDiscreteGaussian(rational(0n, 1n), coins), 0n);
    assert.equal(sampleDiscreteLaplace(rational(0n, 1n), coins), 0n);
    assert.equal(sampleSkellam(rational(0n, 1n), coins), 0n);
  });

  it('rationals are exact', () => {
    assert.deepEqual(rationalFromNumber(0.1), { numerator: 3602879701896397n, denominator: 36028797018963968n });
    assert.deepEqual(rationalFromNumber(12), { numerator: 12n, denominator: 1n });
    assert.throws(() => rationalFromNumber(Number.POSITIVE_INFINITY), /value/);
  });
});

function samplers(): Sampler[] {
  const list: Sampler[] = [];
  for (const noiseStdDev of [1.75, 40]) {
    // At these deviations the variance of the discrete Gaussian is σ² to 1e-20 (Canonne, Kamath, Steinke 2020, Corollary 9)
    const pmf = discreteGaussianPmf(noiseStdDev, Math.ceil(12 * noiseStdDev));
    const ideal = { variance: noiseStdDev ** 2, excessKurtosis: 0, pmf };
    const exact = rationalFromNumber(noiseStdDev);
    list.push({
      name: `exact discrete Gaussian ${noiseStdDev}`,
      ...ideal,
      draw: exactly((coins) => sampleDiscreteGaussian(exact, coins)),
    });
    list.push({
      name: `table discrete Gaussian ${noiseStdDev}`,
      ...ideal,
      draw: byTable(discreteGaussianTable(noiseStdDev)),
    });
  }
  for (const noiseScale of [0.75, 20]) {
    // P(x) = tanh(1/2t) e^(-|x|/t): variance 1 / (2 sinh²(1/2t)); fourth moment by summation
    const reach = Math.ceil(60 * noiseScale);
    const pmf = Float64Array.from(
      { length: 2 * reach + 1 },
      (_, i) => Math.tanh(0.5 / noiseScale) * Math.exp(-Math.abs(i - reach) / noiseScale),
    );
    const fourth = pmf.reduce((total, p, i) => total + p * (i - reach) ** 4, 0);
    const variance = 1 / (2 * Math.sinh(0.5 / noiseScale) ** 2);
    const exact = rationalFromNumber(noiseScale);
    list.push({
      name: `exact discrete Laplace ${noiseScale}`,
      variance,
      excessKurtosis: fourth / variance ** 2 - 3,
      pmf,
      draw: exactly((coins) => sampleDiscreteLaplace(exact, coins)),
    });
  }
  for (const variance of [2.5, 900]) {
    const ideal = {
      variance,
      excessKurtosis: 1 / variance,
      pmf: skellamPmf(variance, Math.ceil(12 * Math.sqrt(variance) + 40)),
    };
    list.push({ name: `table Skellam ${variance}`, ...ideal, draw: byTable(skellamTable(variance)) });
  }
  for (const variance of [0.7, 6]) {
    const ideal = { variance, excessKurtosis: 1 / variance, pmf: skellamPmf(variance, 80) };
    const exact = rationalFromNumber(variance);
    list.push({ name: `exact Skellam ${variance}`, ...ideal, draw: exactly((coins) => sampleSkellam(exact, coins)) });
  }
  return list;
}

function exactly(draw: (coins: ReturnType<typeof coinsFromRng>) => bigint): Sampler['draw'] {
  return (count, rng) => {
    const coins = coinsFromRng(rng);
    return Int32Array.from({ length: count / 2 }, () => Number(draw(coins))); // 1e5 draws: the exact ones are slow
  };
}

function byTable(table: NoiseTable): Sampler['draw'] {
  return (count, rng) => {
    const out = new Int32Array(count);
    table.fill(out, rng);
    return out;
  };
}

/** Pearson's statistic, the tails pooled so that every cell expects at least 20. */
function chiSquare(draws: Int32Array, pmf: Float64Array): { statistic: number; cells: number } {
  const reach = (pmf.length - 1) / 2;
  const counts = new Float64Array(pmf.length);
  for (const value of draws) {
    assert.ok(Math.abs(value) <= reach, `a draw of ${value}, beyond every plausible value`);
    counts[value + reach] = (counts[value + reach] as number) + 1;
  }
  let statistic = 0;
  let cells = 0;
  let expected = 0;
  let seen = 0;
  for (let i = 0; i < pmf.length; i++) {
    expected += (pmf[i] as number) * draws.length;
    seen += counts[i] as number;
    if (expected < 20 && i < pmf.length - 1) continue;
    if (expected > 0) statistic += (seen - expected) ** 2 / Math.max(expected, 1);
    cells++;
    expected = 0;
    seen = 0;
  }
  return { statistic, cells };
}
