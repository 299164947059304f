/** Which test examples a row was judged on, so that unlike ones are never set side by side. */
import { createHash } from 'node:crypto';
import type { Examples } from '../client/data/partition.js';
import type { Population } from '../shared/run/report.js';

/**
 * By number, labels and groups, in order: other examples of equal labels and groups are not told apart, which only a
 * workload could make that keeps these and changes what they belong to.
 */
export function populationOf({ count, labels, groups }: Examples): Population {
  const hash = createHash('sha256');
  hash.update(JSON.stringify([count, Array.from(labels ?? []), Array.from<string | number>(groups ?? [])]));
  return { examples: count, sha256: hash.digest('hex') };
}
