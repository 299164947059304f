/**
 * Whom a run waits for, said to whoever watches: clients before a round, and in a round those who have not answered. And
 * how long it waits for those who are away when nobody else is at work any more. Part of `step`.
 */
import type { RunEvent } from '../../shared/run/events.js';
import { namesOf, positionOf } from './cohort.js';
import { leastCohort, timerId } from './moves.js';
import {
  isAsked,
  type RoundEvent,
  type RunState,
  type StageOf,
  type Turn,
  taskOf,
  trainable,
  willing,
  workOf,
} from './state.js';

/** Of a run that does not say: a process that was restarted is back by then, and a machine that was unplugged is not. */
const OFFLINE_WAIT_MS = 60_000;
/** So many are named; and it is said again when so few are left. */
export const FEW = 5;

type WaitingFor = Extract<RunEvent, { kind: 'waiting-for' }>;
type Waiting = Extract<RunEvent, { kind: 'waiting' }>;

/** How long clients that are away are waited for when there is nothing else to wait for, in milliseconds. */
export function offlineWaitMs({ spec }: RunState): number {
  return Math.min(spec.deadlineMs, spec.offlineWaitMs ?? OFFLINE_WAIT_MS);
}

/** For whom a round cannot begin: how many are here, and who has declined. */
export function waitingOf(state: RunState): Omit<Waiting, 'kind' | 'atMs'> {
  const { round, spec, refused, stage } = state;
  const why = state.paused !== undefined && { paused: state.paused };
  const until = stage.kind === 'waiting' && stage.notBeforeMs !== undefined && { notBeforeMs: stage.notBeforeMs };
  const declined = Object.entries(refused).map(([client, { detail }]) => ({ client, detail }));
  const said = declined.length > 0 && {
    ...{ minSurvivors: spec.minSurvivors, declines: declined.length },
    declined: declined.slice(0, FEW),
  };
  const [able, least] = [trainable(state).length, leastCohort(spec)];
  const isShort = willing(state).length >= spec.minClients && able < least; // all are here, and too few can train
  const counts = isShort ? { online: able, need: least } : { online: willing(state).length, need: spec.minClients };
  const empty = isShort && { empty: { clients: state.empty.slice(0, FEW), all: state.empty.length } };
  return { round, ...counts, ...empty, ...until, ...why, ...said };
}

/** Whom a cohort at work waits for, those who are away first; undefined: nobody is at work. */
export function waitingForOf(state: RunState): Omit<WaitingFor, 'kind' | 'atMs'> | undefined {
  const work = workOf(state);
  if (work === undefined) return undefined;
  const { cohort, deadlineAtMs, absentUntilMs = deadlineAtMs } = work;
  const left = namesOf(cohort, 'invited');
  const isHere = (client: string) => positionOf(state.online, client) >= 0;
  const named = [...left.filter((client) => !isHere(client)), ...left.filter(isHere)].slice(0, FEW);
  const clients = named.map((client) => {
    const sinceMs = Object.hasOwn(state.away, client) ? state.away[client] : undefined;
    return { client, isOnline: isHere(client), ...(sinceMs !== undefined && { offlineSinceMs: sinceMs }) };
  });
  return {
    ...{ round: state.round, task: taskOf(state).kind, clients, more: left.length - named.length },
    ...{ done: cohort.names.length - left.length, of: cohort.names.length, untilMs: absentUntilMs },
  };
}

/** Says so when it has changed and is worth a line: somebody went or came, or few are left. */
export function sayWhoIsWaitedFor(before: RunState, next: RunState, event: RoundEvent, { atMs, out }: Turn): void {
  if (next.stage.kind === 'waiting') {
    if (next !== before) out.push({ kind: 'emit', event: { kind: 'waiting', atMs, ...waitingOf(next) } });
    return;
  }
  const work = workOf(next);
  if (work === undefined || work.cohort.counts.invited === 0) return;
  const came = (event.kind === 'online' || event.kind === 'offline') && isAsked(next, event.client);
  const earlier = workOf(before)?.cohort.counts.invited ?? 0;
  const fewer = before.stage.kind === work.kind && work.cohort.counts.invited < earlier;
  if (!came && !(fewer && work.cohort.counts.invited <= FEW)) return;
  out.push({ kind: 'emit', event: { kind: 'waiting-for', atMs, ...waitingForOf(next)! } });
}

/** Sets the shorter wait when all who are left are away and a round can do without them, and the whole one when one is back. */
export function waitForAbsent(state: RunState, { atMs, out }: Turn): RunState {
  const work = workOf(state);
  if (work === undefined || state.spec.secure) return state; // its phases have deadlines of their own
  const { absentUntilMs, ...present } = work;
  const isAbsence = canDoWithoutAbsent(state, work);
  if (isAbsence === (absentUntilMs !== undefined)) return state;
  const { deadlineAtMs } = work;
  if (!isAbsence) {
    out.push({ kind: 'timer', id: timerId(state), atMs: deadlineAtMs });
    return { ...state, stage: present };
  }
  const untilMs = atMs + offlineWaitMs(state);
  if (untilMs >= deadlineAtMs) return state;
  out.push({ kind: 'timer', id: absentTimerId(state), atMs: untilMs });
  return { ...state, stage: { ...work, absentUntilMs: untilMs } };
}

/** Whether the wait for those who are away is over. A timer of an earlier wait comes too early. */
export function isAbsenceOver(state: RunState, { id, atMs }: { readonly id: string; readonly atMs: number }): boolean {
  const untilMs = workOf(state)?.absentUntilMs;
  return untilMs !== undefined && id === absentTimerId(state) && atMs >= untilMs;
}

function absentTimerId(state: RunState): string {
  return `${timerId(state)}/absent`;
}

function canDoWithoutAbsent({ online, spec }: RunState, work: StageOf<'training' | 'evaluating'>): boolean {
  const { names, members, counts } = work.cohort;
  if (counts.invited === 0) return false;
  if (work.kind === 'training' && counts.arrived < spec.minSurvivors) return false;
  if (work.kind === 'evaluating' && counts.evaluated === 0) return false;
  return names.every((name, index) => members[index].status !== 'invited' || positionOf(online, name) < 0);
}
