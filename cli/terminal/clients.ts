/** What lines of the terminal say of single clients: who is waited for, who was dropped and why, who took part in how much. */
import { plural } from '../../server/report/format.js';
import { waitingForText, waitingText } from '../../server/report/waiting.js';
import { printable, shorten } from '../../shared/charts/markup.js';
import type { RunEvent } from '../../shared/run/events.js';
import { NO_TRAINING_EXAMPLES } from '../../shared/run/no-examples.js';
import { type ProgressState, word } from './state.js';

type EventOf<Kind extends RunEvent['kind']> = Extract<RunEvent, { kind: Kind }>;

/** A client's decline says key, expected, got and next step; hashes among them. */
export const REASON_LENGTH = 500;
/** Of one round, or at the end of a run, so many clients have a line or a place in one. */
const MOST_NAMED = 5;
/** Left the round as it was asked to, or because others were faster. */
const USUAL: ReadonlySet<string> = new Set(['superseded', 'dropout', 'round-aborted']);

/** For whom the next round waits, in one line; what makes no sense is left out. */
export function waitingLine(event: EventOf<'waiting'>, nowMs: number): string {
  return plain(sensible(() => waitingText(event, nowMs)));
}

/** Whom the round waits for, in one line. */
export function waitingForLine(event: EventOf<'waiting-for'>, nowMs: number): string {
  return plain(sensible(() => waitingForText(event, nowMs)));
}

/** Whether the round waits for somebody who is not there. */
export function isSomebodyAway({ clients }: EventOf<'waiting-for'>): boolean {
  return Array.isArray(clients) && clients.some((client) => client?.isOnline === false);
}

/** Who was dropped and why, if that is not how a round goes; the first of each round. */
export function droppedLines({ round, rounds, counts }: ProgressState, event: EventOf<'dropped'>): string[] {
  const { client, reason, detail } = event;
  const isUsual = USUAL.has(reason) && detail !== NO_TRAINING_EXAMPLES; // said once: it is not drawn again
  if (isUsual || counts.dropped > MOST_NAMED) return [];
  const why = word(detail) === '' ? '' : `: ${shorten(plain(word(detail)), REASON_LENGTH)}`;
  const name = shorten(plain(word(client)), 63);
  const head = `round ${round}/${rounds}  `;
  if (reason === 'refused') return [`${head}${name} declined this run${why}`];
  return [`${head}goes on without ${name}  ${plain(word(reason))}${why}`];
}

/** At the end: in how many rounds each took part, the least first. */
export function shareLines(shares: EventOf<'ended'>['shares'], rounds: number): string[] {
  if (!Array.isArray(shares?.clients) || shares.clients.length === 0 || rounds === 0) return [];
  const { clients, more } = shares;
  if (more === 0 && clients.every(({ took }) => took === rounds)) {
    return [`each of ${plural(clients.length, 'client')} took part in ${rounds} of ${plural(rounds, 'round')}`];
  }
  const named = clients.slice(0, MOST_NAMED).map(({ client, took, declined }) => {
    const why = declined === undefined ? '' : `: declined: ${shorten(plain(word(declined)), REASON_LENGTH)}`;
    return `${plain(word(client))} took part in ${took} of ${plural(rounds, 'round')}${why}`;
  });
  const others = clients.length - named.length + more;
  return others === 0 ? named : [...named, `${others} more took part in ${clients[named.length].took} or more`];
}

/** A display must never end a run. */
function sensible(text: () => string): string {
  try {
    return text();
  } catch {
    return '';
  }
}

/** One line, nothing that could drive the terminal. */
export function plain(text: unknown): string {
  return printable(word(text)).replace(/\s+/g, ' ');
}
