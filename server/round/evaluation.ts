/**
 * The way of a committed round to its end: if it is its turn, the clients that are here judge the new model on their own
 * test data; then comes the next round. Cases of `step`.
 */
import { meansOf, sumMetrics } from '../../shared/run/metrics.js';
import type { EngineSpec } from '../../shared/run/spec.js';
import { takeZeroed } from '../../shared/run/zeroed.js';
import type { Draft, Evaluation } from '../journal/records.js';
import { attendanceOf, attended } from './attendance.js';
import { checkMetrics } from './check-metrics.js';
import { type Cohort, metricsByClient, namesOf, withMember } from './cohort.js';
import { dismiss, draw, drop, end, lateOf, leastCohort, open, planFor, timerId } from './moves.js';
import { type EventOf, isAsked, type RunState, type Stage, type StageOf, type Turn, workOn } from './state.js';
import { offlineWaitMs } from './waiting.js';

const NOT_EVALUATED: Evaluation = { pooled: {}, perClient: {} };

/** Whether it is the round's turn. */
export function isEvaluatedAfter(
  round: number,
  { rounds, evaluateEvery }: Pick<EngineSpec, 'rounds' | 'evaluateEvery'>,
): boolean {
  return round === rounds || (evaluateEvery > 0 && round % evaluateEvery === 0);
}

/** Waits for evaluators if it is the round's turn. */
export function awaitEvaluators(state: RunState, { draft }: StageOf<'made'>, turn: Turn): RunState {
  if (!isEvaluatedAfter(state.round, state.spec)) return closeRound(state, draft, turn);
  const next: RunState = { ...state, stage: { kind: 'committed', draft } };
  turn.out.push({ kind: 'timer', id: timerId(next), atMs: turn.atMs + offlineWaitMs(state) });
  return next;
}

/** Once clients enough are here, or it is time: asks those that are, if any. */
export function startEvaluation(state: RunState, { draft, isDue }: StageOf<'committed'>, turn: Turn): RunState {
  const { spec, online } = state;
  if (online.length < spec.minClients && !isDue) return state;
  if (online.length === 0) return closeRound(state, draft, turn);
  const most = spec.evaluateClients || online.length;
  const isLast = state.round === spec.rounds; // the run's own figures: whoever is here is asked
  const cohort = draw(state, 'evaluate', online, { least: isLast ? most : Math.max(1, leastCohort(spec)), most });
  const next = open(state, { kind: 'evaluating', draft, cohort }, turn);
  for (const client of cohort.names) turn.out.push(planFor(next, client));
  return next;
}

/** Metrics that cannot be pooled cost their sender its place. */
export function onEvaluated(state: RunState, { client, task, metrics }: EventOf<'evaluated'>, turn: Turn): RunState {
  const work = workOn(state, task);
  if (work?.kind !== 'evaluating' || !isAsked(state, client)) return state;
  const detail = checkMetrics(metrics, work.cohort);
  if (detail !== undefined) return drop(state, client, { reason: 'invalid-update', detail }, turn);
  return { ...state, stage: { ...work, cohort: withMember(work.cohort, client, { status: 'evaluated', metrics }) } };
}

/** Once nobody is asked any more. */
export function closeEvaluation(state: RunState, stage: StageOf<'evaluating'>, turn: Turn): RunState {
  const { draft, cohort, pooled, failure } = stage;
  if (failure !== undefined) return closeRound(dismiss(state, 'round-aborted', turn), draft, turn);
  if (cohort.counts.invited > 0) return state;
  if (pooled !== undefined) {
    const { zeroed, metrics } = takeZeroed(pooled);
    const judged = zeroed === undefined ? draft : { ...draft, zeroedTests: zeroed };
    return closeRound(state, judged, turn, { pooled: metrics, perClient: {}, ...punctualityOf(state, cohort) });
  }
  const perClient = metricsByClient(cohort);
  return closeRound(state, draft, turn, { pooled: sumMetrics(perClient), perClient, ...punctualityOf(state, cohort) });
}

/** Who was late, and of those who were before, who was not. */
function punctualityOf({ attendances }: RunState, cohort: Cohort): Pick<Evaluation, 'late' | 'back'> {
  const late = lateOf(cohort);
  const back = namesOf(cohort, 'evaluated').filter(
    (client) => attendanceOf(attendances, client).evaluate !== undefined,
  );
  return { ...(late.length > 0 && { late }), ...(back.length > 0 && { back }) };
}

/** The round counts, evaluated or not. */
export function closeRound(
  state: RunState,
  draft: Draft,
  { out }: Turn,
  evaluation: Evaluation = NOT_EVALUATED,
): RunState {
  const metrics = { ...draft.metrics, ...meansOf(evaluation.pooled, 'test') };
  out.push({ kind: 'round-ended', draft: { ...draft, metrics }, evaluation });
  const { late, back } = evaluation;
  const attendances = attended(state.attendances, { kind: 'evaluate', round: draft.round, late, back });
  return { ...state, attendances, stage: { kind: 'closed' } };
}

/** On to the next round, or the run is complete. */
export function leaveRound(state: RunState, _: Stage, turn: Turn): RunState {
  return state.round >= state.spec.rounds ? end(state, 'completed', '', turn) : nextRound(state);
}

/** The round after this one. */
export function nextRound(state: RunState): RunState {
  const { shownAttempt: _, ...rest } = state;
  return { ...rest, round: state.round + 1, attempt: 1, firstAttempt: 1, stage: { kind: 'waiting' } };
}
