/**
 * What a configuration says that cannot mean anything, or cannot come about: found in what was given, before a workload's
 * scale and the defaults fill the rest, because a default that changes nothing is nobody's mistake.
 */
import { FlError, invalidArgument } from '../../shared/errors.js';
import { checkFewestSurvivors } from '../../shared/run/secure-cohort.js';
import { type Config, SECURE_SETTINGS } from '../../shared/run/settings.js';
import type { Resolved } from './resolve.js';

/** Keys of a simulation, which a run of labs has nobody for, and what to do instead. */
const OF_SIMULATIONS = {
  workers: 'each lab trains with what its machine has',
  backend: 'each lab chooses with starling client run --backend',
  transport: 'labs are reached by gRPC',
  dropout: 'labs drop out by themselves',
  baselines: 'starling simulate sets a federation beside others',
  out: "a run lies in the coordinator's data directory",
  'evaluate-on': 'the coordinator has no code of a workload: starling evaluate RUN_DIR --data DIR',
  'secret-noise': 'the noise of labs is always secret',
} as const satisfies Partial<Record<keyof Config, string>>;

/** @throws FlError invalid-argument naming the key, and what it needs */
export function checkGiven(given: object, { spec }: Pick<Resolved, 'spec'>): void {
  const { secure } = spec.work;
  if (secure === undefined) {
    const key = Object.keys(SECURE_SETTINGS).find((name) => name in given);
    if (key !== undefined) throw invalidArgument(key, 'secure-aggregation to be on', 'off');
    return;
  }
  const { 'min-survivors': minSurvivors } = given as Partial<Config>;
  if (minSurvivors !== undefined && secure.groupSize === undefined) {
    checkFewestSurvivors(minSurvivors, Math.ceil(spec.engine.cohort * (1 + spec.engine.overSelection)), secure);
  }
}

/** The same for a simulation, whose clients are all there from the beginning. */
export function checkGivenSimulation(given: object, resolved: Resolved): void {
  checkGiven(given, resolved);
  const { spec, clients } = resolved;
  const { minClients } = spec.engine;
  if (minClients <= clients) return;
  throw invalidArgument('min-clients', `at most clients (${clients}), for no more will come`, minClients);
}

/** The same for a run of labs. */
export function checkGivenForLabs(given: object, resolved: Resolved, source: string): void {
  for (const [key, instead] of Object.entries(OF_SIMULATIONS)) {
    if (!(key in given)) continue;
    const what = `${source}: ${key}: expected no such key in a run of labs, got one; ${instead}`;
    throw new FlError('invalid-argument', what);
  }
  checkGiven(given, resolved);
}
