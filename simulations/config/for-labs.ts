/** A run of real labs, from an operator's configuration: with the protection that labs ask for unless it says otherwise. */
import { codeSha256 } from '../../client/workloads/code.js';
import { loadWorkload } from '../../client/workloads/index.js';
import { DEFAULT_POLICY } from '../../shared/secagg/index.js';
import { byCodeWords, figuresOfWorkload, twiceError } from './figures.js';
import { checkGivenForLabs } from './given.js';
import { readInitialModel } from './initial-model.js';
import { checkConfig, type Resolved, resolve } from './resolve.js';

/** A run that can be started, and what its operator is told before it is. */
export interface ResolvedForLabs extends Resolved {
  readonly notes: readonly string[];
}

/**
 * Secure aggregation is on unless the operator says no, in the file, where the labs' policies can object; and no sum is of
 * fewer survivors than a lab without a policy of its own allows. The specification says which code its workload is.
 * @throws FlError invalid-argument naming the key, or a figure that has the name of a raw metric; not-found: no such workload
 */
export async function resolveForLabs(given: object, source: string): Promise<ResolvedForLabs> {
  const config = checkConfig({ 'secure-aggregation': true, ...given }, source);
  const leastSurvivors = config['secure-aggregation'] ? DEFAULT_POLICY.survivorsMin : 1;
  const initialModel = await readInitialModel(config);
  const workload = await loadWorkload(config.workload);
  const resolved = resolve(config, workload, { leastSurvivors, initialModel });
  checkGivenForLabs(given, resolved, source);
  const figures = figuresOfWorkload(workload, resolved.spec.work.hyper);
  if (figures.twice.length > 0) throw twiceError(workload.manifest.name, figures.twice[0]);
  const { work, engine } = resolved.spec;
  const workloadSha256 = await codeSha256(config.workload);
  return { ...resolved, spec: { work: { ...work, workloadSha256 }, engine }, notes: byCodeWords(figures) };
}
