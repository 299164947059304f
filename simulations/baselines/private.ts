/**
 * Federated, private: the run again with differential privacy and secure aggregation, by its own coordinator and into a run
 * directory of its own, `private/` in that of the run. It says what protection costs.
 */
import type { Workload } from '../../client/workload.js';
import { FlError } from '../../shared/errors.js';
import type { RunSpec } from '../../shared/round.js';
import { type Config, checkConfig, resolve } from '../config.js';
import type { Baseline } from './input.js';

/** A tight bound: noise grows with it, and the few clients of a small federation have no crowd that averages noise out. */
const DEFAULT = { privacy: 'distributed', 'clipping-bound': 0.1 } as const;

export const privateFederation: Baseline = async ({ runPrivate, onProgress }) => {
  if (runPrivate === undefined) return {};
  const { status, reason, final, rounds, privacy } = await runPrivate();
  onProgress?.('federated, private');
  const work = { rounds: rounds.length };
  if (status === 'completed' || status === 'budget-exhausted') return { private: { ...final, work, privacy } };
  return { private: { metrics: {}, perClient: {}, work, privacy, failures: { private: reason ?? status } } };
};

/** The private run of a configuration that asks for baselines, or why there is none. */
export function privateSpecOf(
  config: Config,
  workload: Workload,
): { readonly spec: RunSpec } | { readonly why: string } {
  const { name, maskedMetrics, scales } = workload.manifest;
  if (config.privacy !== 'none') return { why: 'the run itself is' };
  if (maskedMetrics === undefined) return { why: `${name} does not declare maskedMetrics` };
  const how = scales[config.scale].private ?? DEFAULT;
  try {
    const hidden = { ...config, ...how, 'secure-aggregation': true, baselines: 'none' };
    return { spec: resolve(checkConfig(hidden, `private row of ${name}`), workload).spec };
  } catch (thrown) {
    const { code, message } = FlError.from(thrown);
    if (code !== 'invalid-argument') throw thrown;
    return { why: message };
  }
}
