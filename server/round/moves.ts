/** What several stages have in common: a cohort is drawn, asked, and left by some; a run ends. */
import type { DropReason } from '../../shared/errors.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { TaskKind } from '../../shared/run/plan.js';
import type { EngineSpec } from '../../shared/run/spec.js';
import type { RunStatus } from '../../shared/run/summary.js';
import { punctualFirst } from './attendance.js';
import { type Cohort, droppedOf, namesOf, newCohort, withMember } from './cohort.js';
import { type EffectOf, type RunState, type StageOf, type Turn, taskOf, workOf } from './state.js';

/**
 * A cohort of `most` of the sorted `names`, or of all when there are fewer: uniform without replacement (McMahan et al.
 * 2017, https://arxiv.org/abs/1602.05629, Algorithm 1), over those who are not passed over for being late; of these there
 * are only as many as it takes to be `least`. No privacy is claimed for the draw: docs/privacy.md. Equal seeds and equal
 * histories draw equal cohorts, whoever connected first.
 */
export function draw(
  { spec, round, attempt, attendances }: RunState,
  kind: TaskKind,
  names: readonly string[],
  { least, most }: { readonly least: number; readonly most: number },
): Cohort {
  const label = kind === 'train' ? 'cohort' : 'evaluation';
  const rng = rngFromSeed(spec.seed).split(`${label}/${round}/${attempt}`);
  return newCohort(punctualFirst(attendances, rng.shuffle([...names]), { kind, round, least, most }));
}

/**
 * Fewest clients that a round is begun with, and that a cohort is left with when late ones are passed over; no site's policy
 * minds: it asked for this much. Nothing is summed secretly over fewer than three.
 */
export function leastCohort({ secure, minSurvivors }: EngineSpec): number {
  return secure ? Math.max(3, minSurvivors) : minSurvivors;
}

/** Of a cohort whose work is over: who let the deadline pass. */
export function lateOf(cohort: Cohort): string[] {
  return droppedOf(cohort).flatMap(({ client, reason }) => (reason === 'deadline' ? client : []));
}

/** Puts a cohort to work: opens what gathers its answers, and sets its deadline. */
export function open(
  state: RunState,
  work:
    | Pick<StageOf<'training'>, 'kind' | 'cohort'>
    | Pick<StageOf<'evaluating'>, 'kind' | 'cohort' | 'draft' | 'absent' | 'here'>,
  { atMs, out }: Turn,
): RunState {
  const { spec, round, attempt } = state;
  // secure aggregation closes its phases by itself; this is the last resort behind it
  const deadlineAtMs = atMs + (spec.secure ? 5 : 1) * spec.deadlineMs;
  const next: RunState = { ...state, stage: { ...work, startedAtMs: atMs, deadlineAtMs } };
  if (spec.secure) out.push({ kind: 'open-secure', task: taskOf(next), cohort: work.cohort.names });
  else if (work.kind === 'training') out.push({ kind: 'open-sum', round, attempt });
  out.push({ kind: 'timer', id: timerId(next), atMs: deadlineAtMs });
  return next;
}

/** So many attempts at a round may fail before the next one waits: a client that left is no reason to. */
const PROMPT_ATTEMPTS = 2;
const FIRST_BACKOFF_MS = 1_000;
const LAST_BACKOFF_MS = 60_000;

/** How long after its begin an attempt that failed, the `times`-th of its round, is followed by the next at the earliest. */
export function backoffMs(times: number): number {
  if (times <= PROMPT_ATTEMPTS) return 0;
  return Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** (times - PROMPT_ATTEMPTS - 1));
}

/** Names a wait; a timer of an older wait has another name and is ignored. */
export function timerId({ round, attempt, stage }: RunState): string {
  return `${stage.kind}/${round}/${attempt}`;
}

/** The plan of the cohort at work. */
export function planFor(state: RunState, client: string): EffectOf<'plan'> {
  const work = workOf(state);
  if (work === undefined) throw new Error(`no plan while ${state.stage.kind}`);
  const { kind: task, round, attempt } = taskOf(state);
  const { deadlineAtMs, cohort } = work;
  const { modelSha256 } = state;
  return { kind: 'plan', client, task, round, attempt, modelSha256, deadlineAtMs, cohort: cohort.names.length };
}

/** The cohort at work goes on without `client`. */
export function drop(
  state: RunState,
  client: string,
  { reason, detail }: { readonly reason: DropReason; readonly detail: string },
  { atMs, out }: Turn,
): RunState {
  const work = workOf(state)!;
  out.push({ kind: 'emit', event: { kind: 'dropped', atMs, round: state.round, client, reason, detail } });
  if (state.spec.secure) out.push({ kind: 'leave-secure', client });
  return {
    ...state,
    stage: { ...work, cohort: withMember(work.cohort, client, { status: 'dropped', reason, detail }) },
  };
}

/** The cohort at work goes on without whoever has not answered, and tells them. */
export function dismiss(state: RunState, reason: DropReason, { atMs, out }: Turn): RunState {
  const work = workOf(state)!;
  const { round } = state;
  const cohort = namesOf(work.cohort, 'invited').reduce((rest, client) => {
    const detail = Object.hasOwn(state.away, client)
      ? `offline since ${new Date(state.away[client]).toISOString()}`
      : '';
    out.push({ kind: 'withdraw', client, task: taskOf(state), reason });
    out.push({ kind: 'emit', event: { kind: 'dropped', atMs, round, client, reason, detail } });
    return withMember(rest, client, { status: 'dropped', reason, detail });
  }, work.cohort);
  return { ...state, stage: { ...work, cohort } };
}

/** For good, unless the run is resumed. */
export function end(state: RunState, status: RunStatus, reason: string, { atMs, out }: Turn): RunState {
  out.push({ kind: 'record', record: { kind: 'ended', atMs, status, reason } });
  out.push({ kind: 'emit', event: { kind: 'ended', atMs, status, reason } });
  return { ...state, status, reason, stage: { kind: 'ended' } };
}

/** A run that goes on after an end or a crash: the interrupted round starts over as a new attempt, by default the next. */
export function resumed(state: RunState, attempt = state.attempt + 1): RunState {
  const stage = { kind: 'waiting' } as const;
  return { ...state, status: 'running', reason: '', refused: {}, empty: [], attempt, firstAttempt: attempt, stage };
}
