/**
 * The way of a committed round to its end: if it is its turn, the clients that are here judge the new model on their own
 * test data; then comes the next round. Cases of `step`.
 */

import { figuresOfEvaluation } from '../../shared/run/figures.js';
import { bySplit, type SumMetrics, sumMetrics } from '../../shared/run/metrics.js';
import type { EngineSpec } from '../../shared/run/spec.js';
import { judged, stopReason } from '../../shared/run/stop-when.js';
import type { Evaluated, Missing } from '../../shared/run/summary.js';
import { takeZeroed } from '../../shared/run/zeroed.js';
import type { Draft, Evaluation } from '../journal/records.js';
import { attendanceOf, attended } from './attendance.js';
import { checkMetrics } from './check-metrics.js';
import { type Cohort, droppedOf, having, metricsByClient, namesOf, positionOf, withMember } from './cohort.js';
import { dismiss, draw, drop, end, lateOf, leastCohort, open, planFor, timerId } from './moves.js';
import { type EventOf, isAsked, type RunState, type Stage, type StageOf, type Turn, workOn } from './state.js';
import { offlineWaitMs } from './waiting.js';

/** What came of an evaluation, and over whom. */
interface Judged {
  readonly evaluation?: Evaluation;
  /** The largest error of each metric's sums. */
  readonly errors?: Readonly<Record<string, number>>;
  readonly over?: Evaluated;
}

const NOT_EVALUATED: Evaluation = { pooled: {}, perClient: {} };

/** Whether it is the round's turn. */
export function isEvaluatedAfter(
  round: number,
  { rounds, evaluateEvery }: Pick<EngineSpec, 'rounds' | 'evaluateEvery'>,
): boolean {
  return round === rounds || (evaluateEvery > 0 && round % evaluateEvery === 0);
}

/** Waits for evaluators if it is the round's turn. */
export function awaitEvaluators(state: RunState, { draft, survivors }: StageOf<'made'>, turn: Turn): RunState {
  if (!isEvaluatedAfter(state.round, state.spec)) return closeRound(state, draft, turn);
  const next: RunState = { ...state, stage: { kind: 'committed', draft, survivors } };
  turn.out.push({ kind: 'timer', id: timerId(next), atMs: turn.atMs + offlineWaitMs(state) });
  return next;
}

/** Once clients enough are here, or it is time: asks those that are, if any. */
export function startEvaluation(state: RunState, stage: StageOf<'committed'>, turn: Turn): RunState {
  const { spec, online } = state;
  const { draft, survivors = [], isDue } = stage;
  if (online.length < spec.minClients && !isDue) return state;
  const away = survivors.filter((client) => positionOf(online, client) < 0);
  // of a sample nobody is missed who was not drawn
  const absent = spec.evaluateClients === 0 ? away : [];
  if (online.length === 0) return closeRound(state, draft, turn, { over: nobodyOf(missingFrom(absent)) });
  const most = spec.evaluateClients || online.length;
  const isLast = state.round === spec.rounds; // the run's own figures: whoever is here is asked
  const cohort = draw(state, 'evaluate', online, { least: isLast ? most : Math.max(1, leastCohort(spec)), most });
  const next = open(state, { kind: 'evaluating', draft, cohort, absent, here: online.length }, turn);
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
  const { draft, cohort, pooled, errors, failure, absent = [] } = stage;
  const asked = askedOf(state, stage);
  if (failure !== undefined) {
    const missing = [...missingFrom(absent), ...cohort.names.map((client) => aborted(client, failure))];
    return closeRound(dismiss(state, 'round-aborted', turn), draft, turn, { over: { ...nobodyOf(missing), ...asked } });
  }
  if (cohort.counts.invited > 0) return state;
  const missing = [...missingFrom(absent), ...droppedOf(cohort)];
  if (pooled !== undefined) {
    const { zeroed, metrics } = takeZeroed(pooled);
    const judged = zeroed === undefined ? draft : { ...draft, zeroedTests: zeroed };
    // whose evaluation was zeros, nobody knows
    const { test, validation } = bySplit(metrics);
    const over = {
      clients: cohort.counts.evaluated - (zeroed ?? 0),
      examples: examplesIn(test),
      ...validatedBy([validation], { areTogether: true }),
      ...asked,
      missing,
    };
    const evaluation = { pooled: metrics, perClient: {}, ...punctualityOf(state, cohort) };
    return closeRound(state, judged, turn, { evaluation, errors, over });
  }
  const perClient = metricsByClient(cohort);
  const evaluation = { pooled: sumMetrics(perClient), perClient, ...punctualityOf(state, cohort) };
  return closeRound(state, draft, turn, { evaluation, over: { ...evaluatedBy(cohort, missing), ...asked } });
}

