/**
 * Whether what a client says of its own examples can be pooled. Metrics decide nothing, but they are summed, and a sum
 * that fails would take the coordinator with it: what does not fit is that client's fault.
 */
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { Cohort } from './cohort.js';

/** What is wrong with `metrics` by themselves or beside those that the cohort has sent; undefined: nothing. */
export function checkMetrics(metrics: SumMetrics, cohort: Cohort): string | undefined {
  for (const [name, { sum, count }] of Object.entries(metrics)) {
    if (name in Object.prototype) return `metrics: expected a name, got "${name}"`;
    if (!(count >= 0 && Number.isFinite(count)))
      return `metrics.${name}.count: expected a finite number >= 0, got ${count}`;
    const bad = sum.find((value) => !Number.isFinite(value));
    if (bad !== undefined) return `metrics.${name}.sum: expected finite numbers, got ${bad}`;
    const expected = lengthOf(name, cohort);
    if (expected !== undefined && expected !== sum.length) {
      return `metrics.${name}.sum: expected ${expected} numbers like the other clients, got ${sum.length}`;
    }
  }
  return undefined;
}

function lengthOf(name: string, { members }: Cohort): number | undefined {
  for (const member of members) {
    if ('metrics' in member && Object.hasOwn(member.metrics, name)) return member.metrics[name].sum.length;
  }
  return undefined;
}
