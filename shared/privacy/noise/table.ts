/**
 * Integer noise by table: one 32-bit word finds the value in a table of cumulative probabilities, 64 more bits only decide
 * the rare tie. The 96-bit thresholds are computed in BigInt fixed point, so the distance to the ideal distribution is known
 * and returned; whoever uses the table charges it to δ with {@link deltaWithSamplerError}.
 *
 * Draws take about the same time whatever the value, but the table look-up is visible to someone who shares the cache.
 */
import { invalidArgument } from '../../errors.js';
import type { Rng } from '../../rng.js';
import { thresholdsOf } from './draw.js';
import { fastestDraw } from './kernel.js';
import { rationalFromNumber } from './rational.js';

/** Integer noise of one distribution, drawn from a table; how far it is from ideal is charged to δ. */
export interface NoiseTable {
  /** Upper bound on the total variation distance of one draw from the ideal distribution. */
  readonly statisticalError: number;
  readonly variance: number;
  /** Overwrites `out` with independent draws. */
  fill(out: Int32Array, rng: Rng): void;
  /** Adds `factor` (1) times independent draws to `out`, wrapping modulo 2^32 as the ring of secure aggregation does. */
  addTo(out: Int32Array, rng: Rng, factor?: number): void;
}

/** Fixed-point bits: products of 2^20 factors keep 2^-220. */
export const PRECISION = 256n;
/** 1 in the fixed point of the tables. */
export const ONE = 1n << PRECISION;
/** Largest deviation of a table; above it one would take more than about 20 MB and a second to build. */
export const MAX_STD_DEV = 65_536;
/** ln 2^98: what lies beyond this many nats weighs less than one threshold's rounding. */
const TAIL_NATS = 98 * Math.LN2;

/** Table of P(x) ∝ exp(-x²/(2 noiseStdDev²)); the exact value of the double `noiseStdDev` is used. */
export function discreteGaussianTable(noiseStdDev: number): NoiseTable {
  checkRange('noiseStdDev', noiseStdDev);
  return tableFromHalf(gaussianDensities(noiseStdDev), noiseStdDev * noiseStdDev);
}

/** What {@link discreteGaussianTable} will say of its error, without making one. */
export function discreteGaussianError(noiseStdDev: number): number {
  checkRange('noiseStdDev', noiseStdDev);
  return errorOfSize(2 * reachOf(noiseStdDev) + 1);
}

/**
 * Each of the `size` probabilities is off by at most 2^-96 by flooring its ends (so half of it in total variation), plus the
 * cut tails (2^-97 at most) and the last threshold's -1.
 */
function errorOfSize(size: number): number {
  return (size / 2 + 2) * 2 ** -96;
}

const reachOf = (noiseStdDev: number): number => Math.ceil(noiseStdDev * Math.sqrt(2 * TAIL_NATS)) + 1;

/** exp(-x²/(2 noiseStdDev²)) for x = 0, 1, 2, ... in fixed point, as far as a table reaches. */
export function gaussianDensities(noiseStdDev: number): bigint[] {
  const reach = reachOf(noiseStdDev);
  const { numerator: n, denominator: d } = rationalFromNumber(noiseStdDev);
  const base = fixedExpNegative(d * d, 2n * n * n); // e^(-1/(2σ²))
  const baseSquared = (base * base) >> PRECISION;
  const densities: bigint[] = [ONE];
  let ratio = base; // density(x+1) / density(x) = base^(2x+1)
  for (let x = 1; x <= reach; x++) {
    densities.push((densities[x - 1] * ratio) >> PRECISION);
    ratio = (ratio * baseSquared) >> PRECISION;
  }
  return densities;
}

