/**
 * What the terminal knows of a run: a fold over its events. No clock and no output; times are those of the events.
 * An event that makes no sense changes nothing: a display must never end a run.
 */

import { findMetric, type Metrics, metricValue } from '../../server/report/metrics.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { Headline } from '../../shared/run/report.js';

/** What a client of the round's cohort is doing, as far as events tell. */
export type ClientState = 'waiting' | 'training' | 'arrived' | 'dropped';

interface Ended {
  readonly atMs: number;
  readonly survivors: number;
  readonly bytes: number;
}

/** What a terminal knows of a run; times are milliseconds of the events' clock. Changed in place by {@link advance}. */
export interface ProgressState {
  readonly rounds: number;
  readonly headline: Headline;
  startedAtMs: number | null;
  /** Of the latest event. */
  atMs: number;
  /** The round under way, or the last one. */
  round: number;
  attempt: number;
  /** Clients of the cohort and how much of their work is done, 0 to 1. */
  readonly cohort: Map<string, { state: ClientState; share: number }>;
  readonly counts: Record<ClientState, number>;
  waiting: Extract<RunEvent, { kind: 'waiting' }> | null;
  /** Whom the round waits for, as it was said last. */
  waitingFor: Extract<RunEvent, { kind: 'waiting-for' }> | null;
  lastDropped: { readonly client: string; readonly reason: string } | null;
  ended: { readonly status: string; readonly reason: string } | null;
  roundsEnded: number;
  lastRoundEnded: number;
  /** The latest of them, for rates and the time left. */
  readonly recent: Ended[];
  /** The headline metric of the rounds that were evaluated, the latest last. */
  readonly values: number[];
  best: number | null;
}

/** Rounds over which rates are taken. */
const WINDOW = 5;
const MAX_VALUES = 240;

/** Before the first event. */
export function initialProgress(rounds: number, headline: Headline): ProgressState {
  return {
    rounds: whole(rounds),
    headline,
    startedAtMs: null,
    atMs: 0,
    round: 0,
    attempt: 0,
    cohort: new Map(),
    counts: { waiting: 0, training: 0, arrived: 0, dropped: 0 },
    waiting: null,
    waitingFor: null,
    lastDropped: null,
    ended: null,
    roundsEnded: 0,
    lastRoundEnded: 0,
    recent: [],
    values: [],
    best: null,
  };
}

/** Changes `state` in place: with a thousand clients, a new copy for each event of each would be the costly part. */
export function advance(state: ProgressState, event: RunEvent): void {
  if (typeof event !== 'object' || event === null) return;
  if (Number.isFinite(event.atMs)) {
    state.startedAtMs ??= event.atMs;
    state.atMs = Math.max(state.atMs, event.atMs);
  }
  switch (event.kind) {
    case 'waiting':
      state.waiting = { ...event, online: whole(event.online), need: whole(event.need) };
      return;
    case 'waiting-for':
      state.waitingFor = Array.isArray(event.clients) ? event : null;
      return;
    case 'round-started':
      begin(state, event.round, event.attempt, event.cohort);
      return;
    case 'progress':
      if (event.round === state.round) {
        move(state, event.client, 'training', ratio(event.stepsDone, event.stepsTotal));
      }
      return;
    case 'arrived':
      if (event.round === state.round) move(state, event.client, 'arrived', 1);
      return;
    case 'dropped':
      if (event.round === state.round) move(state, event.client, 'dropped', 1);
      state.lastDropped = { client: word(event.client), reason: word(event.reason) };
      return;
    case 'round-aborted':
      begin(state, event.round, state.attempt, []);
      return;
    case 'round-ended':
      if (typeof event.summary === 'object' && event.summary !== null) end(state, event);
      return;
    case 'ended':
      state.ended = { status: word(event.status), reason: word(event.reason) };
      return;
  }
}

/** The value of the headline metric in a record. */
export function headlineValue(state: ProgressState, metrics: unknown): { name: string; value: number } | null {
  if (typeof metrics !== 'object' || metrics === null) return null;
  const held = metrics as Metrics;
  const name = findMetric(state.headline.metric, (name) => metricValue(held, name) !== null);
  return name === undefined ? null : { name, value: held[name] };
}

