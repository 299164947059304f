/**
 * The round engine's side of secure aggregation. Phases, keys and masks are the business of `shared/secagg`, carried out
 * by `server/secagg/aggregation.ts`; the engine only hears who fell out and over whom there is a sum at last. The two are one
 * machine in two files: these handlers are cases of `step`.
 */
import type { DropReason } from '../../shared/errors.js';
import type { TaskId } from '../../shared/run/plan.js';
import {
  type Cohort,
  type Effect,
  type EventOf,
  isCurrent,
  memberOf,
  NOT_EVALUATED,
  namesOf,
  type RunState,
  withMember,
} from './state.js';
import { abort, closeRound, commit, dropMember } from './step.js';

export function onSecureDropped(state: RunState, event: EventOf<'secure-dropped'>, out: Effect[]): RunState {
  const { stage } = state;
  const { client, task, reason, detail, atMs } = event;
  if ((stage.kind !== 'training' && stage.kind !== 'evaluating') || !isCurrent(state, task)) return state;
  if (memberOf(stage.cohort, client)?.status !== 'invited') return state;
  out.push({ kind: 'withdraw', client, task, reason }); // it may be waiting for a frame that will not come
  return dropMember(state, stage, client, { reason, detail, atMs }, out);
}

/** There is a sum. Whoever is not in it came too late, whatever phase it got stuck in. */
export function onSecured(state: RunState, event: EventOf<'secured'>, out: Effect[]): RunState {
  const { stage } = state;
  const { survivors, pooled, task, atMs } = event;
  if (!isCurrent(state, task)) return state;
  if (stage.kind === 'evaluating') {
    const outside = namesOf(stage.cohort, 'invited').filter((client) => !survivors.includes(client));
    dropAll(stage.cohort, outside, { task, reason: 'deadline', atMs }, out);
    return closeRound(state, stage.draft, { pooled, perClient: {} }, atMs, out);
  }
  if (stage.kind !== 'training') return state;
  if (survivors.length < state.spec.minSurvivors) {
    return onUnsecured(state, { kind: 'unsecured', task, detail: `a sum over ${survivors.length} clients`, atMs }, out);
  }
  const arrived = survivors.reduce((cohort, client) => {
    out.push({ kind: 'emit', event: { kind: 'arrived', atMs, round: state.round, client } });
    return withMember(cohort, client, { status: 'arrived', updateSha256: '', metrics: {} });
  }, stage.cohort);
  const late = namesOf(arrived, 'invited');
  const cohort = dropAll(arrived, late, { task, reason: 'deadline', atMs }, out);
  return commit(state, stage, cohort, atMs, out, pooled);
}

/** No sum: the attempt is void. An evaluation that fails leaves the round unevaluated. */
export function onUnsecured(state: RunState, event: EventOf<'unsecured'>, out: Effect[]): RunState {
  const { stage } = state;
  const { task, detail, atMs } = event;
  if ((stage.kind !== 'training' && stage.kind !== 'evaluating') || !isCurrent(state, task)) return state;
  const waiting = namesOf(stage.cohort, 'invited');
  dropAll(stage.cohort, waiting, { task, reason: 'round-aborted', atMs }, out);
  if (stage.kind === 'evaluating') return closeRound(state, stage.draft, NOT_EVALUATED, atMs, out);
  return abort(state, stage.cohort, atMs, out, detail);
}

/** Goes on without these clients, and tells them: they may be waiting for a frame that will not come. */
function dropAll(
  cohort: Cohort,
  clients: readonly string[],
  { task, reason, atMs }: { task: TaskId; reason: DropReason; atMs: number },
  out: Effect[],
): Cohort {
  return clients.reduce((rest, client) => {
    out.push({ kind: 'withdraw', client, task, reason });
    out.push({ kind: 'emit', event: { kind: 'dropped', atMs, round: task.round, client, reason, detail: '' } });
    return withMember(rest, client, { status: 'dropped', reason, detail: '' });
  }, cohort);
}
