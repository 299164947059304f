/**
 * Rényi bounds for noise that lives on the integers and is added client by client: what secure aggregation can sum.
 *
 * Skellam: Agarwal, Kairouz, Liu 2021 (arXiv:2110.04995), Theorem 3.5 and Corollary 3.6; closed under sums. Sums of discrete
 * Gaussians: Kairouz, Liu, Steinke 2021 (arXiv:2102.06387), Theorem 1; almost closed, τ is the price.
 */
import { invalidArgument } from '../../errors.js';
import { checkNotNegative } from './limits.js';

/**
 * D_order of Skellam noise of `variance` per coordinate on an integer vector with the given sensitivities. Proved for integer
 * orders; between two of them (order - 1) D is bounded by its chord, being a cumulant generating function and hence convex.
 */
export function rdpSkellam(options: { variance: number; l1: number; l2: number; order: number }): number {
  const { variance, l1, l2, order } = options;
  if (!(variance > 0)) throw invalidArgument('variance', 'a number > 0', variance);
  if (!(l2 >= 0 && l1 >= l2)) throw invalidArgument('l1', `a number >= l2 = ${l2}`, l1);
  if (order === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  const below = Math.floor(order);
  const share = order - below;
  const at = (n: number) => {
    const small = ((2 * n - 1) * l2 * l2 + 6 * l1) / (4 * variance * variance);
    return (n - 1) * ((n * l2 * l2) / (2 * variance) + Math.min(small, (3 * l1) / (2 * variance)));
  };
  return ((1 - share) * at(below) + share * at(below + 1)) / (order - 1);
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
  if (!Number.isInteger(dimension) || dimension < 1) throw invalidArgument('dimension', 'an integer >= 1', dimension);
  checkNotNegative('l2', l2);
  const variance = noiseStdDev * noiseStdDev;
  const tau = tauOf(variance, terms);
  const central = (l2 * l2) / (terms * variance);
  const epsilon = Math.min(Math.sqrt(central + (tau * dimension) / 2), Math.sqrt(central) + tau * Math.sqrt(dimension));
  return (epsilon * epsilon) / 2;
}

/** Terms that are added one by one; what follows falls with k and is counted as large as the first of it. */
const EXACT_TERMS = 1024;

function tauOf(variance: number, terms: number): number {
  const at = (k: number) => 10 * Math.exp((-2 * Math.PI * Math.PI * variance * k) / (k + 1));
  let tau = 0;
  const exact = Math.min(terms, EXACT_TERMS);
  for (let k = 1; k < exact; k++) tau += at(k);
  return tau + (terms - exact) * at(exact);
}
