/**
 * The round engine: `step(state, event) -> [state, effects]`, pure, one event at a time, never waiting or polling. An
 * event changes facts (`handle`): who is here, what became of a member, that time is up. What follows from facts is
 * `settle`'s:
 *
 *   waiting --enough clients--> drawn --> training --full cohort | nobody asked--> committing --stored--> made
 *      ^                                     |                                                             |
 *      |<------------- aborted --------------+                         committed <-----its evaluation------+
 *      |                                                                   |                               |
 *      +<-- next round, or ended -- closed <--nobody asked-- evaluating <--+--enough clients, or time      |
 *                                      ^                                                                   |
 *                                      +<------------------------- no evaluation --------------------------+
 *
 * A client that goes away keeps its place until the deadline: coming back, it gets the same plan and brings the update
 * that it kept. What one client does wrong drops that client, with a reason; a round fails only below minSurvivors.
 * With secure aggregation training ends when there is a sum over the survivors, not when updates have come.
 */
import { checkMetrics } from './check-metrics.js';
import { inserted, withMember } from './cohort.js';
import { closeRound, leaveRound } from './evaluation.js';
import { dropReceipt, fateOf } from './fate.js';
import { dismiss, drop, end, planFor, resumed, timerId } from './moves.js';
import { onSecureDropped, onSecured, onUnsecured } from './secagg-events.js';
import { sayIfWaiting, settle } from './settle.js';
import {
  type Effect,
  type EventOf,
  isAsked,
  type RoundEvent,
  type RunState,
  type Turn,
  workOf,
  workOn,
} from './state.js';
import { voidArrivals } from './training.js';

/** The whole engine. Events that no longer matter (late timers, stale answers) change nothing. */
export function step(state: RunState, event: RoundEvent): [RunState, Effect[]] {
  const turn: Turn = { atMs: event.atMs, out: [] };
  const next = settle(handle(state, event, turn), turn);
  if (next !== state && event.kind !== 'offline') sayIfWaiting(next, turn);
  return [next, turn.out];
}

function handle(state: RunState, event: RoundEvent, turn: Turn): RunState {
  switch (event.kind) {
    case 'present':
      return { ...state, online: [...event.clients].sort() };
    case 'online':
      if (isAsked(state, event.client)) turn.out.push(planFor(state, event.client));
      return { ...state, online: inserted(state.online, event.client) };
    case 'offline':
      return { ...state, online: state.online.filter((name) => name !== event.client) };
    case 'arrived':
    case 'invalid':
      return onUpdate(state, event, turn);
    case 'declined':
      return onDeclined(state, event, turn);
    case 'evaluated':
      return onEvaluated(state, event, turn);
    case 'secure-dropped':
      return onSecureDropped(state, event, turn);
    case 'secured':
      return onSecured(state, event, turn);
    case 'unsecured':
      return onUnsecured(state, event);
    case 'stored':
      return onStored(state, event);
    case 'timer':
      return event.id === timerId(state) ? onTimer(state, turn) : state;
    case 'stop':
      return onStop(state, event, turn);
    case 'resume':
      return onResume(state, turn);
  }
}

/** An update that is wanted is added, or is the end of its sender's part in the round. */
function onUpdate(state: RunState, event: EventOf<'arrived' | 'invalid'>, { atMs, out }: Turn): RunState {
  const { client, updateSha256 } = event;
  const answer = { kind: 'answer', client, updateSha256 } as const;
  const fate = fateOf(state, undefined, event);
  if (fate.kind === 'accepted') {
    out.push({ ...answer, outcome: 'again', detail: '' });
    return state;
  }
  if (fate.kind === 'rejected') {
    out.push({ ...answer, outcome: 'rejected', detail: fate.detail }, { kind: 'receipt', receipt: fate.receipt });
    return state;
  }
  const work = workOf(state)!;
  const refuse = (detail: string): RunState => {
    const reason = 'invalid-update';
    out.push({ ...answer, outcome: 'rejected', detail });
    out.push({ kind: 'receipt', receipt: dropReceipt(state.run, event, reason) });
    return drop(state, client, { reason, detail }, { atMs, out });
  };
  if (event.kind === 'invalid') return refuse(event.detail);
  const { metrics } = event;
  const fault = checkMetrics(metrics, work.cohort);
  if (fault !== undefined) return refuse(fault);
  out.push({ ...answer, outcome: 'add', detail: '' });
  out.push({ kind: 'emit', event: { kind: 'arrived', atMs, round: state.round, client } });
  const cohort = withMember(work.cohort, client, { status: 'arrived', updateSha256, metrics });
  return { ...state, stage: { ...work, cohort } };
}

function onDeclined(state: RunState, event: EventOf<'declined'>, turn: Turn): RunState {
  const { client, task, reason } = event;
  if (!isAsked(state, client, task)) return state;
  const refused = reason === 'refused' ? inserted(state.refused, client) : state.refused;
  return drop({ ...state, refused }, client, event, turn);
}

function onEvaluated(state: RunState, { client, task, metrics }: EventOf<'evaluated'>, turn: Turn): RunState {
  const work = workOn(state, task);
  if (work?.kind !== 'evaluating' || !isAsked(state, client)) return state;
  const detail = checkMetrics(metrics, work.cohort);
  if (detail !== undefined) return drop(state, client, { reason: 'invalid-update', detail }, turn);
  return { ...state, stage: { ...work, cohort: withMember(work.cohort, client, { status: 'evaluated', metrics }) } };
}

function onStored(state: RunState, stored: EventOf<'stored'>): RunState {
  const { stage, round, attempt } = state;
  const isIts = stage.kind === 'committing' && stored.round === round && stored.attempt === attempt;
  return isIts ? { ...state, stage: { ...stage, stored } } : state;
}

/** Time is up for what is waited for now. */
function onTimer(state: RunState, turn: Turn): RunState {
  const { stage } = state;
  if (stage.kind === 'committed') return { ...state, stage: { ...stage, isDue: true } };
  return workOf(state) === undefined ? state : dismiss(state, 'deadline', turn);
}

// ---- the operator: the run ends, or goes on after its end, whatever the facts -------------------------------------

function onStop(state: RunState, { status, reason }: EventOf<'stop'>, turn: Turn): RunState {
  const { stage } = state;
  if (stage.kind === 'ended') return state;
  if (workOf(state) !== undefined) dismiss(state, 'round-aborted', turn);
  if (stage.kind === 'training' || stage.kind === 'committing') voidArrivals(state, stage.cohort, turn);
  if (stage.kind !== 'committed' && stage.kind !== 'evaluating') return end(state, status, reason, turn);
  const next = leaveRound(closeRound(state, stage.draft, turn), turn); // the round counts, unevaluated
  return next.stage.kind === 'ended' ? next : end(next, status, reason, turn);
}

function onResume(state: RunState, { atMs, out }: Turn): RunState {
  if (state.stage.kind !== 'ended' || state.status === 'completed') return state;
  out.push({ kind: 'record', record: { kind: 'resumed', atMs } });
  return resumed(state);
}
