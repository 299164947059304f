/** The way of a round to a new model: it waits, draws a cohort, trains and commits, or starts over. Cases of `step`. */
import { FAILED, FAILS_ALIKE } from '../../shared/run/fails-alike.js';
import { figuresOf } from '../../shared/run/figures.js';
import { takeEncoded } from '../../shared/run/lossy.js';
import { sumMetrics } from '../../shared/run/metrics.js';
import { afterRound, charge, epsilonOf, isRested, overBudget } from '../../shared/run/spending.js';
import type { Dropped } from '../../shared/run/summary.js';
import { takeZeroed } from '../../shared/run/zeroed.js';
import type { Draft } from '../journal/records.js';
import { attended, committedBy } from './attendance.js';
import { checkMetrics } from './check-metrics.js';
import { arrivalsOf, type Cohort, droppedOf, metricsByClient, namesOf, positionOf, withMember } from './cohort.js';
import { dropReceipt, fateOf } from './fate.js';
import { backoffMs, dismiss, draw, drop, end, lateOf, leastCohort, open, planFor, timerId } from './moves.js';
import { aboveShown } from './shown.js';
import { type EventOf, type RunState, type StageOf, type Turn, trainable, willing, workOf } from './state.js';

/** Once there are clients enough, and rested enough for their privacy: a cohort, charged for the round. */
export function drawCohort(waiting: RunState, { notBeforeMs = 0 }: StageOf<'waiting'>, turn: Turn): RunState {
  if (waiting.paused !== undefined) return waiting;
  const here = willing(waiting);
  const { spending, round, spec } = waiting;
  const able = trainable(waiting);
  const rested = spending === undefined ? able : able.filter((name) => isRested(spending, name, round));
  if (here.length < spec.minClients || rested.length < leastCohort(spec) || turn.atMs < notBeforeMs) return waiting;
  const state = aboveShown(waiting, turn);
  const { attempt } = state;
  const most = Math.ceil(spec.cohort * (1 + spec.overSelection));
  const isRepeated = attempt > state.firstAttempt; // whoever there is may be needed
  const cohort = draw(state, 'train', rested, { least: isRepeated ? most : leastCohort(spec), most });
  const { names } = cohort;
  const refusal = spending && overBudget(spending, round, names);
  if (refusal !== undefined) return end(state, 'budget-exhausted', refusal, turn);
  turn.out.push({ kind: 'record', record: { kind: 'round-started', atMs: turn.atMs, round, attempt, cohort: names } });
  const charged = spending && { spending: charge(spending, round, names) };
  return { ...state, ...charged, stage: { kind: 'drawn', cohort } };
}

/** Plans for everyone who is here; the others are asked when they come. */
export function startTraining(state: RunState, { cohort }: StageOf<'drawn'>, turn: Turn): RunState {
  const { round, attempt, online } = state;
  const { names } = cohort;
  const next = open(state, { kind: 'training', cohort }, turn);
  const { deadlineAtMs } = workOf(next)!;
  turn.out.push({
    kind: 'emit',
    event: { kind: 'round-started', atMs: turn.atMs, round, attempt, cohort: names, deadlineAtMs },
  });
  for (const client of names) if (positionOf(online, client) >= 0) turn.out.push(planFor(next, client));
  return next;
}

