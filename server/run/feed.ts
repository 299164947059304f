/**
 * The event feed of one run: what happened of late is kept and replayed to whoever watches late, of earlier rounds the ends
 * are read from the disk; progress is passed on live and then forgotten.
 */
import type { RunEvent } from '../../shared/run/events.js';

/** Progress events that wait for one watcher; the rest is read from what is kept, and nobody misses it. */
const MAX_BEHIND = 10_000;
/** Events that are kept, by whole rounds; those of the round of now, and of the one before it, are kept however many. */
const MAX_KEPT = 2_000;

/** Rounds that are not kept any more, of which the first have been told already. */
interface Rounds {
  readonly after: number;
  readonly upTo: number;
}

/** Keeps what happened in one run, and tells whoever listens. */
export class Feed {
  #kept: RunEvent[] = [];
  /** Events that came before the first that is kept. */
  #gone = 0;
  /** Rounds whose end came before it. */
  #goneRounds: number;
  readonly #readGone: (rounds: Rounds) => AsyncIterable<RunEvent>;
  readonly #listeners = new Set<(event: RunEvent) => void>();

  /** @param pastRounds that were over before the first event; `readGone` reads the ends of rounds that are not kept */
  constructor(pastRounds = 0, readGone: (rounds: Rounds) => AsyncIterable<RunEvent> = nothing) {
    this.#goneRounds = pastRounds;
    this.#readGone = readGone;
  }

  emit(event: RunEvent): void {
    if (event.kind === 'round-ended') this.#letGo();
    if (event.kind !== 'progress') this.#kept.push(event);
    for (const listener of this.#listeners) listener(event);
  }

  /** Calls back with every event that is kept and from now on; the returned function ends it. */
  subscribe(listener: (event: RunEvent) => void): () => void {
    for (const event of this.#kept) listener(event);
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  /**
   * Every event from the first that is kept on, before them the end of each earlier round; ends after the last `ended` and
   * when `signal` aborts. @throws what reading the disk throws
   */
  async *watch(signal?: AbortSignal): AsyncGenerator<RunEvent> {
    let next = 0;
    let toldRounds = 0;
    /** Each with the number of events that came before it. */
    const live: { readonly after: number; readonly event: RunEvent }[] = [];
    let wake = () => {};
    const listener = (event: RunEvent) => {
      if (event.kind === 'progress' && live.length < MAX_BEHIND) live.push({ after: this.#count, event });
      wake();
    };
    const onAbort = () => wake();
    this.#listeners.add(listener);
    signal?.addEventListener('abort', onAbort);
    try {
      while (signal?.aborted !== true) {
        if (toldRounds < this.#goneRounds) {
          const rounds = { after: toldRounds, upTo: this.#goneRounds };
          next = Math.max(next, this.#gone);
          toldRounds = rounds.upTo;
          yield* this.#readGone(rounds);
          continue;
        }
        const isLive = live.length > 0 && live[0].after <= next;
        const event = isLive ? live.shift()!.event : this.#kept[next - this.#gone];
        if (event === undefined) {
          await new Promise<void>((resolve) => {
            wake = resolve;
          });
          continue;
        }
        if (!isLive) next++;
        if (event.kind === 'round-ended') toldRounds = event.summary.round;
        yield event;
        if (event.kind === 'ended' && next === this.#count) return;
      }
    } finally {
      this.#listeners.delete(listener);
      signal?.removeEventListener('abort', onAbort);
    }
  }

  /** Events so far, without progress. */
  get #count(): number {
    return this.#gone + this.#kept.length;
  }

  /** The oldest rounds go while too much is kept, but not the last that is over. */
  #letGo(): void {
    while (this.#kept.length > MAX_KEPT) {
      const end = this.#kept.findIndex(({ kind }) => kind === 'round-ended');
      const isLast = end === this.#kept.findLastIndex(({ kind }) => kind === 'round-ended');
      const event = this.#kept[end];
      if (event?.kind !== 'round-ended' || isLast) return;
      this.#kept = this.#kept.slice(end + 1);
      this.#gone += end + 1;
      this.#goneRounds = event.summary.round;
    }
  }
}

async function* nothing(): AsyncGenerator<RunEvent> {}
