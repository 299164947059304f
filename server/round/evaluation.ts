/**
 * The evaluation of a committed round: the clients that are here judge the new model on their own test data and answer
 * with sums. Cases of `step`, like those of secagg-events.ts.
 */

import { rngFromSeed } from '../../shared/rng.js';
import { sumMetrics } from '../../shared/run/metrics.js';
import { faultOfMetrics } from './check-metrics.js';
import { sampleUniform } from './sampling.js';
import {
  type Effect,
  type EventOf,
  isCurrent,
  memberOf,
  metricsByClient,
  newCohort,
  openingOf,
  planFor,
  type RunState,
  type StageOf,
  timerId,
  waitMs,
  withMember,
} from './state.js';
import { closeRound, dropMember } from './step.js';

export function startEvaluation(state: RunState, stage: StageOf<'committed'>, atMs: number, out: Effect[]): RunState {
  const { spec, round, attempt, online } = state;
  const rng = rngFromSeed(spec.seed).split(`evaluation/${round}/${attempt}`);
  const size = spec.evaluateClients === 0 ? online.length : spec.evaluateClients;
  const cohort = newCohort(sampleUniform(online, size, rng));
  const deadlineAtMs = atMs + waitMs(spec);
  const { draft } = stage;
  const next: RunState = { ...state, stage: { kind: 'evaluating', draft, cohort, startedAtMs: atMs, deadlineAtMs } };
  if (spec.secure) out.push(openingOf(next, 'evaluate', cohort));
  out.push({ kind: 'timer', id: timerId(next), atMs: deadlineAtMs });
  for (const client of cohort.names) out.push(planFor(next, client));
  return next;
}

export function onEvaluated(state: RunState, event: EventOf<'evaluated'>, out: Effect[]): RunState {
  const { stage } = state;
  const { client, metrics, atMs } = event;
  if (stage.kind !== 'evaluating' || !isCurrent(state, event.task)) return state;
  if (memberOf(stage.cohort, client)?.status !== 'invited') return state;
  const detail = faultOfMetrics(metrics, stage.cohort);
  if (detail !== undefined) return dropMember(state, stage, client, { reason: 'invalid-update', detail, atMs }, out);
  const cohort = withMember(stage.cohort, client, { status: 'evaluated', metrics });
  return evaluationMoved(state, { ...stage, cohort }, atMs, out);
}

export function evaluationMoved(state: RunState, stage: StageOf<'evaluating'>, atMs: number, out: Effect[]): RunState {
  if (stage.cohort.counts.invited > 0) return { ...state, stage };
  const perClient = metricsByClient(stage.cohort);
  return closeRound(state, stage.draft, { pooled: sumMetrics(perClient), perClient }, atMs, out);
}
