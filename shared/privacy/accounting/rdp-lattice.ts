/**
 * Rényi bounds for noise that lives on the integers and is added client by client: what secure aggregation can sum.
 *
 * Skellam: Agarwal, Kairouz, Liu 2021 (arXiv:2110.04995), Theorem 3.5 and Corollary 3.6; closed under sums. Sums of discrete
 * Gaussians: Kairouz, Liu, Steinke 2021 (arXiv:2102.06387), Theorem 1; almost closed, τ is the price.
 */
import { invalidArgument } from '../../errors.js';

/**
 * D_order of Skellam noise of `variance` per coordinate on an integer vector with the given sensitivities. Proved for integer
 * orders; for others the next integer is used, which is valid because D grows with the order.
 */
export function rdpSkellam(options: { variance: number; l1: number; l2: number; order: number }): number {
  const { variance, l1, l2 } = options;
  if (!(variance > 0)) throw invalidArgument('variance', 'a number > 0', variance);
  if (!(l2 >= 0 && l1 >= l2)) throw invalidArgument('l1', `a number >= l2 = ${l2}`, l1);
  const order = Math.max(2, Math.ceil(options.order));
  if (order === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  const gaussian = (order * l2 * l2) / (2 * variance);
  const small = ((2 * order - 1) * l2 * l2 + 6 * l1) / (4 * variance * variance);
  return gaussian + Math.min(small, (3 * l1) / (2 * variance));
}

/**
 * ρ of ρ-zCDP for the sum of `terms` independent discrete Gaussians of deviation `noiseStdDev` each, on an integer vector of
 * `dimension` entries and L2 sensitivity `l2`: ρ = ε²/2, ε = min(sqrt(l2²/(n s²) + τ d/2), l2/(sqrt(n) s) + τ sqrt(d)),
 * τ = 10 Σ_(k=1)^(n-1) exp(-2π² s² k/(k+1)).
 */
export function discreteGaussianSumRho(options: {
  noiseStdDev: number;
  terms: number;
  dimension: number;
  l2: number;
}): number {
  const { noiseStdDev, terms, dimension, l2 } = options;
  if (!(noiseStdDev >= 0.5))
    throw invalidArgument('noiseStdDev', 'a number >= 0.5 (the theorem asks s² >= 1/4)', noiseStdDev);
  if (!Number.isInteger(terms) || terms < 1) throw invalidArgument('terms', 'an integer >= 1', terms);
  const variance = noiseStdDev * noiseStdDev;
  let tau = 0;
  for (let k = 1; k < terms; k++) tau += 10 * Math.exp((-2 * Math.PI * Math.PI * variance * k) / (k + 1));
  const central = (l2 * l2) / (terms * variance);
  const epsilon = Math.min(Math.sqrt(central + (tau * dimension) / 2), Math.sqrt(central) + tau * Math.sqrt(dimension));
  return (epsilon * epsilon) / 2;
}