/** Milliseconds until the last round ends, by the pace of the latest rounds; null before the first has ended. */
export function leftMs(state: ProgressState): number | null {
  const left = state.rounds - state.lastRoundEnded;
  const span = spanMs(state);
  return span === null || left <= 0 || state.ended !== null ? null : (span.ms / span.rounds) * left;
}

/** Updates and bytes per second over the latest rounds, evaluation included; null before the first has ended. */
export function rates(state: ProgressState): { updatesPerS: number; bytesPerS: number } | null {
  const span = spanMs(state);
  if (span === null || span.ms <= 0) return null;
  const counted = state.recent.slice(-span.rounds);
  const sum = (pick: (round: Ended) => number) => counted.reduce((total, round) => total + pick(round), 0);
  return {
    updatesPerS: sum((round) => round.survivors) / (span.ms / 1000),
    bytesPerS: sum((round) => round.bytes) / (span.ms / 1000),
  };
}

/** Share of the whole run that is done, 0 to 1, counting the work inside the round under way. */
export function doneShare(state: ProgressState): number {
  if (state.rounds === 0) return 0;
  let inRound = 0;
  if (state.cohort.size > 0 && state.round > state.lastRoundEnded) {
    for (const { share } of state.cohort.values()) inRound += share / state.cohort.size;
  }
  return Math.min(1, (state.lastRoundEnded + inRound) / state.rounds);
}

function begin(state: ProgressState, round: number, attempt: number, cohort: unknown): void {
  state.round = whole(round);
  state.attempt = whole(attempt);
  state.waiting = null;
  state.waitingFor = null;
  state.lastDropped = null;
  state.cohort.clear();
  for (const client of Array.isArray(cohort) ? cohort : [])
    state.cohort.set(word(client), { state: 'waiting', share: 0 });
  Object.assign(state.counts, { waiting: state.cohort.size, training: 0, arrived: 0, dropped: 0 });
}

function move(state: ProgressState, client: string, to: ClientState, share: number): void {
  const held = state.cohort.get(client);
  // Late progress must not bring back a client that has arrived or was dropped.
  if (held === undefined || (to === 'training' && held.state !== 'waiting' && held.state !== 'training')) return;
  state.counts[held.state] -= 1;
  state.counts[to] += 1;
  held.state = to;
  held.share = Math.max(held.share, share);
}

function end(state: ProgressState, { atMs, summary }: Extract<RunEvent, { kind: 'round-ended' }>): void {
  state.round = whole(summary.round);
  state.waitingFor = null;
  state.roundsEnded += 1;
  state.lastRoundEnded = Math.max(state.lastRoundEnded, state.round);
  state.recent.push({
    atMs: finite(atMs),
    survivors: whole(summary.survivors),
    bytes: finite(summary.bytesUp) + finite(summary.bytesDown),
  });
  // One more than the window: the end of the round before it is where the time of the window starts.
  if (state.recent.length > WINDOW + 1) state.recent.shift();
  const found = headlineValue(state, summary.metrics);
  if (found === null) return;
  state.values.push(found.value);
  if (state.values.length > MAX_VALUES) state.values.shift();
  const better = state.headline.better === 'lower' ? Math.min : Math.max;
  state.best = state.best === null ? found.value : better(state.best, found.value);
}

function spanMs(state: ProgressState): { ms: number; rounds: number } | null {
  const last = state.recent.at(-1);
  if (last === undefined) return null;
  const complete = state.roundsEnded === state.recent.length;
  const from = complete ? (state.startedAtMs ?? last.atMs) : state.recent[0].atMs;
  return { ms: Math.max(0, last.atMs - from), rounds: complete ? state.recent.length : state.recent.length - 1 };
}

/** Not String(): an object without a prototype cannot be made a string. */
export function word(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function finite(value: unknown): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : 0;
}

function whole(value: unknown): number {
  return Math.max(0, Math.round(finite(value)));
}

function ratio(part: unknown, all: unknown): number {
  return finite(all) > 0 ? Math.min(1, Math.max(0, finite(part) / finite(all))) : 0;
}
