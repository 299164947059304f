/**
 * Which workload a plan means. A plan comes from the coordinator, so its word is only looked up: among the files that
 * this site itself named, then among the built-in workloads. It is never taken as a path.
 */
import { FlError } from '../../shared/errors.js';
import type { Workload } from '../workload.js';
import { isWorkloadPath, loadWorkload } from './index.js';

/** @param modules name in a plan -> file. @throws FlError permission-denied: a path that the site did not name · not-found */
export async function loadPlannedWorkload(name: string, modules: Readonly<Record<string, string>>): Promise<Workload> {
  if (Object.hasOwn(modules, name)) return loadWorkload(modules[name]);
  if (!isWorkloadPath(name)) return loadWorkload(name);
  throw new FlError('permission-denied', `workload ${JSON.stringify(name)} is a file that this site has not allowed`);
}