/** Nothing where all that were here were asked. */
function askedOf({ spec }: RunState, { cohort, here = 0 }: StageOf<'evaluating'>): Pick<Evaluated, 'asked'> {
  if (cohort.names.length >= here) return {};
  return { asked: { of: here, by: spec.evaluateClients > 0 ? 'lot' : 'punctuality' } };
}

/** Who was late, and of those who were before, who was not. */
function punctualityOf({ attendances }: RunState, cohort: Cohort): Pick<Evaluation, 'late' | 'back'> {
  const late = lateOf(cohort);
  const back = namesOf(cohort, 'evaluated').filter(
    (client) => attendanceOf(attendances, client).evaluate !== undefined,
  );
  return { ...(late.length > 0 && { late }), ...(back.length > 0 && { back }) };
}

/** Each client that has answered, by itself: one that has no example to judge by is in no figure. */
function evaluatedBy(cohort: Cohort, missing: readonly Missing[]): Evaluated {
  const given = having(cohort, 'evaluated').map(({ client, metrics }) => ({ client, ...bySplit(metrics) }));
  const answers = given.map(({ client, test }) => ({ client, examples: examplesIn(test) }));
  const empty = answers.filter(({ examples }) => examples === 0);
  const detail = 'it sent no figures: it has no test examples, or its own log says why';
  return {
    clients: answers.length - empty.length,
    examples: answers.reduce((sum, { examples }) => sum + examples, 0),
    ...validatedBy(given.map(({ validation }) => validation)),
    missing: [...missing, ...empty.map(({ client }) => ({ client, reason: 'no-figures', detail }) as const)],
  };
}

/** Of the sums of clients, or of all together, whose number nobody knows then; nothing where there are no such examples. */
function validatedBy(sums: readonly SumMetrics[], { areTogether = false } = {}): Pick<Evaluated, 'validation'> {
  const counts = sums.map(examplesIn).filter((examples) => examples > 0);
  if (counts.length === 0) return {};
  const examples = counts.reduce((sum, one) => sum + one, 0);
  return { validation: { examples, ...(!areTogether && { clients: counts.length }) } };
}

/** A metric may be of some examples only; the others are of all. */
function examplesIn(metrics: SumMetrics): number {
  return Math.round(Object.values(metrics).reduce((most, { count }) => Math.max(most, count), 0));
}

const nobodyOf = (missing: readonly Missing[]): Evaluated => ({ clients: 0, examples: 0, missing });
const missingFrom = (absent: readonly string[]): Missing[] =>
  absent.map((client) => ({ client, reason: 'offline', detail: 'it trained in this round and was away' }));
const aborted = (client: string, detail: string): Missing => ({ client, reason: 'round-aborted', detail });

/** The round counts, evaluated or not. */
export function closeRound(state: RunState, draft: Draft, { out }: Turn, judged: Judged = {}): RunState {
  const { evaluation = NOT_EVALUATED, errors, over } = judged;
  const { formulas } = state.spec.figures ?? {};
  const figures = figuresOfEvaluation(evaluation.pooled, { errors, formulas });
  const resolution = { ...draft.resolution, ...figures.resolution };
  const told = {
    ...draft,
    metrics: { ...draft.metrics, ...figures.metrics },
    ...(Object.keys(resolution).length > 0 && { resolution }),
    ...(over && { evaluated: over }),
  };
  out.push({ kind: 'round-ended', draft: told, evaluation });
  const { late, back } = evaluation;
  const attendances = attended(state.attendances, { kind: 'evaluate', round: draft.round, late, back });
  return { ...withJudgement(state, told), attendances, stage: { kind: 'closed' } };
}

/** What is decided by the figures of a round, now and whenever its record is read. */
export function withJudgement(
  state: RunState,
  { round, metrics, modelSha256, evaluated }: Pick<Draft, 'round' | 'metrics' | 'modelSha256' | 'evaluated'>,
): RunState {
  const { stopWhen } = state.spec;
  if (stopWhen === undefined) return state;
  const value = metrics[stopWhen.metric];
  if (value === undefined && !evaluated?.clients) return state;
  return { ...state, judgement: judged(state.judgement, stopWhen, { round, value, modelSha256 }) };
}

/** Whether no round follows, and why if it is not the last. */
export function isOver({ round, spec, judgement }: RunState): string | false {
  if (round >= spec.rounds) return '';
  return (spec.stopWhen && judgement && stopReason(spec.stopWhen, judgement)) ?? false;
}

/** On to the next round, or the run is complete. */
export function leaveRound(state: RunState, _: Stage, turn: Turn): RunState {
  const over = isOver(state);
  return over === false ? nextRound(state) : end(state, 'completed', over, turn);
}

/** The round after this one. */
export function nextRound(state: RunState): RunState {
  const { shownAttempt: _, ...rest } = state;
  return { ...rest, round: state.round + 1, attempt: 1, firstAttempt: 1, stage: { kind: 'waiting' } };
}
