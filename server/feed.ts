/**
 * The event feed of one run: what happened is kept and replayed to whoever watches late; progress is passed on live and
 * then forgotten.
 */
import type { RunEvent } from '../shared/events.js';

/** Unread events of one watcher; a watcher that falls further behind loses progress events first, then its place. */
const MAX_BEHIND = 10_000;

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

  /** Every event from the first on; ends after `ended`, when `signal` aborts, or when the reader falls too far behind. */
  async *watch(signal?: AbortSignal): AsyncGenerator<RunEvent> {
    const unread: RunEvent[] = [];
    let wake = () => {};
    const unsubscribe = this.subscribe((event) => {
      if (unread.length < MAX_BEHIND || event.kind !== 'progress') unread.push(event);
      wake();
    });
    const onAbort = () => wake();
    signal?.addEventListener('abort', onAbort);
    try {
      while (signal?.aborted !== true && unread.length <= 2 * MAX_BEHIND) {
        const event = unread.shift();
        if (event === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        yield event;
        if (event.kind === 'ended' && unread.length === 0) return;
      }
    } finally {
      unsubscribe();
      signal?.removeEventListener('abort', onAbort);
    }
  }
}
