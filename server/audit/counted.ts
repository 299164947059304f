/**
 * Lines for refusals, of which strangers decide how many there are: so many have a line each in a minute, and all others of
 * that minute one line together, which counts them.
 */

/** Lines of their own in one window, and its length. */
export const REFUSALS = { lines: 20, windowMs: 60_000, addresses: 8 };
/** Addresses that are told apart in one window; all others count as one. */
const MAX_ADDRESSES = 1_000;

/** What one line says of many refusals. */
export interface More {
  readonly times: number;
  readonly sinceMs: number;
  /** Of those with most, how many each had. */
  readonly addresses: Readonly<Record<string, number>>;
}

/** Pure but for what it counts: times come from the caller. */
export class Counted {
  #sinceMs = Number.NEGATIVE_INFINITY;
  #lines = 0;
  #times = 0;
  readonly #of = new Map<string, number>();

  /** Whether this refusal has a line of its own; and, when a window is over, what to say first of those that had none. */
  add(address: string, nowMs: number): { readonly isOwn: boolean; readonly more?: More } {
    const more = nowMs - this.#sinceMs >= REFUSALS.windowMs ? this.flush() : undefined;
    if (nowMs - this.#sinceMs >= REFUSALS.windowMs) {
      this.#sinceMs = nowMs;
      this.#lines = 0;
    }
    if (this.#lines < REFUSALS.lines) {
      this.#lines++;
      return { isOwn: true, more };
    }
    this.#times++;
    const key = this.#of.has(address) || this.#of.size < MAX_ADDRESSES ? address : 'others';
    this.#of.set(key, (this.#of.get(key) ?? 0) + 1);
    return { isOwn: false, more };
  }

  /** What was counted and not said yet, if anything. */
  flush(): More | undefined {
    if (this.#times === 0) return undefined;
    const most = [...this.#of].sort(([, a], [, b]) => b - a).slice(0, REFUSALS.addresses);
    const more = { times: this.#times, sinceMs: this.#sinceMs, addresses: Object.fromEntries(most) };
    this.#times = 0;
    this.#of.clear();
    return more;
  }
}
