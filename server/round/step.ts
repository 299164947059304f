/**
 * The round engine: `step(state, event) -> [state, effects]`, pure, one event at a time, never waiting or polling. An
 * event changes facts (`handle`): who is here, what became of a member, that time is up. What follows from facts is
 * `settle`'s:
 *
 *   waiting --enough clients--> drawn --> training --full cohort, or nobody asked--> committing --stored--> made
 *      ^                                     |                                                               |
 *      |<------------- aborted --------------+                                     +------- evaluation due --+
 *      |                                                                           v                         |
 *      |                                            evaluating <--enough here-- committed                    |
 *      |                                                 | nobody asked            | nobody comes            | not due
 *      +<-- next round, or ended -- closed <-------------+-------------------------+-------------------------+
 *
 * A client that goes away keeps its place while others work, and for a while after (waiting.ts), at most until the deadline:
 * coming back, it gets the same plan and brings the update that it kept. What one client does wrong drops that client, with a reason; a round fails only below minSurvivors.
 * With secure aggregation training ends when there is a sum over the survivors, not when updates have come.
 */
import { NO_TRAINING_EXAMPLES } from '../../shared/run/no-examples.js';
import { inserted } from './cohort.js';
import {
  awaitEvaluators,
  closeEvaluation,
  closeRound,
  leaveRound,
  onEvaluated,
  startEvaluation,
} from './evaluation.js';
import { dismiss, drop, end, planFor, resumed, timerId } from './moves.js';
import { onSecureDropped, onSecured, onUnsecured } from './secagg-events.js';
import { forgottenWords, onShown } from './shown.js';
import {
  type Effect,
  type EventOf,
  isAsked,
  type RoundEvent,
  type RunState,
  type Stage,
  type StageOf,
  type Turn,
  workOf,
} from './state.js';
import { closeTraining, commit, drawCohort, onStored, onUpdate, startTraining, voidArrivals } from './training.js';
import { isAbsenceOver, sayWhoIsWaitedFor, waitForAbsent } from './waiting.js';

/** The whole engine. Events that no longer matter (late timers, stale answers) change nothing. */
export function step(state: RunState, event: RoundEvent): [RunState, Effect[]] {
  const turn: Turn = { atMs: event.atMs, out: [] };
  const next = waitForAbsent(settle(handle(state, event, turn), turn), turn);
  sayWhoIsWaitedFor(state, next, event, turn);
  return [next, turn.out];
}

type Handlers = {
  readonly [Kind in RoundEvent['kind']]: (state: RunState, event: EventOf<Kind>, turn: Turn) => RunState;
};

const HANDLERS: Handlers = {
  present: (state, { clients }) => ({ ...state, online: [...clients].sort() }),
  online: onOnline,
  shown: onShownEvent,
  offline: onOffline,
  arrived: onUpdate,
  invalid: onUpdate,
  declined: onDeclined,
  evaluated: onEvaluated,
  'secure-dropped': onSecureDropped,
  secured: onSecured,
  unsecured: onUnsecured,
  stored: onStored,
  timer: onTimer,
  stop: onStop,
  resume: onResume,
  pause: (state, { reason }) => ({ ...state, paused: reason === '' ? undefined : reason }),
};

/** What an event says, and nothing that follows from it. */
function handle(state: RunState, event: RoundEvent, turn: Turn): RunState {
  const on = HANDLERS[event.kind] as (state: RunState, event: RoundEvent, turn: Turn) => RunState;
  return on(state, event, turn);
}

type Moves = {
  readonly [Kind in Stage['kind']]: (state: RunState, stage: StageOf<Kind>, turn: Turn) => RunState;
};

/** One move from each stage; the same state when it is not time yet. */
const MOVES: Moves = {
  waiting: drawCohort,
  drawn: startTraining,
  training: closeTraining,
  committing: commit,
  made: awaitEvaluators,
  committed: startEvaluation,
  evaluating: closeEvaluation,
  closed: leaveRound,
  ended: (state) => state,
};

/** The state from which nothing more follows: the same one when nothing does. */
export function settle(state: RunState, turn: Turn): RunState {
  const move = MOVES[state.stage.kind] as (state: RunState, stage: Stage, turn: Turn) => RunState;
  const next = move(state, state.stage, turn);
  return next === state ? state : settle(next, turn);
}

/** Whoever comes back to a task that is open gets its plan again. */
function onOnline(state: RunState, { client, policy }: EventOf<'online'>, { out }: Turn): RunState {
  if (isAsked(state, client)) out.push(planFor(state, client));
  const { [client]: _, ...away } = state.away;
  const { [client]: refusal, ...others } = state.refused;
  const refused = refusal?.policy === policy ? state.refused : others; // another policy: it is asked again
  return { ...state, online: inserted(state.online, client), away, refused };
}

function onOffline(state: RunState, { client, atMs }: EventOf<'offline'>): RunState {
  const online = state.online.filter((name) => name !== client);
  return { ...state, online, away: { ...state.away, [client]: atMs } };
}

function onDeclined(state: RunState, event: EventOf<'declined'>, turn: Turn): RunState {
  const { client, task, reason, detail, policy } = event;
  if (!isAsked(state, client, task)) return state;
  const said = { detail, ...(policy !== undefined && { policy }) };
  const refused = reason === 'refused' ? { ...state.refused, [client]: said } : state.refused;
  const empty = detail === NO_TRAINING_EXAMPLES ? inserted(state.empty, client) : state.empty;
  return drop({ ...state, refused, empty }, client, event, turn);
}

/** Time is up, if it is for what is waited for now. */
function onTimer(state: RunState, event: EventOf<'timer'>, turn: Turn): RunState {
  const { stage } = state;
  if (event.id !== timerId(state) && !isAbsenceOver(state, event)) return state;
  if (stage.kind === 'committed') return { ...state, stage: { ...stage, isDue: true } };
  if (stage.kind === 'waiting')
    return stage.notBeforeMs === undefined ? state : { ...state, stage: { kind: 'waiting' } };
  return workOf(state) === undefined ? state : dismiss(state, 'deadline', turn);
}

/** A run that has forgotten a round ends; one that had ended remembers why it must not be resumed. */
function onShownEvent(state: RunState, event: EventOf<'shown'>, turn: Turn): RunState {
  const next = onShown(state, event);
  const { forgotten } = next;
  if (forgotten === undefined || next === state) return next;
  return onStop(next, { ...event, kind: 'stop', status: 'failed', reason: forgottenWords(state, forgotten) }, turn);
}

// ---- the operator: the run ends, or goes on after its end, whatever the facts -------------------------------------

function onStop(state: RunState, { status, reason }: EventOf<'stop'>, turn: Turn): RunState {
  const { stage } = state;
  if (stage.kind === 'ended') return state;
  if (workOf(state) !== undefined) dismiss(state, 'round-aborted', turn);
  if (stage.kind === 'training' || stage.kind === 'committing') voidArrivals(state, stage.cohort, turn);
  if (stage.kind !== 'committed' && stage.kind !== 'evaluating') return end(state, status, reason, turn);
  const next = leaveRound(closeRound(state, stage.draft, turn), stage, turn); // the round counts, unevaluated
  return next.stage.kind === 'ended' ? next : end(next, status, reason, turn);
}

function onResume(state: RunState, { atMs }: EventOf<'resume'>, { out }: Turn): RunState {
  if (state.stage.kind !== 'ended' || state.status === 'completed' || state.forgotten !== undefined) return state;
  out.push({ kind: 'record', record: { kind: 'resumed', atMs } });
  return resumed(state);
}
