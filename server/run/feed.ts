/**
 * The event feed of one run: what happened is kept and replayed to whoever watches late; progress is passed on live and
 * then forgotten.
 */
import type { RunEvent } from '../../shared/run/events.js';

/** Progress events that wait for one watcher; the rest is read from what is kept, and nobody misses it. */
const MAX_BEHIND = 10_000;

/** Keeps what happened in one run, and tells whoever listens. */
export class Feed {
  readonly #past: RunEvent[] = [];
  readonly #listeners = new Set<(event: RunEvent) => void>();

  emit(event: RunEvent): void {
    if (event.kind !== 'progress') this.#past.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  /** Calls back with every event so far and from now on; the returned function ends it. */
  subscribe(listener: (event: RunEvent) => void): () => void {
    for (const event of this.#past) listener(event);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /** Every event from the first on; ends after the last `ended` and when `signal` aborts. */
  async *watch(signal?: AbortSignal): AsyncGenerator<RunEvent> {
    let next = 0;
    /** Each with the number of kept events that came before it. */
    const live: { readonly after: number; readonly event: RunEvent }[] = [];
    let wake = () => {};
    const listener = (event: RunEvent) => {
      if (event.kind === 'progress' && live.length < MAX_BEHIND) live.push({ after: this.#past.length, event });
      wake();
    };
    const onAbort = () => wake();
    this.#listeners.add(listener);
    signal?.addEventListener('abort', onAbort);
    try {
      while (signal?.aborted !== true) {
        const isLive = live.length > 0 && live[0].after <= next;
        const event = isLive ? live.shift()!.event : this.#past[next];
        if (event === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        if (!isLive) next++;
        yield event;
        if (event.kind === 'ended' && next === this.#past.length) return;
      }
    } finally {
      this.#listeners.delete(listener);
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
