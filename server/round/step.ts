/**
 * The round engine: `step(state, event) -> [state, effects]`, pure, one event at a time, never waiting or polling.
 *
 *   waiting --enough clients--> training --full cohort | deadline--> committing --stored--> committed
 *      ^                           |                                                            |
 *      |<-------- aborted ---------+                          evaluating <--enough clients------+
 *      |                                                          |                             |
 *      +<-------------------- next round, or ended <--------------+<------ no evaluation -------+
 *
 * A client that goes away keeps its place until the deadline: coming back, it gets the same plan and brings the update
 * that it kept. What one client does wrong drops that client, with a reason; a round fails only below minSurvivors.
 * With secure aggregation `training` ends when there is a sum over the survivors, not when updates have come
 * (secagg-events.ts); evaluation is in evaluation.ts. The three files are one machine.
 */
import type { DropReason } from '../../shared/errors.js';
import { rngFromSeed } from '../../shared/rng.js';
import { meansOf, type SumMetrics, sumMetrics } from '../../shared/run/metrics.js';
import type { TaskKind } from '../../shared/run/plan.js';
import { faultOfMetrics } from './check-metrics.js';
import { end, resumed } from './end.js';
import { evaluationMoved, onEvaluated, startEvaluation } from './evaluation.js';
import { charge, epsilonOf, overBudget, settle } from './privacy.js';
import { turnDown } from './rejection.js';
import { sampleUniform } from './sampling.js';
import { onSecureDropped, onSecured, onUnsecured } from './secagg-events.js';
import {
  arrivals,
  type Cohort,
  currentMember,
  type Draft,
  droppedOf,
  dropReceipt,
  type Effect,
  type Evaluation,
  type EventOf,
  eligible,
  inserted,
  isCurrent,
  memberOf,
  metricsByClient,
  NOT_EVALUATED,
  namesOf,
  newCohort,
  openingOf,
  planFor,
  positionOf,
  type RoundEvent,
  type RunState,
  type Stage,
  type StageOf,
  timerId,
  waitMs,
  willing,
  withMember,
} from './state.js';

/** The whole engine. Events that no longer matter (late timers, stale answers) change nothing. */
export function step(state: RunState, event: RoundEvent): [RunState, Effect[]] {
  const effects: Effect[] = [];
  return [handle(state, event, effects), effects];
}

function handle(state: RunState, event: RoundEvent, out: Effect[]): RunState {
  switch (event.kind) {
    case 'present':
      return proceed({ ...state, online: [...event.clients].sort() }, event.atMs, out);
    case 'online':
      return onOnline({ ...state, online: inserted(state.online, event.client) }, event, out);
    case 'offline':
      return { ...state, online: state.online.filter((name) => name !== event.client) };
    case 'arrived':
      return onArrived(state, event, out);
    case 'invalid':
      return onInvalid(state, event, out);
    case 'declined':
      return onDeclined(state, event, out);
    case 'evaluated':
      return onEvaluated(state, event, out);
    case 'secure-dropped':
      return onSecureDropped(state, event, out);
    case 'secured':
      return onSecured(state, event, out);
    case 'unsecured':
      return onUnsecured(state, event, out);
    case 'stored':
      return onStored(state, event, out);
    case 'timer':
      return onTimer(state, event, out);
    case 'stop':
      return onStop(state, event, out);
    case 'resume':
      return onResume(state, event.atMs, out);
  }
}

// ---- clients come ----------------------------------------------------------------------------------------------

function onOnline(state: RunState, event: EventOf<'online'>, out: Effect[]): RunState {
  const { stage } = state;
  if (stage.kind === 'training' || stage.kind === 'evaluating') {
    if (memberOf(stage.cohort, event.client)?.status === 'invited') out.push(planFor(state, event.client));
    return state;
  }
  return proceed(state, event.atMs, out);
}

/** Starts whatever was waiting for clients, if there are enough now. */
function proceed(state: RunState, atMs: number, out: Effect[]): RunState {
  if (state.stage.kind === 'committed') {
    return state.online.length >= state.spec.minClients ? startEvaluation(state, state.stage, atMs, out) : state;
  }
  if (state.stage.kind !== 'waiting') return state;
  const { round, spec } = state;
  const candidates = eligible(state);
  const online = willing(state).length;
  if (online >= spec.minClients && candidates.length >= spec.minSurvivors) {
    return startTraining(state, candidates, atMs, out);
  }
  out.push({ kind: 'emit', event: { kind: 'waiting', atMs, round, online, need: spec.minClients } });
  return state;
}

// ---- training --------------------------------------------------------------------------------------------------

