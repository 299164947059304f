/**
 * How many contributions to a sum were zeroed. Under secure aggregation a client whose training or evaluation gives no
 * finite numbers sends zeros of its weight instead of a word about it (docs/secure-aggregation.md), so that nobody learns
 * who did; how many did travels inside the masked vector, as one metric more, so that a run of zeros is not mistaken for
 * training. Under differential privacy the exact number would be data without noise: it is withheld, and not declared.
 */
import type { SumMetrics } from './metrics.js';
import { EVALUATION_CAP } from './secagg-params.js';
import type { MaskedMetric, WorkSpec } from './spec.js';

/** No workload's own name: those have no slash. A run that was begun by an older version does not declare it. */
export const ZEROED = 'starling/zeroed';

/** As a specification declares it. Its bound is 1 whatever the cap, so that the grid of fixed point hits 0 and 1. */
export function zeroedMetrics(weightCap: number): { readonly train: MaskedMetric; readonly test: MaskedMetric } {
  const bound = (cap: number): MaskedMetric => ({ name: ZEROED, size: 1, max: 1 / cap });
  return { train: bound(weightCap), test: bound(EVALUATION_CAP) };
}

/** A client's part of it. Nothing under differential privacy, whatever the plan declares. */
export function zeroedPart({ secure, privacy }: Pick<WorkSpec, 'secure' | 'privacy'>, isZeroed: boolean): SumMetrics {
  return secure === undefined || privacy !== undefined ? {} : { [ZEROED]: { sum: [isZeroed ? 1 : 0], count: 1 } };
}

/** The number of zeroed contributions in pooled sums, undefined where it was not declared; and the metrics without it. */
export function takeZeroed(pooled: SumMetrics): { readonly zeroed: number | undefined; readonly metrics: SumMetrics } {
  const { [ZEROED]: held, ...metrics } = pooled;
  return { zeroed: held && Math.round(held.sum[0]), metrics };
}
