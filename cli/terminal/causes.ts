/**
 * Why clients failed or sent zeros, as their own logs say it. Outwards a client of a protected run says nothing of it; the
 * clients of a simulation have no logs, and their machine is the user's own.
 */

import { printable, shorten } from '../../shared/charts/markup.js';
import type { RunEvent } from '../../shared/run/events.js';

const MOST_LINES = 5;
const MOST_NAMED = 5;

/** Collects what clients say, and tells each cause once. */
export interface Causes {
  add(client: string, fields: object): void;
  /** The event with what its client's own log says, where that is more than the coordinator was told. */
  told(event: RunEvent): RunEvent;
  /** One for each cause, the first ones: whom it befell, and how often. */
  lines(): string[];
}

type Said = { readonly [Key in 'cause' | 'message' | 'detail' | 'reason']?: unknown };

export function createCauses(): Causes {
  const seen = new Map<string, { readonly clients: Set<string>; times: number }>();
  const latest = new Map<string, string>();
  return {
    told(event) {
      const why = event.kind === 'dropped' && event.reason === 'failed' ? latest.get(event.client) : undefined;
      return why === undefined ? event : ({ ...event, detail: why } as RunEvent);
    },
    add(client, { cause, message, detail, reason }: Said) {
      const said = [cause, message, detail].find((text) => typeof text === 'string') as string | undefined;
      if (said === undefined) return;
      const why = reason === 'dropout' ? `dropped out (${said})` : said;
      latest.set(client, why);
      const known = seen.get(why) ?? { clients: new Set(), times: 0 };
      known.clients.add(client);
      known.times += 1;
      seen.set(why, known);
    },
    lines: () =>
      [...seen].slice(0, MOST_LINES).map(([why, { clients, times }]) => {
        const often = times > 1 ? ` (${times} times)` : '';
        return `${namesOf([...clients])}: ${shorten(printable(why).replace(/\s+/g, ' '), 200)}${often}`;
      }),
  };
}

function namesOf(clients: readonly string[]): string {
  const more = clients.length - MOST_NAMED;
  return more > 0 ? `${clients.slice(0, MOST_NAMED).join(', ')} and ${more} more` : clients.join(', ');
}