function startTraining(state: RunState, candidates: readonly string[], atMs: number, out: Effect[]): RunState {
  const { round, attempt, spec } = state;
  const rng = rngFromSeed(spec.seed).split(`cohort/${round}/${attempt}`);
  const invited = sampleUniform(candidates, Math.ceil(spec.cohort * (1 + spec.overSelection)), rng);
  const spending = state.spending && charge(state.spending, round, invited);
  const refusal = spending && overBudget(state.spending, spending, round);
  if (refusal !== undefined) return end(state, 'budget-exhausted', refusal, atMs, out);
  const deadlineAtMs = atMs + waitMs(spec);
  const cohort = newCohort(invited);
  out.push({ kind: 'record', record: { kind: 'round-started', atMs, round, attempt, cohort: cohort.names } });
  return openTraining({ ...state, ...(spending && { spending }) }, cohort, { startedAtMs: atMs, deadlineAtMs }, out);
}

/** Plans for everyone who is here; also the way back into a round that a crash interrupted. */
export function openTraining(
  state: RunState,
  cohort: Cohort,
  { startedAtMs, deadlineAtMs }: { startedAtMs: number; deadlineAtMs: number },
  out: Effect[],
): RunState {
  const { round, attempt } = state;
  const next: RunState = { ...state, stage: { kind: 'training', cohort, startedAtMs, deadlineAtMs } };
  out.push(openingOf(next, 'train', cohort));
  out.push({ kind: 'timer', id: timerId(next), atMs: deadlineAtMs });
  out.push({
    kind: 'emit',
    event: { kind: 'round-started', atMs: startedAtMs, round, attempt, cohort: cohort.names },
  });
  for (const client of cohort.names) if (positionOf(state.online, client) >= 0) out.push(planFor(next, client));
  return next;
}

function onArrived(state: RunState, event: EventOf<'arrived'>, out: Effect[]): RunState {
  const { client, updateSha256, atMs } = event;
  const { stage } = state;
  const member = currentMember(state, event);
  if (member?.status === 'arrived' && member.updateSha256 === updateSha256) {
    out.push({ kind: 'answer', client, updateSha256, outcome: 'again', detail: '' });
    return state;
  }
  if (stage.kind !== 'training' || member?.status !== 'invited') {
    turnDown(state, event, out, member);
    return state;
  }
  const fault = faultOfMetrics(event.metrics, stage.cohort);
  if (fault !== undefined) return onInvalid(state, { ...event, kind: 'invalid', detail: fault }, out);
  out.push({ kind: 'answer', client, updateSha256, outcome: 'add', detail: '' });
  out.push({ kind: 'emit', event: { kind: 'arrived', atMs, round: state.round, client } });
  const cohort = withMember(stage.cohort, client, { status: 'arrived', updateSha256, metrics: event.metrics });
  return trainingMoved(state, { ...stage, cohort }, atMs, out);
}

function onInvalid(state: RunState, event: EventOf<'invalid'>, out: Effect[]): RunState {
  const { client, updateSha256, atMs, detail } = event;
  const { stage } = state;
  const member = currentMember(state, event);
  if (stage.kind !== 'training' || member?.status !== 'invited') {
    turnDown(state, event, out, member);
    return state;
  }
  const reason = 'invalid-update';
  out.push({ kind: 'answer', client, updateSha256, outcome: 'rejected', detail });
  out.push(dropReceipt(state, event, reason));
  return dropMember(state, stage, client, { reason, detail, atMs }, out);
}

function onDeclined(state: RunState, event: EventOf<'declined'>, out: Effect[]): RunState {
  const { client, atMs, detail, task } = event;
  const { stage } = state;
  if (stage.kind !== 'training' && stage.kind !== 'evaluating') return state;
  if (!isCurrent(state, task) || memberOf(stage.cohort, client)?.status !== 'invited') return state;
  const refused = event.reason === 'refused' ? inserted(state.refused, client) : state.refused;
  return dropMember({ ...state, refused }, stage, client, { reason: event.reason, detail, atMs }, out);
}

export function dropMember(
  state: RunState,
  stage: StageOf<'training'> | StageOf<'evaluating'>,
  client: string,
  { reason, detail, atMs }: { reason: DropReason; detail: string; atMs: number },
  out: Effect[],
): RunState {
  out.push({ kind: 'emit', event: { kind: 'dropped', atMs, round: state.round, client, reason, detail } });
  if (state.spec.secure) out.push({ kind: 'leave-secure', client });
  const cohort = withMember(stage.cohort, client, { status: 'dropped', reason, detail });
  if (stage.kind === 'evaluating') return evaluationMoved(state, { ...stage, cohort }, atMs, out);
  return trainingMoved(state, { ...stage, cohort }, atMs, out);
}

