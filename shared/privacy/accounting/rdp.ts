/**
 * Rényi differential privacy: curves of mechanisms over orders, their sum over rounds, and the conversion to (ε, δ).
 *
 * Mironov 2017 (arXiv:1702.07476) for the definition and composition; Canonne, Kamath, Steinke 2020 (arXiv:2004.00010,
 * Proposition 12) for the conversion, which is also Theorem 21 of Balle et al. 2019 (arXiv:1905.09982). A curve is an array
 * aligned with its orders; composition is addition, because Rényi divergences of independent releases add.
 */
import { invalidArgument } from '../../errors.js';
import { checkNotNegative } from './limits.js';

/** dp-accounting's default orders, so that both optimize over the same set. */
export const DEFAULT_RDP_ORDERS: readonly number[] = [
  ...Array.from({ length: 99 }, (_, i) => (11 + i) / 10), // 1.1 .. 10.9
  ...Array.from({ length: 53 }, (_, i) => 11 + i), // 11 .. 63
  128,
  256,
  512,
  1024,
];

/** The tightest ε over `orders` at `delta`, and the order that gives it. Infinity when no order helps. */
export function rdpToEpsilon(
  orders: readonly number[],
  rdp: readonly number[],
  delta: number,
): { epsilon: number; order: number } {
  checkCurve(orders, rdp);
  if (!(delta >= 0 && delta <= 1)) throw invalidArgument('delta', 'a probability', delta);
  let best = { epsilon: Number.POSITIVE_INFINITY, order: 0 };
  for (const [i, order] of orders.entries()) {
    const divergence = rdp[i];
    const epsilon = epsilonAtOrder(order, divergence, delta);
    if (epsilon < best.epsilon) best = { epsilon, order };
  }
  return best;
}

/** The smallest δ over `orders` at `epsilon`; never above 1. */
export function rdpToDelta(orders: readonly number[], rdp: readonly number[], epsilon: number): number {
  checkCurve(orders, rdp);
  if (!(epsilon >= 0)) throw invalidArgument('epsilon', 'a number >= 0', epsilon);
  let logDelta = 0;
  for (const [i, order] of orders.entries()) {
    const divergence = rdp[i];
    // The KL divergence is at most D_order, and total variation at most sqrt(1 - e^-KL) (Bretagnolle-Huber).
    logDelta = Math.min(logDelta, 0.5 * Math.log(-Math.expm1(-divergence)));
    if (order <= 1.01 || divergence === Number.POSITIVE_INFINITY) continue; // unstable, and useless, near order 1
    const bound = (order - 1) * (divergence - epsilon + Math.log1p(-1 / order)) - Math.log(order);
    logDelta = Math.min(logDelta, bound);
  }
  return Math.exp(logDelta);
}

/** Sum of curves over the same orders: the curve of running all of them. */
export function composeRdp(curves: readonly { rdp: readonly number[]; count: number }[], length: number): number[] {
  const total = new Array<number>(length).fill(0);
  for (const { rdp, count } of curves) {
    if (rdp.length !== length) throw invalidArgument('rdp', `${length} orders`, rdp.length);
    if (count === 0) continue; // 0 * Infinity is not 0
    for (let i = 0; i < length; i++) total[i] = total[i] + count * rdp[i];
  }
  return total;
}

/** Gaussian mechanism with deviation noiseMultiplier × sensitivity: D_order = order / (2 noiseMultiplier^2). */
export function rdpGaussian(noiseMultiplier: number, order: number): number {
  checkNotNegative('noiseMultiplier', noiseMultiplier);
  return order / (2 * noiseMultiplier * noiseMultiplier);
}

/** ρ-zCDP means D_order <= ρ order for every order (Bun, Steinke 2016). */
export function rdpZcdp(rho: number, order: number): number {
  checkNotNegative('rho', rho);
  return rho * order;
}

/**
 * Laplace mechanism with scale noiseMultiplier × L1 sensitivity (Mironov 2017, Proposition 6):
 * D_a = ln( a/(2a-1) e^((a-1)/b) + (a-1)/(2a-1) e^(-a/b) ) / (a-1). For a scalar query.
 */
export function rdpLaplace(noiseMultiplier: number, order: number): number {
  checkNotNegative('noiseMultiplier', noiseMultiplier);
  if (noiseMultiplier === 0) return Number.POSITIVE_INFINITY;
  if (order === Number.POSITIVE_INFINITY) return 1 / noiseMultiplier;
  const up = Math.log(order / (2 * order - 1)) + (order - 1) / noiseMultiplier;
  const down = Math.log((order - 1) / (2 * order - 1)) - order / noiseMultiplier;
  const high = Math.max(up, down);
  return (high + Math.log(Math.exp(up - high) + Math.exp(down - high))) / (order - 1);
}

function epsilonAtOrder(order: number, divergence: number, delta: number): number {
  if (divergence === 0) return 0;
  if (delta === 0) return order === Number.POSITIVE_INFINITY ? divergence : Number.POSITIVE_INFINITY;
  if (delta * delta + Math.expm1(-divergence) > 0) return 0; // total variation alone is below δ
  if (order <= 1.01) return Number.POSITIVE_INFINITY;
  if (order === Number.POSITIVE_INFINITY) return divergence;
  return Math.max(0, divergence + Math.log1p(-1 / order) - Math.log(delta * order) / (order - 1));
}

function checkCurve(orders: readonly number[], rdp: readonly number[]): void {
  if (orders.length !== rdp.length) throw invalidArgument('rdp', `${orders.length} values, one per order`, rdp.length);
  for (const [i, order] of orders.entries()) {
    if (!(order >= 1)) throw invalidArgument('orders', 'numbers >= 1', order);
    if (!(rdp[i] >= 0)) throw invalidArgument('rdp', 'numbers >= 0', rdp[i]);
  }
}
