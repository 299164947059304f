/**
 * The shares that the clients of a run have in one data set: both splits divided by the same scheme.
 */
import { invalidArgument } from '../../shared/errors.js';
import type { Examples } from '../../shared/partition.js';
import type { Rng } from '../../shared/rng.js';
import type { Shard } from '../workload.js';

export interface ShardsInput {
  /** iid, dirichlet:A, shards:K or natural. */
  readonly partition: string;
  readonly clients: number;
  readonly train: Examples;
  readonly test: Examples;
  readonly rng: Rng;
}

/** One shard for each client; every example of a split is in exactly one. */
export function shardsOf({ partition, clients, train, test, rng }: ShardsInput): readonly Shard[] {
  if (partition !== 'iid') throw invalidArgument('partition', 'iid', partition);
  const divide = ({ count }: Examples, source: Rng): Int32Array[] => {
    const order = source.shuffle(Int32Array.from({ length: count }, (_, i) => i));
    return Array.from({ length: clients }, (_, client) =>
      order.slice(Math.floor((client * count) / clients), Math.floor(((client + 1) * count) / clients)).sort(),
    );
  };
  const trains = divide(train, rng.split('train'));
  const tests = divide(test, rng.split('test'));
  return trains.map((share, index) => ({ train: share, test: tests[index], index, count: clients }));
}
