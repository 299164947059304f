/**
 * Rényi divergence of the Poisson-subsampled Gaussian mechanism (Mironov, Talwar, Zhang 2019, arXiv:1908.10530).
 *
 * With q the sampling rate, σ the noise multiplier and X ~ N(0, σ²) the divergence at order a is ln(A) / (a - 1),
 * A = E[(1 + u)^a], u = q (e^((2X-1)/(2σ²)) - 1). Because E[u] = 0, A - 1 = E[(1 + u)^a - 1 - a u], and the bracket is
 * never negative (convexity): everything below sums positive terms in log space, so no digit is lost even where A - 1 is
 * 1e-15.
 */
import { invalidArgument } from '../../errors.js';
import { logAdd, logErfc } from './normal.js';

/** How orders that are not integers are computed; see {@link rdpSubsampledGaussian}. */
export type FractionalOrders = 'exact' | 'series-bound';

/**
 * D_order of one step. `samplingRate` in [0, 1], `noiseMultiplier` > 0, `order` > 1.
 *
 * Orders that are not integers: `exact` (default) integrates and equals Opacus and mpmath; `series-bound` adds the
 * absolute values of the alternating series of section 3.3 of the paper, which is what dp-accounting >= 0.4.4 reports: also
 * a valid guarantee, up to some per cent larger, for whoever must reproduce that library's number.
 */
