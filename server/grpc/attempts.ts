/**
 * Back-off of joins, by address: after some that were refused each further one costs a wait, twice the one before. A token
 * is 32 random bytes and nobody guesses one; what is bounded is the work and the words that trying costs here.
 */
import { JOIN_BACKOFF } from './limits.js';

interface Tried {
  readonly failures: number;
  readonly notBeforeMs: number;
}

/** Pure but for what it remembers: times come from the caller. */
export class JoinAttempts {
  /** The address whose last failure is oldest comes first. */
  readonly #tried = new Map<string, Tried>();
  readonly #limits: typeof JOIN_BACKOFF;

  constructor(limits = JOIN_BACKOFF) {
    this.#limits = limits;
  }

  /** How long this address has to wait, ms; 0: not at all. */
  waitMs(address: string, nowMs: number): number {
    return Math.max(0, (this.#tried.get(address)?.notBeforeMs ?? 0) - nowMs);
  }

  refused(address: string, nowMs: number): void {
    const { free, firstMs, longestMs, maxAddresses } = this.#limits;
    const failures = (this.#tried.get(address)?.failures ?? 0) + 1;
    const waitMs = failures < free ? 0 : Math.min(longestMs, firstMs * 2 ** (failures - free));
    this.#tried.delete(address);
    const [oldest] = this.#tried.keys();
    if (this.#tried.size >= maxAddresses) this.#tried.delete(oldest);
    this.#tried.set(address, { failures, notBeforeMs: nowMs + waitMs });
  }

  joined(address: string): void {
    this.#tried.delete(address);
  }
}
