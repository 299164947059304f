import assert from 'node:assert/strict';
import {
  type Accountant,
  bandedSpend,
  centralLimitEpsilon,
  composedEpsilon,
  discreteGaussianLoss,
  discreteGaussianSumRho,
  discreteLaplaceLoss,
  gaussianEpsilon,
  gaussianLoss,
  laplaceLoss,
  type Release,
  rdpGaussian,
  rdpLaplace,
  rdpSubsampledGaussian,
  rdpZcdp,
  type Spend,
  skellamLoss,
  treeSpend,
} from '../../../shared/privacy/index.js';
import { countedMath } from '../../support/counted-math.js';

/** Some seconds of a slow processor's time while every call is counted, well below one without. */
const MOST_EVALUATIONS = 2e7;

const NOISES = [0.002, 1e-9, 1e-300, 5e-324, 0.01, 0.03, 0.3, 1, 30, 1e6, 1e9, 1e300, Number.MAX_VALUE];
const RATES = [1e-300, 1e-9, 1e-4, 0.01, 0.5, 1 - 1e-9, 1];
const COUNTS = [1, 1e6, 1e9, 1e12, 2 ** 53];

const gaussian = (noiseMultiplier: number, samplingRate: number, count: number): Spend => ({
  release: { mechanism: 'gaussian', noiseMultiplier, samplingRate },
  count,
});

/** ε, or why there is none. */
function priced(spends: readonly Spend[], accountant: Accountant): number | string {
  try {
    return composedEpsilon(spends, 1e-5, { accountant, relativeError: 1e-3 });
  } catch (thrown) {
    return (thrown as Error).message;
  }
}

