/** The data of a simulation before it begins: they are here, and can be divided as the run says. */
import { openSite } from '../../client/training/task.js';
import type { Workload } from '../../client/workload.js';
import type { Resolved } from './resolve.js';

/**
 * Loads the data and divides them once: what goes wrong would go wrong at every client, in every attempt.
 * @throws FlError as the workload's `load` · invalid-argument: a partition that these data do not have
 */
export async function checkShares(workload: Workload, { spec: { work }, clients }: Resolved): Promise<void> {
  const { shard } = await openSite(workload, work);
  shard(work.partition, { index: 0, count: clients });
}
