/**
 * What the engine hears of secure aggregation: who fell out, and over whom there is a sum at last. Phases, keys and masks
 * are the business of shared/secagg, carried out by server/secagg/aggregation.ts. Cases of `step`.
 */
import { withMember } from './cohort.js';
import { dismiss, drop } from './moves.js';
import { type EventOf, isAsked, type RunState, type Turn, workOn } from './state.js';

/** The aggregation went on without a client, which may be waiting for a frame that will not come. */
export function onSecureDropped(state: RunState, event: EventOf<'secure-dropped'>, turn: Turn): RunState {
  const { client, task, reason } = event;
  if (!isAsked(state, client, task)) return state;
  turn.out.push({ kind: 'withdraw', client, task, reason });
  return drop(state, client, event, turn);
}

/** There is a sum. Whoever is in it has answered, though it was dropped since; whoever is not, came too late. */
export function onSecured(state: RunState, event: EventOf<'secured'>, turn: Turn): RunState {
  const { task, survivors, pooled, errors, lossy, nextValueRange, atMs } = event;
  const work = workOn(state, task);
  if (work === undefined) return state;
  const isTraining = work.kind === 'training';
  if (isTraining && survivors.length < state.spec.minSurvivors) {
    return onUnsecured(state, { kind: 'unsecured', atMs, task, detail: `a sum over ${survivors.length} clients` });
  }
  const cohort = survivors.reduce((rest, client) => {
    if (!isTraining) return withMember(rest, client, { status: 'evaluated', metrics: {} });
    turn.out.push({ kind: 'emit', event: { kind: 'arrived', atMs, round: state.round, client } });
    return withMember(rest, client, { status: 'arrived', updateSha256: '', metrics: {} });
  }, work.cohort);
  return dismiss({ ...state, stage: { ...work, cohort, pooled, errors, lossy, nextValueRange } }, 'deadline', turn);
}

/** No sum: the attempt is void, an evaluation is none. */
export function onUnsecured(state: RunState, { task, detail: failure }: EventOf<'unsecured'>): RunState {
  const work = workOn(state, task);
  return work === undefined ? state : { ...state, stage: { ...work, failure } };
}
