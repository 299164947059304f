/** What a run is and does, for people. */
import type { RunEvent } from '../../shared/run/events.js';
import type { RunInfo } from '../../shared/service.js';
import { waitingForText, waitingText } from '../report/waiting.js';
import { attendanceOf } from '../round/attendance.js';
import { positionOf } from '../round/cohort.js';
import { type RunState, workOf } from '../round/state.js';
import { FEW, waitingForOf, waitingOf } from '../round/waiting.js';
import type { Run } from './run.js';

/** Of whom the end of a run tells the share of rounds; the others are counted. */
const MOST_SHARES = 100;

/** A run in a row of `starling runs`. */
export function infoOf({ id: run, spec, state, createdAtMs, directory, enrolled }: Run, nowMs: number): RunInfo {
  const { status, reason, round } = state;
  const { workload, rounds } = spec.work;
  const activity = activityOf(state, enrolled, nowMs);
  return { run, workload, status, reason, round, rounds, createdAtMs, directory, activity };
}

function activityOf(state: RunState, enrolled: Enrolled, nowMs: number): string {
  const { stage } = state;
  if (stage.kind === 'waiting') return waitingText(waitingNow(state, enrolled), nowMs);
  const work = workOf(state);
  if (work === undefined) return stage.kind;
  const { names, counts } = work.cohort;
  const isFew = counts.invited > 0 && counts.invited <= FEW;
  if (isFew && counts.invited < names.length) return waitingForText(waitingForOf(state)!, nowMs);
  const waits = waitingForOf(state)!;
  if (waits.clients.some(({ isOnline }) => !isOnline)) return waitingForText(waits, nowMs);
  return `${stage.kind}: ${names.length - counts.invited} of ${names.length} clients done`;
}

/** Who is enrolled with the coordinator, in any order. */
export type Enrolled = () => readonly string[];

/** For whom a round cannot begin; whoever is missing is named when few are. */
export function waitingNow(state: RunState, enrolled: Enrolled): ReturnType<typeof waitingOf> {
  const facts = waitingOf(state);
  if (facts.need - facts.online > FEW) return facts;
  const known = enrolled();
  const away = known.filter((name) => positionOf(state.online, name) < 0 && !Object.hasOwn(state.refused, name));
  const missing = away.sort().map((client) => {
    return { client, ...(Object.hasOwn(state.away, client) && { offlineSinceMs: state.away[client] }) };
  });
  return { ...facts, enrolled: known.length, ...(missing.length > 0 && missing.length <= FEW && { missing }) };
}

/** In how many of the committed rounds each client took part, the least first. */
export function sharesOf(state: RunState, enrolled: Enrolled): NonNullable<Ended['shares']> {
  const { attendances, refused } = state;
  const clients = [...new Set([...enrolled(), ...Object.keys(attendances)])].map((client) => {
    const why = Object.hasOwn(refused, client) && { declined: refused[client].detail };
    return { client, took: attendanceOf(attendances, client).took, ...why };
  });
  clients.sort((a, b) => a.took - b.took || (a.client < b.client ? -1 : 1));
  return { clients: clients.slice(0, MOST_SHARES), more: Math.max(0, clients.length - MOST_SHARES) };
}

type Ended = Extract<RunEvent, { kind: 'ended' }>;