describe('what a price costs', () => {
  for (const accountant of ['rdp', 'pld'] as const) {
    it(`is bounded by ${accountant}, whatever noise, rate and number of steps a plan may name`, function () {
      this.timeout(240_000);
      for (const noise of NOISES) {
        for (const rate of RATES) {
          for (const count of COUNTS) {
            const at = `σ ${noise}, q ${rate}, ${count} steps`;
            const { result } = countedMath(MOST_EVALUATIONS, () => priced([gaussian(noise, rate, count)], accountant));
            if (typeof result === 'string') {
              assert.match(result, /^(noiseMultiplier|samplingRate|count): expected at (least|most) .*, got /, at);
              assert.ok(noise < 0.01 || noise > 1e6 || rate < 1e-9 || count > 1e9, `${at}: ${result}`);
              continue;
            }
            // sampling never costs more than no sampling; Rényi orders end at 1.1, which is a tenth above, and at 1,024
            const unsampled = gaussianEpsilon({ noiseMultiplier: noise, steps: count, delta: 1e-5 });
            const slack = accountant === 'rdp' ? 2 * unsampled + 0.01 : 1.06 * unsampled + 1e-9;
            assert.ok(result >= 0 && result <= slack, `${at}: ${result}, unsampled ${unsampled}`);
          }
        }
      }
    });
  }

  it('is bounded for a thousand different mechanisms, and the last of them is not free', () => {
    const many = Array.from({ length: 1000 }, (_, i) => gaussian(1 + i / 1000, 0.001, 1));
    const before = composedEpsilon(many.slice(0, -1), 1e-5, { relativeError: 1e-3 });
    const { result, calls } = countedMath(MOST_EVALUATIONS, () => composedEpsilon(many, 1e-5, { relativeError: 1e-3 }));
    assert.ok(result > before, `${result} after ${before}, ${calls} calls`);
    assert.ok(result <= composedEpsilon(many, 1e-5, { accountant: 'rdp' }));
  });

  it('is bounded for whatever is composed with a Rényi curve, however little or much the curve says', () => {
    const other = gaussian(1, 0.1, 10);
    const price = (rho: number) => composedEpsilon([other, { release: { mechanism: 'zcdp', rho }, count: 1 }], 1e-5);
    const alone = composedEpsilon([other], 1e-5);
    for (const rho of [0, 1e-300, 1e-15, 1e-9, 1e-3, 1, 1e4, 1e8]) {
      const { result } = countedMath(6e7, () => price(rho));
      const curve = composedEpsilon([{ release: { mechanism: 'zcdp', rho }, count: 1 }], 1e-5);
      const most = curve + alone + 1; // by basic composition at δ / 2 each, roughly
      assert.ok(result >= Math.max(alone, curve) * (1 - 1e-5) && result <= most, `ρ ${rho}: ${result}, ${curve}`);
    }
    // beyond every grid, and with no curve under sampling: as without sampling
    const laplace = (samplingRate: number): Spend => ({
      release: { mechanism: 'laplace', noiseMultiplier: 1, samplingRate },
      count: 1e8,
    });
    const { result } = countedMath(MOST_EVALUATIONS, () => priced([laplace(0.5)], 'pld'));
    assert.ok(typeof result === 'number' && result <= (priced([laplace(1)], 'rdp') as number), `${result}`);
  });

  it('is bounded for noise of a million clients and trees of a million rounds', () => {
    const options = { noiseStdDev: 0.5, dimension: 1e9, l2: 127 };
    const { calls } = countedMath(1e4, () => {
      discreteGaussianSumRho({ ...options, terms: 1e6 });
      treeSpend({ steps: 1e6, noiseMultiplier: 0.01, participation: { most: 1e6, separation: 1 } });
    });
    assert.ok(calls > 0);
    // the shorter sum is not below the longer one: every term has to be in it
    const tau = (terms: number) => {
      let sum = 0;
      for (let k = 1; k < terms; k++) sum += 10 * Math.exp((-2 * Math.PI ** 2 * 0.25 * k) / (k + 1));
      return sum;
    };
    const rho = discreteGaussianSumRho({ ...options, terms: 5000 });
    const exact =
      Math.min(
        127 ** 2 / (5000 * 0.25) + tau(5000) * 5e8,
        (127 / Math.sqrt(1250) + tau(5000) * 1e4 * Math.sqrt(10)) ** 2,
      ) / 2;
    assert.ok(rho >= exact * (1 - 1e-12) && rho <= exact * 1.02, `${rho} for ${exact}`);
  });

  it('is an upper bound where it is cheap: a chord between Rényi orders lies above the curve (mpmath)', () => {
    for (const [order, exact] of CHORDS) {
      const bound = rdpSubsampledGaussian({ noiseMultiplier: 0.03, samplingRate: 0.01, order });
      assert.ok(bound >= exact * (1 - 1e-12) && bound <= 1.01 * exact, `order ${order}: ${bound} for ${exact}`);
    }
  });
});

/** D_order of σ = 0.03, q = 0.01. mpmath 1.4, 40 digits: log(E[(1+u)^a]) / (a - 1), u = q (exp((2x-1)/(2σ²)) - 1), by quadrature. */
const CHORDS: readonly (readonly [number, number])[] = [
  [1.1, 560.454239065242],
  [2.5, 1381.213605245575],
  [7.3, 4050.219405974966],
];

