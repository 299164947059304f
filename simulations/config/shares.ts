/** The data of a simulation before it begins: they are here, and can be divided as the run says. */
import { openSite } from '../../client/training/task.js';
import type { Shard, Workload } from '../../client/workload.js';
import { plural } from '../../server/report/format.js';
import { FlError } from '../../shared/errors.js';
import type { Resolved } from './resolve.js';

/**
 * Loads the data and divides them once: what goes wrong would go wrong at every client, in every attempt.
 * @returns what holding examples out leaves nothing of, a line each
 * @throws FlError as the workload's `load` · invalid-argument: a partition that these data do not have, or so much held out
 *   that too few clients have anything to train with
 */
export async function checkShares(
  workload: Workload,
  { spec: { work, engine }, clients }: Resolved,
): Promise<string[]> {
  const { shard } = await openSite(workload, work);
  const { partition, validationFraction: fraction } = work;
  if (fraction === undefined) {
    shard(partition, { index: 0, count: clients });
    return [];
  }
  const shares = Array.from({ length: clients }, (_, index) => shard(partition, { index, count: clients }, fraction));
  const idle = shares.filter(({ train }) => train.length === 0);
  const training = clients - idle.length;
  const least = Math.max(engine.minSurvivors, work.secure === undefined ? 1 : LEAST_SECURE);
  if (training < least) {
    const expected = `a fraction that leaves ${plural(least, 'client')} something to train with (min-survivors ${engine.minSurvivors})`;
    const got = `${fraction}, which leaves ${training} of ${plural(clients, 'client')} any: lower it, or take fewer clients`;
    throw new FlError('invalid-argument', `validation-fraction: expected ${expected}, got ${got}`);
  }
  const without = shares.filter(({ validation = [] }) => validation.length === 0).length;
  return [
    ...(idle.length === 0
      ? []
      : [
          `WARNING  validation-fraction ${fraction} leaves ${idle.length} of ${plural(clients, 'client')} no training examples ` +
            `(${sizesOf(idle)}): they evaluate, and train nothing; ${training} train`,
        ]),
    ...(without === 0
      ? []
      : [`note: ${without} of ${plural(clients, 'client')} hold out nothing at validation-fraction ${fraction}`]),
  ];
}

/** Nothing is summed secretly over fewer. */
const LEAST_SECURE = 3;

/** Of clients whose examples are all held out. */
function sizesOf(idle: readonly Shard[]): string {
  const sizes = idle.map(({ validation = [] }) => validation.length);
  const [least, most] = [Math.min(...sizes), Math.max(...sizes)];
  return least === most ? `they have ${plural(least, 'example')} each` : `they have ${least} to ${most} examples each`;
}
