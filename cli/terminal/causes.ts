/**
 * Why clients failed or sent zeros, as their own logs say it. Outwards a client of a protected run says nothing of it; the
 * clients of a simulation have no logs, and their machine is the user's own.
 */

import { printable, shorten } from '../../shared/charts/markup.js';
import type { RunEvent } from '../../shared/run/events.js';

const MOST_LINES = 5;

/** Collects what clients say, and tells each cause once. */
export interface Causes {
  add(client: string, fields: object): void;
  /** The event with what its client's own log says, where that is more than the coordinator was told. */
  told(event: RunEvent): RunEvent;
  /** One for each cause, the first ones: who it was first, and how often it came. */
  lines(): string[];
}

export function createCauses(): Causes {
  const seen = new Map<string, { readonly client: string; times: number }>();
  const latest = new Map<string, string>();
  return {
    told(event) {
      const why = event.kind === 'dropped' && event.reason === 'failed' ? latest.get(event.client) : undefined;
      return why === undefined ? event : ({ ...event, detail: why } as RunEvent);
    },
    add(client, { cause, message, detail }: { cause?: unknown; message?: unknown; detail?: unknown }) {
      const why = [cause, message, detail].find((text) => typeof text === 'string') as string | undefined;
      if (why === undefined) return;
      latest.set(client, why);
      const known = seen.get(why) ?? { client, times: 0 };
      known.times += 1;
      seen.set(why, known);
    },
    lines: () =>
      [...seen].slice(0, MOST_LINES).map(([why, { client, times }]) => {
        const often = times > 1 ? ` (${times} times)` : '';
        return `${client}: ${shorten(printable(why).replace(/\s+/g, ' '), 200)}${often}`;
      }),
  };
}
