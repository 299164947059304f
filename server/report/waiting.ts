/**
 * What a run waits for, in one sentence for the terminal, `run list` and the log alike: who is away since when, who has
 * declined and why, until when, and what to do when it cannot go on by itself.
 */
import type { RunEvent } from '../../shared/run/events.js';

type Waiting = Omit<Extract<RunEvent, { kind: 'waiting' }>, 'kind' | 'atMs'>;
type WaitingFor = Omit<Extract<RunEvent, { kind: 'waiting-for' }>, 'kind' | 'atMs'>;

/** The time of day here, with the date when that is not the one of `nowMs`. */
export function clockTime(atMs: number, nowMs: number): string {
  const [at, now] = [new Date(atMs), new Date(nowMs)];
  const two = (part: number) => String(part).padStart(2, '0');
  const time = [at.getHours(), at.getMinutes(), at.getSeconds()].map(two).join(':');
  if (at.toDateString() === now.toDateString()) return time;
  return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${time}`;
}

/** "waiting for lab-1 (offline since 23:07:45), 2 of 3 done, round ends at 23:17:40 at the latest". */
export function waitingForText({ task, clients, more, done, of, untilMs }: WaitingFor, nowMs: number): string {
  const names = clients.map(({ client, isOnline, offlineSinceMs }) => {
    return isOnline ? client : `${client} (${offlineText(offlineSinceMs, nowMs)})`;
  });
  const who = [...names, ...(more > 0 ? [`${more} more`] : [])].join(', ');
  const what = task === 'evaluate' ? 'evaluation' : 'round';
  return `waiting for ${who}, ${done} of ${of} done, ${what} ends at ${clockTime(untilMs, nowMs)} at the latest`;
}

/** Who has declined, then whom it takes besides; and the way out when that cannot come about. */
export function waitingText(waiting: Waiting, nowMs: number): string {
  const { online, need, enrolled = Number.POSITIVE_INFINITY, declines = 0, declined = [], missing = [] } = waiting;
  const { notBeforeMs = 0, paused, empty } = waiting;
  if (paused !== undefined) return `paused: ${paused}`;
  const said = declined.map(({ client, detail }) => `${client} declined this run: ${withoutAdvice(detail)}`);
  const willing = enrolled - declines;
  if (declines > 0 && willing < need) return [...said, wayOut(waiting, willing)].join('; ');
  const away = missing.map(({ client, offlineSinceMs }) => `${client} ${offlineText(offlineSinceMs, nowMs)}`);
  const who = away.length > 0 ? ` (${away.join(', ')})` : '';
  if (online >= need && notBeforeMs > nowMs) {
    return [...said, `the next attempt begins at ${clockTime(notBeforeMs, nowMs)}`].join('; ');
  }
  if (empty !== undefined) return [...said, ...emptyText(empty, { online, need })].join('; ');
  return [...said, `waiting for clients: ${online} of ${need} online${who}`].join('; ');
}

/** All that it takes are here, and what they lack does not come by waiting. */
function emptyText(
  { clients, all }: NonNullable<Waiting['empty']>,
  { online, need }: { online: number; need: number },
) {
  const names = [...clients, ...(all > clients.length ? [`${all - clients.length} more`] : [])].join(', ');
  return [
    `waiting for clients that have training examples: ${online} of ${need}`,
    `${names} ${all === 1 ? 'has' : 'have'} none: stop the run and begin another when there are some, or bring other labs`,
  ];
}

/** Fewer clients than the run needs will ever say yes, as things stand. */
function wayOut({ need, minSurvivors = 1 }: Waiting, willing: number): string {
  const keys = willing < minSurvivors ? ['min-clients', 'min-survivors'] : ['min-clients'];
  if (willing < 1) return `min-clients ${need} can no longer be met: stop it, or have the labs change their policies`;
  const set = keys.map((key) => `${key} ${willing}`).join(' and ');
  return `min-clients ${need} can no longer be met: stop it, or set ${set} in a new run; a lab that changes its policy and starts again is asked again`;
}

/** What a lab could change is in the event of its decline. */
function withoutAdvice(detail: string): string {
  return detail.split('; next: ', 1)[0];
}

function offlineText(sinceMs: number | undefined, nowMs: number): string {
  return sinceMs === undefined ? 'offline' : `offline since ${clockTime(sinceMs, nowMs)}`;
}