/** After every change of a cohort in training: is the round complete? */
function trainingMoved(state: RunState, stage: StageOf<'training'>, atMs: number, out: Effect[]): RunState {
  const { arrived, invited } = stage.cohort.counts;
  if (state.spec.secure && invited > 0) return { ...state, stage }; // ends with `secured`
  if (invited === 0 || arrived >= state.spec.cohort) return closeTraining(state, stage, 'superseded', atMs, out);
  return { ...state, stage };
}

/** Freezes the survivors; whoever is still out is dropped for `lateReason`. */
function closeTraining(
  state: RunState,
  stage: StageOf<'training'>,
  lateReason: DropReason,
  atMs: number,
  out: Effect[],
): RunState {
  const cohort = dropInvited(state, stage.cohort, { task: 'train', reason: lateReason, atMs }, out);
  const survivors = namesOf(cohort, 'arrived');
  if (survivors.length < state.spec.minSurvivors) return abort(state, cohort, atMs, out);
  return commit(state, stage, cohort, atMs, out);
}

export function commit(
  state: RunState,
  { startedAtMs }: StageOf<'training'>,
  cohort: Cohort,
  atMs: number,
  out: Effect[],
  pooled?: SumMetrics,
): RunState {
  const { round, attempt } = state;
  out.push({ kind: 'commit', round, attempt, survivors: namesOf(cohort, 'arrived') });
  const stage: Stage = { kind: 'committing', cohort, startedAtMs, trainedAtMs: atMs, ...(pooled && { pooled }) };
  return { ...state, stage };
}

function dropInvited(
  state: RunState,
  cohort: Cohort,
  { task: kind, reason, atMs }: { task: TaskKind; reason: DropReason; atMs: number },
  out: Effect[],
): Cohort {
  const { run, round, attempt } = state;
  return namesOf(cohort, 'invited').reduce((rest, client) => {
    out.push({ kind: 'withdraw', client, task: { run, kind, round, attempt }, reason });
    out.push({ kind: 'emit', event: { kind: 'dropped', atMs, round, client, reason, detail: '' } });
    return withMember(rest, client, { status: 'dropped', reason, detail: '' });
  }, cohort);
}

/** Too few updates: nothing of this attempt is kept, and the round is tried again with a new cohort. */
export function abort(state: RunState, cohort: Cohort, atMs: number, out: Effect[], cause = ''): RunState {
  const { round, attempt, spec } = state;
  const reasons = droppedOf(cohort).map(
    ({ client, reason, detail }) => `${client} ${reason}${detail && `: ${detail}`}`,
  );
  const survivors = cohort.counts.arrived;
  const causes = [...(cause === '' ? [] : [cause]), ...reasons.slice(0, 5)].join('; ');
  const reason = `${survivors} of at least ${spec.minSurvivors} updates (${causes})`;
  out.push({ kind: 'record', record: { kind: 'round-aborted', atMs, round, attempt, reason } });
  out.push({ kind: 'emit', event: { kind: 'round-aborted', atMs, round, reason } });
  voidArrived(state, cohort, out);
  const times = attempt - state.firstAttempt + 1;
  if (times >= spec.maxAttempts) {
    return end(state, 'failed', `round ${round} failed ${times} times, last with ${reason}`, atMs, out);
  }
  return proceed({ ...state, attempt: attempt + 1, stage: { kind: 'waiting' } }, atMs, out);
}

/** Tells everyone whose update is in a sum that will never be used; of masked ones nobody keeps anything. */
function voidArrived(state: RunState, cohort: Cohort, out: Effect[]): void {
  const { round, attempt } = state;
  if (state.spec.secure) return;
  for (const arrival of arrivals(cohort)) out.push(dropReceipt(state, { round, attempt, ...arrival }, 'round-aborted'));
}

// ---- the model is made -----------------------------------------------------------------------------------------

