import assert from 'node:assert/strict';
import { rngFromSeed } from '../../../shared/rng.js';
import type { SumMetrics } from '../../../shared/run/metrics.js';
import { addExample, deviationOf, noised, noTests, type TestNoise, testSpend } from '../../../shared/run/test-noise.js';

const METRICS = [
  { name: 'right', size: 1, max: 1 },
  { name: 'loss', size: 1, max: 16 },
  { name: 'pairs', size: 4, max: 1 },
];
const tests = (noiseMultiplier: number): TestNoise => ({ noiseMultiplier, evaluations: 1, metrics: METRICS });
/** Noise far below one step of what an example adds: what is there can be read off. */
const LEAST = tests(1e-9);

const sumsOf = (examples: readonly SumMetrics[], about = LEAST, seed = 1) => {
  const total = noTests(about);
  for (const example of examples) addExample(total, about, example);
  return noised(total, about, rngFromSeed(seed));
};
const near = (got: number, expected: number) => assert.ok(Math.abs(got - expected) < 0.01, `${got} for ${expected}`);

describe('test figures with noise', () => {
  const right = { sum: [1], count: 1 };
  const pairs = { sum: [0, 1, 0, 0], count: 1 };

  it('are the sums and counts of their examples', () => {
    const sums = sumsOf([
      { right, loss: { sum: [2], count: 1 }, pairs },
      { right, loss: { sum: [6], count: 1 }, pairs },
    ]);
    near(sums.right.sum[0], 2);
    near(sums.loss.sum[0], 8);
    near(sums.pairs.sum[1], 2);
    for (const { count } of Object.values(sums)) near(count, 2);
  });

  it('take an example for one, whatever it says of itself, and a count that is none for nothing', () => {
    const sums = sumsOf([{ right: { sum: [2], count: 4 } }, { right: { sum: [0], count: Number.POSITIVE_INFINITY } }]);
    near(sums.right.sum[0], 0.5);
    near(sums.right.count, 1);
  });

  it('lets no example add more than the noise is sized for', () => {
    const hostile: Record<string, SumMetrics> = {
      'a metric beyond its bound': { right: { sum: [1000], count: 1 }, loss: { sum: [-1e30], count: 1 } },
      'a vector in which all is large': { pairs: { sum: [1, 1, 1, -1], count: 1 } },
      'an example that counts a thousand times': {
        right: { sum: [1000], count: 1000 },
        pairs: { sum: [9, 9, 9, 9], count: 9 },
      },
      'a count that is none': { right: { sum: [1], count: -5 }, loss: { sum: [1], count: Number.NaN } },
      'numbers that are none': {
        right: { sum: [Number.NaN], count: 1 },
        loss: { sum: [Number.POSITIVE_INFINITY], count: Number.POSITIVE_INFINITY },
      },
      'other metrics and lengths': { right: { sum: [1, 1], count: 1 }, constructor: { sum: [5], count: 5 } },
      'bounds met exactly': { right, loss: { sum: [16], count: 1 }, pairs: { sum: [0.6, 0.8, 0, 0], count: 1 } },
      'norms that round up': { pairs: { sum: [1 / 3, 1 / 7, 0.1, 5], count: 3 } },
    };
    for (const [what, example] of Object.entries(hostile)) {
      const total = noTests(LEAST);
      addExample(total, LEAST, example);
      assert.ok(total.every(Number.isSafeInteger), what);
      const [count, ...rest] = [...total].reverse();
      assert.ok(count >= 0 && count <= 4096, what);
      assert.ok(Math.abs(total[0]) <= 4096 && Math.abs(total[2]) <= 4096 && total[1] <= 4096 && total[3] <= 4096, what);
      const squares = rest.slice(0, 4).reduce((sum, value) => sum + value ** 2, 0);
      assert.ok(squares <= 4096 ** 2, `${what}: ${squares}`);
    }
  });

  it('has the deviation that is charged', () => {
    const z = 3;
    const draws = Array.from({ length: 2000 }, (_, seed) => sumsOf(Array(400).fill({ right, pairs }), tests(z), seed));
    const deviation = (of: (sums: SumMetrics) => number, mean: number) =>
      Math.sqrt(draws.reduce((sum, draw) => sum + (of(draw) - mean) ** 2, 0) / draws.length);
    // three metrics, sums and a count each: an example changes all of them by the root of six
    const expected = z * Math.sqrt(6);
    const readings: Record<string, number> = {
      sum: deviation(({ right }) => right.sum[0], 400) / expected,
      'a scaled sum': deviation(({ loss }) => loss.sum[0], 0) / (16 * expected),
      'of a vector': deviation(({ pairs }) => pairs.sum[2], 0) / expected,
      count: deviation(({ right }) => right.count, 400) / expected,
    };
    // of 2,000 draws a deviation is known to 1 / √4000 = 1.6 %
    for (const [what, ratio] of Object.entries(readings)) assert.ok(Math.abs(ratio - 1) < 0.07, `${what}: ${ratio}`);
    assert.deepEqual(testSpend(tests(z)), { release: { mechanism: 'zcdp', rho: 1 / 18 }, count: 1 });
  });

  it('say what the noise does to a mean', () => {
    const z = 3;
    const means = Array.from({ length: 500 }, (_, seed) => {
      const [a, b] = [1, 2].map((part) => sumsOf(Array(400).fill({ right }), tests(z), 2 * seed + part).right);
      return (a.sum[0] + b.sum[0]) / (a.count + b.count);
    });
    const measured = Math.sqrt(means.reduce((sum, mean) => sum + (mean - 1) ** 2, 0) / means.length);
    const pooled = { right: { sum: [800], count: 800 }, pairs: { sum: [0, 0, 0, 0], count: 800 } };
    const stated = deviationOf(tests(z), 'right', { pooled, clients: 2 })!;
    assert.ok(Math.abs(measured / stated - 1) < 0.12, `${measured} for ${stated}`);
    for (const name of ['pairs', 'loss', 'other']) {
      assert.equal(deviationOf(tests(z), name, { pooled, clients: 2 }), undefined);
    }
  });

  it('never count fewer examples than none, and are finite', () => {
    for (let seed = 0; seed < 50; seed++) {
      for (const { sum, count } of Object.values(sumsOf([], tests(5), seed))) {
        assert.ok(count >= 0 && [...sum, count].every(Number.isFinite));
      }
    }
  });
});
