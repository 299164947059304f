/**
 * A clipping bound that follows a quantile of the clients' norms (Andrew, Thakkar, McMahan, Ramaswamy 2021,
 * arXiv:1905.03871): C <- C exp(-η (b - γ)), where b is the noisy fraction of clients whose norm was at most C.
 *
 * If more than γ of them fit, b > γ and the bound *shrinks*; if few fit it grows. The bit goes through secure aggregation as
 * one more coordinate, as +1 or -1: twice the paper's centred bit, so that it is an integer and a missing client counts 0.
 * It costs its own share of the privacy, which {@link splitNoise} takes from the updates' noise.
 */
import { invalidArgument } from '../../errors.js';

/** Settings of adaptive clipping, and the bound as it stands. */
export interface AdaptiveClip {
  /** C, the clipping bound of the next round. */
  readonly bound: number;
  /** γ: the fraction of clients that should not be clipped; 0.5 follows the median. */
  readonly quantile: number;
  /** η of the geometric update. */
  readonly learningRate: number;
}

/** The paper's defaults: start small, follow the median. */
export const ADAPTIVE_CLIP_DEFAULT: AdaptiveClip = { bound: 0.1, quantile: 0.5, learningRate: 0.2 };

/** +1 if the update fits under the bound as it was handed out, else -1. Sensitivity of their sum: 1. */
export function belowSign(normL2: number, bound: number): 1 | -1 {
  return normL2 <= bound ? 1 : -1;
}

/** The state after a round; `noisySigns` is the noisy sum of signs, `survivors` the number of clients in it. */
export function adaptClip(state: AdaptiveClip, noisySigns: number, survivors: number): AdaptiveClip {
  if (!(survivors >= 1)) throw invalidArgument('survivors', 'at least 1', survivors);
  if (!Number.isFinite(noisySigns)) throw invalidArgument('noisySigns', 'a finite number', noisySigns);
  const fraction = 0.5 + noisySigns / (2 * survivors);
  return { ...state, bound: state.bound * Math.exp(-state.learningRate * (fraction - state.quantile)) };
}

/**
 * Noise multiplier left for the updates when the sum of signs carries deviation 2 `bitNoiseStdDev` (the paper's σ_b is for
 * centred bits, half as large) and both together must cost as much as one Gaussian of `noiseMultiplier`:
 * z_updates = (z^-2 - (2 σ_b)^-2)^-1/2.
 */
export function splitNoise(options: { noiseMultiplier: number; bitNoiseStdDev: number }): number {
  const { noiseMultiplier, bitNoiseStdDev } = options;
  const rest = noiseMultiplier ** -2 - (2 * bitNoiseStdDev) ** -2;
  if (!(rest > 0)) throw invalidArgument('bitNoiseStdDev', `more than ${noiseMultiplier / 2}`, bitNoiseStdDev);
  return rest ** -0.5;
}

/** The paper's choice of σ_b for a cohort: cohort / 20. */
export function bitNoiseFor(cohort: number): number {
  return cohort / 20;
}
