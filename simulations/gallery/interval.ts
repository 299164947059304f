/** How far a mean over seeds may be off: Student's t, since there are few of them. */
import { inverseIncompleteBeta } from '../../shared/privacy/audit/binomial.js';

/** Of a mean, 95 %. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

const OUTSIDE = 0.05;

/** Undefined for fewer than two values: one run says nothing of how runs differ. */
export function meanInterval(values: readonly number[]): Interval | undefined {
  const count = values.length;
  if (count < 2) return undefined;
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / (count - 1);
  const half = tQuantile(count - 1) * Math.sqrt(variance / count);
  return { low: mean - half, high: mean + half };
}

/** Beyond which, on both sides together, a twentieth of Student's t lies: P[|t| > q] = I_x(freedom / 2, 1/2), x = freedom / (freedom + q²). */
function tQuantile(freedom: number): number {
  const x = inverseIncompleteBeta(freedom / 2, 1 / 2, OUTSIDE);
  return Math.sqrt((freedom * (1 - x)) / x);
}