describe('a release that nobody can have meant', () => {
  const refused: readonly (readonly [unknown, RegExp])[] = [
    [{ mechanism: 'zcdp', rho: -1 }, /^rho: expected a number >= 0, got -1$/],
    [{ mechanism: 'zcdp', rho: Number.NaN }, /^rho: expected a number >= 0, got NaN$/],
    [{ mechanism: 'zcdp' }, /^rho: expected a number >= 0, got undefined$/],
    [{ mechanism: 'gaussian', noiseMultiplier: -1 }, /^noiseMultiplier: expected a number >= 0, got -1$/],
    [{ mechanism: 'gaussian', noiseMultiplier: 0.002 }, /^noiseMultiplier: expected at least 0\.01, got 0\.002$/],
    [{ mechanism: 'gaussian', noiseMultiplier: 1e300 }, /^noiseMultiplier: expected at most 1000000, got 1e\+300$/],
    [
      { mechanism: 'gaussian', noiseMultiplier: 1, samplingRate: -0.1 },
      /^samplingRate: expected a probability, got -0\.1$/,
    ],
    [{ mechanism: 'laplace', noiseMultiplier: -2 }, /^noiseMultiplier: expected a number >= 0, got -2$/],
    [
      { mechanism: 'discrete-gaussian', noiseStdDev: -3, sensitivity: 1 },
      /^noiseStdDev: expected a number > 0, got -3$/,
    ],
    [
      { mechanism: 'discrete-gaussian', noiseStdDev: 3, sensitivity: -1 },
      /^sensitivity: expected an integer >= 1, got -1$/,
    ],
    [{ mechanism: 'discrete-gaussian', noiseStdDev: 1e300, sensitivity: 1 }, /at most 1000000, got 1e\+300$/],
    [{ mechanism: 'discrete-laplace', noiseScale: 0, sensitivity: 1 }, /^noiseScale: expected a number > 0, got 0$/],
    [{ mechanism: 'skellam', variance: -4, sensitivity: 1 }, /^variance: expected a number > 0, got -4$/],
    [{ mechanism: 'skellam-vector', variance: 4, l1: -1, l2: 1 }, /^l1: expected a number >= 0, got -1$/],
    [{ mechanism: 'skellam-vector', variance: 4, l1: 1, l2: 2 }, /^l1: expected a number >= l2 = 2, got 1$/],
    [{ mechanism: 'staircase', noiseMultiplier: 1 }, /^mechanism: expected one of gaussian, .*zcdp, got "staircase"$/],
    [undefined, /^mechanism: expected one of .*, got undefined$/],
  ];
  it('is refused by name by every function that takes its numbers one by one', () => {
    const participation = { most: 1, separation: 1 };
    const sum = { noiseStdDev: 1, terms: 1, dimension: 1, l2: 1 };
    const calls: readonly (readonly [() => unknown, RegExp])[] = [
      [() => rdpGaussian(-1, 2), /^noiseMultiplier: expected a number >= 0, got -1$/],
      [() => rdpLaplace(-1, 2), /^noiseMultiplier: expected a number >= 0, got -1$/],
      [() => rdpZcdp(-1, 2), /^rho: expected a number >= 0, got -1$/],
      [() => discreteGaussianSumRho({ ...sum, l2: -1 }), /^l2: expected a number >= 0, got -1$/],
      [() => discreteGaussianSumRho({ ...sum, dimension: -1 }), /^dimension: expected an integer >= 1, got -1$/],
      [() => treeSpend({ steps: 1, noiseMultiplier: -1, participation }), /^noiseMultiplier: expected a number >= 0/],
      [() => treeSpend({ steps: -1, noiseMultiplier: 1, participation }), /^steps: expected an integer >= 0, got -1$/],
      [
        () => bandedSpend({ bands: 1, noiseMultiplier: 1e-9, participation }),
        /^noiseMultiplier: expected at least 0\.01/,
      ],
      [() => gaussianLoss({ noiseMultiplier: 1e-300 }), /^noiseMultiplier: expected a number whose square is one, got/],
      [() => laplaceLoss({ noiseMultiplier: -1 }), /^noiseMultiplier: expected a number > 0, got -1$/],
      [() => discreteGaussianLoss({ noiseStdDev: 1e9, sensitivity: 1 }), /^noiseStdDev, sensitivity: expected at most/],
      [() => discreteLaplaceLoss({ noiseScale: 1, sensitivity: 1e9 }), /^noiseScale, sensitivity: expected at most/],
      [() => skellamLoss({ variance: 1e18, sensitivity: 1 }), /^variance, sensitivity: expected at most/],
      [() => centralLimitEpsilon({ noiseMultiplier: -1, samplingRate: 1, steps: 1, delta: 1e-5 }), /^noiseMultiplier/],
    ];
    for (const [call, message] of calls) assert.throws(call, { code: 'invalid-argument', message });
  });

  for (const accountant of ['rdp', 'pld', 'analytic', 'prv'] as const) {
    it(`is refused by name by ${accountant}`, () => {
      for (const [release, message] of refused) {
        const spends = [{ release: release as Release, count: 1 }];
        assert.throws(() => composedEpsilon(spends, 1e-5, { accountant }), { code: 'invalid-argument', message });
      }
    });
  }
});