function onStored(state: RunState, event: EventOf<'stored'>, out: Effect[]): RunState {
  const { stage, run, round, attempt, spec } = state;
  const { atMs, modelSha256 } = event;
  if (stage.kind !== 'committing' || event.round !== round || event.attempt !== attempt) return state;
  const survivors = arrivals(stage.cohort);
  const draft: Draft = {
    round,
    attempt,
    cohort: stage.cohort.names.length,
    survivors: survivors.length,
    dropped: droppedOf(stage.cohort),
    modelSha256,
    metrics: meansOf(stage.pooled ?? sumMetrics(metricsByClient(stage.cohort)), 'train'),
    durationMs: atMs - stage.startedAtMs,
    overheadMs: atMs - stage.trainedAtMs,
    ...(state.spending && { epsilon: epsilonOf(state.spending) }),
  };
  const [spending, privacy] = settle(state, stage.cohort, event.withinBound);
  const record = { kind: 'committed', atMs, round, attempt, modelSha256, survivors, draft, ...privacy } as const;
  out.push({ kind: 'record', record });
  for (const { client, updateSha256 } of state.spec.secure ? [] : survivors) {
    const receipt = { run, round, attempt, client, updateSha256, outcome: 'committed', modelSha256 } as const;
    out.push({ kind: 'receipt', receipt });
  }
  return openCommitted(
    { ...state, modelSha256, ...(spending && { spending }) },
    draft,
    atMs + spec.deadlineMs,
    atMs,
    out,
  );
}

/** A committed round: evaluate it if it is its turn; also the way back after a crash between the two. */
export function openCommitted(state: RunState, draft: Draft, untilMs: number, atMs: number, out: Effect[]): RunState {
  const { spec, round } = state;
  const due = round === spec.rounds || (spec.evaluateEvery > 0 && round % spec.evaluateEvery === 0);
  if (!due) return closeRound(state, draft, NOT_EVALUATED, atMs, out);
  const next: RunState = { ...state, stage: { kind: 'committed', draft, untilMs } };
  out.push({ kind: 'timer', id: timerId(next), atMs: untilMs });
  return proceed(next, atMs, out);
}

/** The round is over, evaluated or not: on to the next, or to the end. */
export function closeRound(
  state: RunState,
  draft: Draft,
  evaluation: Evaluation,
  atMs: number,
  out: Effect[],
): RunState {
  const metrics = { ...draft.metrics, ...meansOf(evaluation.pooled, 'test') };
  out.push({ kind: 'round-ended', draft: { ...draft, metrics }, evaluation });
  return proceed(advance(state, atMs, out), atMs, out);
}

/** The round after this one, or the end of the run. */
export function advance(state: RunState, atMs: number, out: Effect[]): RunState {
  if (state.round >= state.spec.rounds) return end(state, 'completed', '', atMs, out);
  return { ...state, round: state.round + 1, attempt: 1, firstAttempt: 1, stage: { kind: 'waiting' } };
}

// ---- time, stop, resume ----------------------------------------------------------------------------------------

function onTimer(state: RunState, event: EventOf<'timer'>, out: Effect[]): RunState {
  const { stage } = state;
  if (event.id !== timerId(state)) return state;
  switch (stage.kind) {
    case 'training':
      return closeTraining(state, stage, 'deadline', event.atMs, out);
    case 'committed':
      if (state.online.length === 0) return closeRound(state, stage.draft, NOT_EVALUATED, event.atMs, out);
      return startEvaluation(state, stage, event.atMs, out);
    case 'evaluating': {
      const cohort = dropInvited(state, stage.cohort, { task: 'evaluate', reason: 'deadline', atMs: event.atMs }, out);
      return evaluationMoved(state, { ...stage, cohort }, event.atMs, out);
    }
    default:
      return state;
  }
}

function onStop(state: RunState, event: EventOf<'stop'>, out: Effect[]): RunState {
  const { stage } = state;
  if (stage.kind === 'ended') return state;
  const { atMs } = event;
  if (stage.kind === 'training' || stage.kind === 'evaluating') {
    const task = stage.kind === 'training' ? 'train' : 'evaluate';
    dropInvited(state, stage.cohort, { task, reason: 'round-aborted', atMs }, out);
  }
  if (stage.kind === 'training' || stage.kind === 'committing') voidArrived(state, stage.cohort, out);
  if (stage.kind !== 'committed' && stage.kind !== 'evaluating') {
    return end(state, event.status, event.reason, atMs, out);
  }
  out.push({ kind: 'round-ended', draft: stage.draft, evaluation: NOT_EVALUATED }); // the round counts, unevaluated
  const next = advance(state, atMs, out);
  return next.stage.kind === 'ended' ? next : end(next, event.status, event.reason, atMs, out);
}

/** Goes on after a stop or a failure; the interrupted round starts over as a new attempt. */
function onResume(state: RunState, atMs: number, out: Effect[]): RunState {
  if (state.stage.kind !== 'ended' || state.status === 'completed') return state;
  out.push({ kind: 'record', record: { kind: 'resumed', atMs } });
  return proceed(resumed(state), atMs, out);
}
