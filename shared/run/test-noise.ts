/**
 * Test figures with noise. A client judges a model one test example at a time; what one example adds is clipped and rounded
 * to whole numbers, and discrete Gaussian noise of the client is added to their sums and counts before anything leaves. All
 * metrics of an evaluation are one vector of whole numbers, so that one multiplier says what they cost together (Canonne,
 * Kamath, Steinke 2020, arXiv:2004.00010, theorem 14 and the ρ of several coordinates that follows from it).
 */
import { coinsFromRng, type Spend, sampleDiscreteGaussian } from '../privacy/index.js';
import type { Rng } from '../rng.js';
import type { MetricSum, SumMetrics } from './metrics.js';
import type { PrivacySpec } from './spec.js';

/** How a run noises its test figures. */
export type TestNoise = NonNullable<PrivacySpec['tests']>;

/** Steps of the grid in what one example adds at most to a count, or to the norm of a metric's sums. */
const STEPS = 2 ** 12;

/** ρ of one evaluation for a test example that is there or not: 1 / (2 z²), as the noise is rounded up to whole steps. */
export function testSpend({ noiseMultiplier }: Pick<TestNoise, 'noiseMultiplier'>): Spend {
  return { release: { mechanism: 'zcdp', rho: 1 / (2 * noiseMultiplier ** 2) }, count: 1 };
}

/** Zeros for the sums and counts of all metrics, in the order of the declaration: what examples are added to. */
export function noTests({ metrics }: TestNoise): number[] {
  return metrics.flatMap(({ size }) => Array<number>(size + 1).fill(0));
}

/**
 * Adds one example to `total`, in whole steps: of each metric its sums by at most STEPS in L2 norm, `max` being one, and its
 * count by at most STEPS. More is scaled down; an example that counts more than once counts once; what is not finite is 0.
 */
export function addExample(total: number[], { metrics }: TestNoise, measured: SumMetrics): void {
  let at = 0;
  for (const { name, size, max } of metrics) {
    const metric = Object.hasOwn(measured, name) ? measured[name] : undefined;
    const { sum, count } = metric?.sum.length === size ? metric : { sum: Array<number>(size).fill(0), count: 0 };
    const once = count > 1 ? 1 / count : 1;
    const scaled = sum.map((value) => (value / max) * once);
    const length = Math.hypot(...scaled);
    // the norm of whole numbers is a root of a whole number, so a last place too much does not take it above STEPS
    const factor = Number.isFinite(length) ? STEPS / Math.max(1, length) : 0;
    for (const value of scaled) total[at++] += factor === 0 ? 0 : Math.trunc(value * factor);
    total[at++] += count > 0 && Number.isFinite(count) ? Math.trunc(Math.min(1, count) * STEPS) : 0;
  }
}

/** What may leave of `total`. A count below 0 is said to be 0: figures are sums by counts, and both sides know what that is. */
export function noised(total: readonly number[], tests: TestNoise, rng: Rng): SumMetrics {
  const coins = coinsFromRng(rng);
  const noiseStdDev = { numerator: BigInt(stepsOfNoise(tests)), denominator: 1n };
  const noisy = total.map((value) => (value + Number(sampleDiscreteGaussian(noiseStdDev, coins))) / STEPS);
  let at = 0;
  const entries = tests.metrics.map(({ name, size, max }): [string, MetricSum] => {
    const sum = noisy.slice(at, at + size).map((value) => value * max);
    at += size + 1;
    return [name, { sum, count: Math.max(0, noisy[at - 1]) }];
  });
  return Object.fromEntries(entries);
}

/**
 * The standard deviation that noise of so many clients gives the mean of a scalar metric, to first order in noise / count;
 * undefined where there is no such figure.
 */
export function deviationOf(
  tests: TestNoise,
  name: string,
  { pooled, clients }: { readonly pooled: SumMetrics; readonly clients: number },
): number | undefined {
  const declared = tests.metrics.find((metric) => metric.name === name);
  const { sum, count } = pooled[name] ?? { sum: [], count: 0 };
  if (declared === undefined || sum.length !== 1 || count <= 0) return undefined;
  const ofCount = (stepsOfNoise(tests) / STEPS) * Math.sqrt(clients);
  return (ofCount * Math.hypot(declared.max, sum[0] / count)) / count;
}

/** An example moves each metric's sums and its count by at most STEPS: all of them by that times the root of their number. */
function stepsOfNoise({ noiseMultiplier, metrics }: TestNoise): number {
  return Math.ceil(noiseMultiplier * Math.sqrt(2 * metrics.length) * STEPS);
}
