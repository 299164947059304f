/** What a run is and does, for people. */
import type { RunInfo } from '../../shared/service.js';
import { type RunState, willing, workOf } from '../round/state.js';
import type { Run } from './run.js';

/** A run in a row of `starling runs`. */
export function infoOf({ id: run, spec, state, createdAtMs, directory }: Run): RunInfo {
  const { status, reason, round } = state;
  const { workload, rounds } = spec.work;
  return { run, workload, status, reason, round, rounds, createdAtMs, directory, activity: activityOf(state) };
}

function activityOf(state: RunState): string {
  const { stage, spec } = state;
  if (stage.kind === 'waiting' && stage.notBeforeMs !== undefined) {
    return `attempt ${state.attempt} of round ${state.round} begins at ${new Date(stage.notBeforeMs).toISOString()}`;
  }
  if (stage.kind === 'waiting') return `waiting for clients: ${willing(state).length} of ${spec.minClients}`;
  const work = workOf(state);
  if (work === undefined) return stage.kind;
  const { names, counts } = work.cohort;
  return `${stage.kind}: ${names.length - counts.invited} of ${names.length} clients done`;
}
