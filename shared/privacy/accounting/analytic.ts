/**
 * The exact (ε, δ) curve of the Gaussian mechanism and its calibration (Balle, Wang 2018, arXiv:1805.06530).
 *
 * With μ = sensitivity / deviation, δ(ε) = Φ(μ/2 - ε/μ) - e^ε Φ(-μ/2 - ε/μ). T rounds of deviation σ are one release with
 * μ = sqrt(T)/σ, so this is also the tight answer for composed Gaussians without subsampling.
 */
import { invalidArgument } from '../../errors.js';
import { checkNoise, checkRate } from './limits.js';
import { logNormalUpperTail, logSubtract } from './normal.js';

/** δ at `epsilon` for a Gaussian release of `noiseMultiplier` = deviation / sensitivity, repeated `steps` times. */
export function gaussianDelta(options: { noiseMultiplier: number; epsilon: number; steps?: number }): number {
  const { epsilon, steps = 1 } = options;
  if (!(epsilon >= 0)) throw invalidArgument('epsilon', 'a number >= 0', epsilon);
  return Math.exp(logDeltaOfMu(muOf(options.noiseMultiplier, steps), epsilon));
}

/** The smallest ε >= 0 with δ(ε) <= `delta`, to 1e-12 relative, never below the true value. */
export function gaussianEpsilon(options: { noiseMultiplier: number; delta: number; steps?: number }): number {
  const { delta, steps = 1 } = options;
  checkDelta(delta);
  const mu = muOf(options.noiseMultiplier, steps);
  if (mu === 0) return 0;
  if (mu === Number.POSITIVE_INFINITY || delta === 0) return Number.POSITIVE_INFINITY;
  const target = Math.log(delta);
  if (logDeltaOfMu(mu, 0) <= target) return 0;
  let low = 0;
  let high = mu * mu + mu;
  while (logDeltaOfMu(mu, high) > target) high *= 2;
  for (let i = 0; i < 100 && high - low > 1e-13 * high; i++) {
    const middle = (low + high) / 2;
    if (logDeltaOfMu(mu, middle) > target) low = middle;
    else high = middle;
  }
  return high;
}

/** The smallest noise multiplier with which `steps` Gaussian releases are (epsilon, delta)-DP, rounded up by 1e-11 of itself. */
export function gaussianNoise(options: { epsilon: number; delta: number; steps?: number }): number {
  const { epsilon, delta, steps = 1 } = options;
  checkDelta(delta);
  if (!(epsilon >= 0)) throw invalidArgument('epsilon', 'a number >= 0', epsilon);
  if (delta === 0) return Number.POSITIVE_INFINITY;
  if (delta === 1 || steps === 0) return 0;
  const target = Math.log(delta);
  let low = 0; // of μ: δ grows with μ
  let high = 1;
  while (logDeltaOfMu(high, epsilon) <= target) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-14 * high; i++) {
    const middle = (low + high) / 2;
    if (logDeltaOfMu(middle, epsilon) <= target) low = middle;
    else high = middle;
  }
  return (Math.sqrt(steps) / low) * (1 + 1e-11);
}

/**
 * Gaussian-DP's central limit for subsampled steps (Bu, Dong, Long, Su 2020): μ = q sqrt(T (e^(1/σ²) - 1)).
 * An approximation that can lie *below* the truth: for comparison with other libraries only, no account accepts it.
 */
export function centralLimitEpsilon(options: {
  noiseMultiplier: number;
  samplingRate: number;
  steps: number;
  delta: number;
}): number {
  const { noiseMultiplier, samplingRate, steps, delta } = options;
  checkNoise(noiseMultiplier);
  checkRate(samplingRate);
  const mu = samplingRate * Math.sqrt(steps * Math.expm1(noiseMultiplier ** -2));
  return gaussianEpsilon({ noiseMultiplier: 1 / mu, delta });
}

function logDeltaOfMu(mu: number, epsilon: number): number {
  if (mu === 0) return Number.NEGATIVE_INFINITY;
  if (mu === Number.POSITIVE_INFINITY) return 0;
  const first = logNormalUpperTail(epsilon / mu - mu / 2);
  const second = epsilon + logNormalUpperTail(epsilon / mu + mu / 2);
  return second >= first ? Number.NEGATIVE_INFINITY : logSubtract(first, second);
}

function muOf(noiseMultiplier: number, steps: number): number {
  if (!(noiseMultiplier >= 0)) throw invalidArgument('noiseMultiplier', 'a number >= 0', noiseMultiplier);
  if (!(steps >= 0)) throw invalidArgument('steps', 'a number >= 0', steps);
  return steps === 0 ? 0 : Math.sqrt(steps) / noiseMultiplier;
}

function checkDelta(delta: number): void {
  if (!(delta >= 0 && delta <= 1)) throw invalidArgument('delta', 'a probability', delta);
}