/** Table of Skellam noise of the given `variance` (the exact value of the double). */
export function skellamTable(variance: number): NoiseTable {
  checkRange('variance', Math.sqrt(variance));
  // Tail by Chernoff: P(X >= k) <= exp(-k asinh(k/μ) + sqrt(k² + μ²) - μ) for variance μ
  const tail = (k: number) => k * Math.asinh(k / variance) - Math.sqrt(k * k + variance * variance) + variance;
  let reach = Math.ceil(Math.sqrt(2 * TAIL_NATS * variance));
  while (tail(reach) < TAIL_NATS) reach += 1 + Math.floor(reach / 64);
  const { numerator, denominator } = rationalFromNumber(variance);
  // Miller's downward recurrence I(k-1) = I(k+1) + (2k/μ) I(k); started past the reach, its error falls as I(top)/I(reach)
  let top = reach;
  while (tail(top) < 3 * TAIL_NATS) top += 1 + Math.floor(top / 64);
  let above = 0n;
  let current = 1n << 320n; // only grows downwards: relative truncation stays below 2^-250
  const weights = new Array<bigint>(reach + 1);
  for (let k = top; k >= 0; k--) {
    if (k <= reach) weights[k] = current;
    [above, current] = [current, above + (2n * BigInt(k) * denominator * current) / numerator];
  }
  return tableFromHalf(weights, variance);
}

/**
 * δ of a mechanism that draws `draws` values from a table in place of the ideal noise, given that with ideal noise it is
 * (epsilon, delta)-DP: both neighbours move by at most η = draws × statisticalError in total variation, hence
 * δ' = δ + (1 + e^ε) η. With 64-bit thresholds that would not be small: 10^6 coordinates, 100 shares, 1,000 rounds and ε = 8 make
 * 2^48 of it, which is why they have 96.
 */
export function deltaWithSamplerError(options: {
  epsilon: number;
  delta: number;
  statisticalError: number;
  draws: number;
}): number {
  const { epsilon, delta, statisticalError, draws } = options;
  return delta + (1 + Math.exp(epsilon)) * draws * statisticalError;
}

/** `half` holds unnormalized weights of 0, 1, 2, ...; negative values mirror them. */
export function tableFromHalf(half: readonly bigint[], variance: number): NoiseTable {
  const reach = half.length - 1;
  const size = 2 * reach + 1;
  let total = half[0];
  for (let x = 1; x <= reach; x++) total += 2n * half[x];
  const high = new Uint32Array(size);
  const low = new BigUint64Array(size);
  let sum = 0n;
  for (let i = 0; i < size; i++) {
    // value i - reach is drawn when thresholds[i - 1] <= word < thresholds[i]
    sum += half[Math.abs(i - reach)];
    const threshold = i === size - 1 ? (1n << 96n) - 1n : (sum << 96n) / total;
    high[i] = Number(threshold >> 64n);
    low[i] = threshold & 0xffff_ffff_ffff_ffffn;
  }
  const draw = fastestDraw(thresholdsOf(high, low, reach));
  return {
    statisticalError: errorOfSize(size),
    variance,
    fill(out, rng) {
      out.fill(0);
      draw(out, rng, 1);
    },
    addTo: (out, rng, factor = 1) => draw(out, rng, factor),
  };
}

/** e^(-numerator/denominator) in fixed point, for an argument in [0, 64]; Taylor on the argument halved to below 2^-8. */
function fixedExpNegative(numerator: bigint, denominator: bigint): bigint {
  let halvings = 0n;
  while (numerator << 8n > denominator << halvings) halvings++;
  const x = (numerator << (PRECISION + 32n)) / (denominator << halvings);
  const one = 1n << (PRECISION + 32n);
  let term = one;
  let sum = one;
  for (let k = 1n; term !== 0n; k++) {
    term = (term * x) / (one * k);
    sum += k % 2n === 1n ? -term : term;
  }
  for (let i = 0n; i < halvings; i++) sum = (sum * sum) >> (PRECISION + 32n);
  return sum >> 32n;
}

function checkRange(field: string, noiseStdDev: number): void {
  if (!(noiseStdDev >= 0.1 && noiseStdDev <= MAX_STD_DEV)) {
    throw invalidArgument(field, `a deviation in 0.1 .. ${MAX_STD_DEV}`, noiseStdDev);
  }
}
