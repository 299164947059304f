/** A run of real labs, from an operator's configuration: with the protection that labs ask for unless it says otherwise. */
import { codeSha256 } from '../../client/workloads/code.js';
import { loadWorkload } from '../../client/workloads/index.js';
import { DEFAULT_POLICY } from '../../shared/secagg/index.js';
import { checkGivenForLabs } from './given.js';
import { readInitialModel } from './initial-model.js';
import { checkConfig, type Resolved, resolve } from './resolve.js';

/**
 * Secure aggregation is on unless the operator says no, in the file, where the labs' policies can object; and no sum is of
 * fewer survivors than a lab without a policy of its own allows. The specification says which code its workload is.
 * @throws FlError invalid-argument naming the key; not-found: no such workload
 */
export async function resolveForLabs(given: object, source: string): Promise<Resolved> {
  const config = checkConfig({ 'secure-aggregation': true, ...given }, source);
  const leastSurvivors = config['secure-aggregation'] ? DEFAULT_POLICY.survivorsMin : 1;
  const initialModel = await readInitialModel(config);
  const resolved = resolve(config, await loadWorkload(config.workload), { leastSurvivors, initialModel });
  checkGivenForLabs(given, resolved, source);
  const { work, engine } = resolved.spec;
  const workloadSha256 = await codeSha256(config.workload);
  return { ...resolved, spec: { work: { ...work, workloadSha256 }, engine } };
}
