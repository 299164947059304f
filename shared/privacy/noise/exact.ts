/**
 * Exact samplers of integer noise: Canonne, Kamath, Steinke 2020 (arXiv:2004.00010, Algorithms 1-3) for discrete Laplace and
 * discrete Gaussian; Skellam as the difference of two Poissons, each a sum of exact Poisson(1) draws (Duchon, Duvignau 2016,
 * arXiv:1306.5927). Integers and coins only: no floating point. They are the reference that the fast tables are tested
 * against, and fast enough for scalars. Running time depends on the values drawn: not for use where an adversary times them.
 */
import { type Coins, type Rational, rational } from './rational.js';

/** One draw with P(x) ∝ exp(-x²/(2 σ²)), σ = `noiseStdDev`, a *standard deviation*. Zero deviation gives zero. */
export function sampleDiscreteGaussian(noiseStdDev: Rational, coins: Coins): bigint {
  const { numerator: n, denominator: d } = noiseStdDev;
  if (n === 0n) return 0n;
  const t = n / d + 1n;
  // accept y with probability exp(-(|y| - σ²/t)² / (2σ²)); with σ = n/d that is (|y| t d² - n²)² / (2 n² t² d²)
  const center = n * n;
  const unit = t * d * d;
  const denominator = 2n * n * n * t * t * d * d;
  for (;;) {
    const y = sampleDiscreteLaplace({ numerator: t, denominator: 1n }, coins);
    const distance = (y < 0n ? -y : y) * unit - center;
    if (bernoulliExp(rational(distance * distance, denominator), coins)) return y;
  }
}

/** One draw with P(x) ∝ exp(-|x| / `noiseScale`). Zero scale gives zero. */
export function sampleDiscreteLaplace(noiseScale: Rational, coins: Coins): bigint {
  if (noiseScale.numerator === 0n) return 0n;
  for (;;) {
    const negative = coins.below(2n) < 1n;
    const magnitude = geometric(noiseScale, coins);
    if (negative && magnitude === 0n) continue; // else 0 would come twice as often
    return negative ? -magnitude : magnitude;
  }
}

/** One draw of Skellam noise: Poisson(variance/2) - Poisson(variance/2). Takes about 4 × variance coins. */
export function sampleSkellam(variance: Rational, coins: Coins): bigint {
  const half = rational(variance.numerator, 2n * variance.denominator);
  return samplePoisson(half, coins) - samplePoisson(half, coins);
}

/** Poisson(mean): Poisson(ceil mean) thinned, every point kept with probability mean / ceil mean. */
export function samplePoisson(mean: Rational, coins: Coins): bigint {
  const { numerator, denominator } = mean;
  const whole = (numerator + denominator - 1n) / denominator;
  let points = 0n;
  for (let i = 0n; i < whole; i++) points += poissonOne(coins);
  if (whole * denominator === numerator) return points;
  let kept = 0n;
  for (let i = 0n; i < points; i++) if (coins.below(whole * denominator) < numerator) kept++;
  return kept;
}

/** Number of fixed points of a growing uniform permutation, in the limit: Poisson(1). */
function poissonOne(coins: Coins): bigint {
  let guard = 0n;
  let count = 1n;
  for (let n = 1n; ; n++) {
    const j = coins.below(n + 1n) + 1n;
    if (j === n + 1n) count++;
    else if (j > guard) {
      count--;
      guard = n + 1n;
    } else return count;
  }
}

/** floor of a geometric variable: P(x) ∝ exp(-x / scale), x >= 0. */
function geometric({ numerator: s, denominator: t }: Rational, coins: Coins): bigint {
  let u = coins.below(s);
  while (!bernoulliExpUnit(rational(u, s), coins)) u = coins.below(s);
  let v = 0n;
  while (bernoulliExpUnit({ numerator: 1n, denominator: 1n }, coins)) v++;
  return (u + s * v) / t;
}

/** True with probability exp(-gamma). */
function bernoulliExp(gamma: Rational, coins: Coins): boolean {
  const whole = gamma.numerator / gamma.denominator;
  for (let i = 0n; i < whole; i++) {
    if (!bernoulliExpUnit({ numerator: 1n, denominator: 1n }, coins)) return false;
  }
  const rest = gamma.numerator - whole * gamma.denominator;
  return bernoulliExpUnit(rational(rest, gamma.denominator), coins);
}

/** The same for gamma in [0, 1]: von Neumann's alternating series of Bernoulli(gamma / k). */
function bernoulliExpUnit({ numerator, denominator }: Rational, coins: Coins): boolean {
  for (let k = 1n; ; k++) {
    const chance = rational(numerator, denominator * k);
    if (coins.below(chance.denominator) >= chance.numerator) return k % 2n === 1n;
  }
}