export function rdpSubsampledGaussian(options: {
  noiseMultiplier: number;
  samplingRate: number;
  order: number;
  fractionalOrders?: FractionalOrders;
}): number {
  const { noiseMultiplier, samplingRate, order, fractionalOrders = 'exact' } = options;
  if (!(samplingRate >= 0 && samplingRate <= 1)) throw invalidArgument('samplingRate', 'a probability', samplingRate);
  if (!(noiseMultiplier >= 0)) throw invalidArgument('noiseMultiplier', 'a number >= 0', noiseMultiplier);
  if (!(order > 1)) throw invalidArgument('order', 'a number > 1', order);
  if (samplingRate === 0) return 0;
  if (noiseMultiplier === 0 || order === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  if (samplingRate === 1) return order / (2 * noiseMultiplier * noiseMultiplier);
  if (Number.isInteger(order))
    return logOnePlusExp(logExcessInteger(samplingRate, noiseMultiplier, order)) / (order - 1);
  if (fractionalOrders === 'exact' && pointsFor(noiseMultiplier, order) > MOST_POINTS) return chord(options);
  const logExcess =
    fractionalOrders === 'exact'
      ? logExcessIntegral(samplingRate, noiseMultiplier, order)
      : logExcessSeriesBound(samplingRate, noiseMultiplier, order);
  return logOnePlusExp(logExcess) / (order - 1);
}

/** Points of an integral, which are many where the noise is small; all noise from 0.04 needs fewer. */
const MOST_POINTS = 2 ** 14;

/**
 * An upper bound for an order between two integers: (a - 1) D_a is the cumulant generating function of the loss at a - 1,
 * hence convex in a, hence below its chord; at a = 1 it is 0.
 */
function chord(options: { noiseMultiplier: number; samplingRate: number; order: number }): number {
  const { order } = options;
  const below = Math.floor(order);
  const cumulantAt = (at: number) => (at === 1 ? 0 : (at - 1) * rdpSubsampledGaussian({ ...options, order: at }));
  const share = order - below;
  return ((1 - share) * cumulantAt(below) + share * cumulantAt(below + 1)) / (order - 1);
}

/** Terms of the binomial sum. */
const MOST_INTEGER_ORDER = 2 ** 16;

/** ln(A - 1) for an integer order: the binomial sum with the -1 taken into each term, which kills j = 0 and j = 1. */
function logExcessInteger(q: number, sigma: number, order: number): number {
  if (order > MOST_INTEGER_ORDER) throw invalidArgument('order', `at most ${MOST_INTEGER_ORDER} under sampling`, order);
  const logOdds = Math.log(q) - Math.log1p(-q);
  let logWeight = order * Math.log1p(-q); // ln C(order, j) q^j (1-q)^(order-j)
  let total = Number.NEGATIVE_INFINITY;
  for (let j = 1; j <= order; j++) {
    logWeight += Math.log((order - j + 1) / j) + logOdds;
    if (j === 1) continue;
    const exponent = (j * (j - 1)) / (2 * sigma * sigma);
    total = logAdd(total, logWeight + exponent + Math.log1p(-Math.exp(-exponent)));
  }
  return total;
}

/**
 * ln(A - 1) by the trapezoidal rule, which converges exponentially on an analytic integrand with Gaussian tails: with step h
 * the error is about exp(-2π²σ²/h²) from the Gaussian and exp(-2π²σ²/h) from the branch points of (1 + u)^a at height
 * πσ², both below 1e-16 for the h chosen.
 */
function logExcessIntegral(q: number, sigma: number, order: number): number {
  const variance = sigma * sigma;
  const step = stepFor(sigma);
  const from = -12 * sigma;
  const count = pointsFor(sigma, order);
  let total = Number.NEGATIVE_INFINITY;
  for (let i = 0; i <= count; i++) {
    const x = from + i * step;
    const logTerm = -(x * x) / (2 * variance) + logConvexGap(q, (2 * x - 1) / (2 * variance), order);
    total = logAdd(total, logTerm);
  }
  return total + Math.log(step) - Math.log(sigma) - 0.5 * Math.log(2 * Math.PI);
}

const stepFor = (sigma: number): number => Math.min(sigma / 6, (sigma * sigma) / 2);

/** From -12σ to order + 12σ: the integrand's last bump is a Gaussian of deviation σ about x = order. */
const pointsFor = (sigma: number, order: number): number => Math.ceil((order + 24 * sigma) / stepFor(sigma));

/** ln((1 + u)^a - 1 - a u) for u = q (e^l - 1). */
function logConvexGap(q: number, loss: number, order: number): number {
  const u = q * Math.expm1(loss);
  if (Math.abs(u) * order < 0.02) {
    // Taylor: a(a-1)/2 u² (1 + (a-2)/3 u (1 + (a-3)/4 u (1 + ...))); 8 factors leave less than 1e-16
    let tail = 1;
    for (let k = 9; k >= 3; k--) tail = 1 + ((order - k + 1) / k) * u * tail;
    return u === 0 ? Number.NEGATIVE_INFINITY : Math.log((order * (order - 1) * u * u * tail) / 2);
  }
  const logBase = loss > 700 ? Math.log(q) + loss : Math.log1p(u);
  const power = order * logBase;
  if (power > 30) return power + Math.log1p(-(1 + order * Math.min(u, 1e300)) * Math.exp(-power));
  return Math.log(Math.expm1(power) - order * u);
}

/** ln(A - 1) from the two half-line series of Mironov, Talwar and Zhang, every term taken by its absolute value. */
function logExcessSeriesBound(q: number, sigma: number, order: number): number {
  const split = sigma * sigma * Math.log(1 / q - 1) + 0.5;
  const logQ = Math.log(q);
  const log1mQ = Math.log1p(-q);
  const scale = Math.SQRT2 * sigma;
  let logBinomial = 0; // ln |C(order, i)|
  let total = Number.NEGATIVE_INFINITY;
  let lastLeft = Number.NEGATIVE_INFINITY;
  let lastRight = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < 1000; i++) {
    const j = order - i;
    const common = logBinomial - Math.LN2;
    const left = common + i * logQ + j * log1mQ + (i * i - i) / (2 * sigma * sigma) + logErfc((i - split) / scale);
    const right = common + j * logQ + i * log1mQ + (j * j - j) / (2 * sigma * sigma) + logErfc((split - j) / scale);
    total = logAdd(total, logAdd(left, right));
    if (left < lastLeft && right < lastRight && Math.max(left, right) < total - 30) return logExcessOf(total);
    lastLeft = left;
    lastRight = right;
    logBinomial += Math.log(Math.abs((order - i) / (i + 1)));
  }
  return Number.POSITIVE_INFINITY; // did not converge: this order is of no use
}

/** ln(A - 1) from ln A, for A > 1. */
function logExcessOf(logA: number): number {
  if (logA <= 0) return Number.NEGATIVE_INFINITY;
  return logA > 30 ? logA : Math.log(Math.expm1(logA));
}

/** ln(1 + e^x). */
function logOnePlusExp(x: number): number {
  return x > 36 ? x : Math.log1p(Math.exp(x));
}