/** An update that is wanted is added, or is the end of its sender's part in the round. */
export function onUpdate(state: RunState, event: EventOf<'arrived' | 'invalid'>, { atMs, out }: Turn): RunState {
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

/** Once enough updates are in, or nobody is asked any more: the survivors are frozen, or are too few. */
export function closeTraining(state: RunState, stage: StageOf<'training'>, turn: Turn): RunState {
  const { spec, round, attempt } = state;
  const { cohort, failure } = stage;
  const { invited, arrived } = cohort.counts;
  if (failure !== undefined) return abort(dismiss(state, 'round-aborted', turn), cohort, turn, failure);
  if (invited > 0) {
    const isFull = !spec.secure && arrived >= spec.cohort; // secure aggregation says itself when it has a sum
    return isFull ? dismiss(state, 'superseded', turn) : state;
  }
  if (arrived < spec.minSurvivors) return abort(state, cohort, turn);
  turn.out.push({ kind: 'commit', round, attempt, survivors: namesOf(cohort, 'arrived') });
  return { ...state, stage: { ...stage, kind: 'committing', trainedAtMs: turn.atMs } };
}

/** Nothing of this attempt is kept; the round is tried again with a new cohort, so many times. */
function abort(state: RunState, cohort: Cohort, turn: Turn, cause?: string): RunState {
  const { round, attempt, spec } = state;
  const { atMs, out } = turn;
  const causes = [cause ?? [], causesOf(cohort).slice(0, 5)].flat().join('; ');
  const reason = `${cohort.counts.arrived} of at least ${spec.minSurvivors} updates (${causes})`;
  const { startedAtMs } = workOf(state)!;
  const late = lateOf(cohort);
  const named = late.length > 0 && { late };
  out.push({ kind: 'record', record: { kind: 'round-aborted', atMs, round, attempt, reason, ...named } });
  out.push({ kind: 'emit', event: { kind: 'round-aborted', atMs, round, reason } });
  voidArrivals(state, cohort, turn);
  const next = { ...state, attendances: attended(state.attendances, { kind: 'train', round, late }) };
  const times = attempt - state.firstAttempt + 1;
  if (wouldFailAlike(next, cohort)) {
    const todo = 'mend the cause, then resume the run';
    return end(next, 'failed', `round ${round} failed with ${reason}; ${FAILS_ALIKE}; ${todo}`, turn);
  }
  if (times < spec.maxAttempts) return tryAgain(next, startedAtMs + backoffMs(times), turn);
  return end(next, 'failed', `round ${round} failed ${times} times, last with ${reason}`, turn);
}

/** The next attempt, after a pause if several have failed: what fails at once would use up all of them in a breath. */
function tryAgain(state: RunState, notBeforeMs: number, { atMs, out }: Turn): RunState {
  const next: RunState = { ...state, attempt: state.attempt + 1, stage: { kind: 'waiting' } };
  if (notBeforeMs <= atMs) return next;
  out.push({ kind: 'timer', id: timerId(next), atMs: notBeforeMs });
  return { ...next, stage: { kind: 'waiting', notBeforeMs } };
}

/**
 * Whether nothing but the clients' own training stood in the way, at so many of those who are here that the others are too
 * few for a round: the next attempt gives them the same plan, model and data.
 */
function wouldFailAlike(state: RunState, cohort: Cohort): boolean {
  const dropped = droppedOf(cohort);
  const alike = dropped.filter((member) => failsAlike(state, member));
  if (dropped.some((member) => !alike.includes(member) && member.reason !== 'round-aborted')) return false;
  const failed = alike.length;
  return failed > 0 && trainable(state).length - failed < state.spec.minSurvivors;
}

/** In the clear an update that is invalid is the same again: training draws by round, and not by attempt. */
function failsAlike({ spec, attempt, firstAttempt }: RunState, { reason, detail }: Required<Dropped>): boolean {
  if (reason === 'invalid-update') return !spec.secure;
  return reason === 'failed' && (detail.endsWith(FAILS_ALIKE) || (detail === FAILED && attempt > firstAttempt));
}

/** Why clients were dropped, each cause once and in its own words: "a, b refused: …". */
function causesOf(cohort: Cohort): string[] {
  const clients = new Map<string, string[]>();
  for (const { client, reason, detail } of droppedOf(cohort)) {
    const cause = `${reason}${detail && `: ${detail}`}`;
    clients.set(cause, [...(clients.get(cause) ?? []), client]);
  }
  return [...clients].map(([cause, names]) => {
    const more = names.length > 5 ? ` and ${names.length - 5} more` : '';
    return `${names.slice(0, 5).join(', ')}${more} ${cause}`;
  });
}

/** Tells everyone whose update is in a sum that will never be used; of masked ones nobody keeps anything. */
export function voidArrivals({ run, round, attempt, spec }: RunState, cohort: Cohort, { out }: Turn): void {
  for (const arrival of spec.secure ? [] : arrivalsOf(cohort)) {
    out.push({ kind: 'receipt', receipt: dropReceipt(run, { round, attempt, ...arrival }, 'round-aborted') });
  }
}

/** The new model is on disk, if it is the one that is waited for. */
export function onStored(state: RunState, stored: EventOf<'stored'>): RunState {
  const { stage, round, attempt } = state;
  const isIts = stage.kind === 'committing' && stored.round === round && stored.attempt === attempt;
  return isIts ? { ...state, stage: { ...stage, stored } } : state;
}

/** Once the new model is on disk: the record that makes it the run's, and then receipts. */
export function commit(state: RunState, stage: StageOf<'committing'>, { atMs, out }: Turn): RunState {
  const { cohort, stored } = stage;
  if (stored === undefined) return state;
  const { run, round, attempt, spec, spending } = state;
  const { modelSha256, withinBound } = stored;
  const survivors = arrivalsOf(cohort);
  const { zeroed, metrics: counted } = takeZeroed(stage.pooled ?? sumMetrics(metricsByClient(cohort)));
  const { metrics, lossy = stage.lossy } = takeEncoded(counted);
  const figures = figuresOf(metrics, 'train', { errors: stage.errors });
  const draft: Draft = {
    round,
    attempt,
    cohort: cohort.names.length,
    survivors: survivors.length,
    dropped: droppedOf(cohort),
    modelSha256,
    metrics: figures.metrics,
    durationMs: atMs - stage.startedAtMs,
    overheadMs: atMs - stage.trainedAtMs,
    ...(spending && { epsilon: epsilonOf(spending) }),
    ...(zeroed !== undefined && { zeroed }),
    ...(lossy && { lossy }),
    ...(figures.resolution && { resolution: figures.resolution }),
  };
  const after =
    spending && afterRound(spending, { round, cohort: cohort.names, survivors: survivors.length, withinBound });
  const { nextValueRange } = stage;
  const range = nextValueRange === undefined ? {} : { nextValueRange };
  const record = {
    kind: 'committed',
    atMs,
    round,
    attempt,
    modelSha256,
    survivors: spending?.isCentral ? survivors.map(unhashed) : survivors,
    draft,
    ...after?.recorded,
    ...range,
  } as const;
  out.push({ kind: 'record', record });
  for (const { client, updateSha256 } of spec.secure ? [] : survivors) {
    const receipt = { run, round, attempt, client, updateSha256, outcome: 'committed', modelSha256 } as const;
    out.push({ kind: 'receipt', receipt });
  }
  const attendances = committedBy(state.attendances, record);
  return {
    ...{ ...state, modelSha256, attendances },
    ...(nextValueRange !== undefined && { valueRange: nextValueRange }),
    ...(after && { spending: after.spending }),
    stage: { kind: 'made', draft, survivors: namesOf(cohort, 'arrived') },
  };
}

/** A hash of numbers without noise would tell whoever guesses them that the guess is right. */
function unhashed({ client }: { readonly client: string }): { client: string; updateSha256: string } {
  return { client, updateSha256: '' };
}
