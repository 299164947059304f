/**
 * Conditional stochastic rounding to the integers (Kairouz, Liu, Steinke 2021, arXiv:2102.06387, Algorithm 1 and
 * Proposition 26): rounding up or down at random is unbiased but can lengthen the vector, and sensitivity is about length; so
 * the rounding is drawn again until the norm is below a bound that holds with probability at least 1 - β.
 */
import { FlError } from '../../errors.js';
import type { Rng } from '../../rng.js';

/** β = e^(-1/2): a draw is rejected less often than not, and the bound is nearly as small as the scaled norm. */
export const ROUNDING_BETA = Math.exp(-0.5);

/** More rejections in a row than chance (0.61^200 = 1e-43) explains: the input broke its norm bound. */
const MAX_ATTEMPTS = 200;

/**
 * L2 norm of the rounded vector that {@link roundConditionally} accepts: the square root of
 * min((c + sqrt d)², c² + d/4 + sqrt(2 ln(1/β)) (c + sqrt(d)/2)), c = `scaledNorm`.
 */
export function roundedNormBound(options: { scaledNorm: number; dimension: number; beta?: number }): number {
  const { scaledNorm: c, dimension, beta = ROUNDING_BETA } = options;
  const root = Math.sqrt(dimension);
  const always = (c + root) ** 2;
  const likely = c * c + dimension / 4 + Math.sqrt(2 * Math.log(1 / beta)) * (c + root / 2);
  return Math.sqrt(Math.min(always, likely));
}

/** Integers with mean `scaled` and L2 norm at most `normBound`, from {@link roundedNormBound}. */
export function roundConditionally(scaled: Float64Array, normBound: number, rng: Rng): Int32Array {
  const out = new Int32Array(scaled.length);
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt++) {
    let squares = 0;
    for (let i = 0; i < scaled.length; i++) {
      const value = scaled[i];
      const floor = Math.floor(value);
      const rounded = floor + (rng.uniform() < value - floor ? 1 : 0);
      out[i] = rounded;
      squares += rounded * rounded;
    }
    if (squares <= normBound * normBound) return out;
  }
  throw new FlError(
    'internal',
    `rounding: no draw of ${MAX_ATTEMPTS} stayed below norm ${normBound}; was the input clipped?`,
  );
}
