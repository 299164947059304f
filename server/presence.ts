/** What a coordinator has seen of its clients since it started: when they were here last, and what went wrong last. */

/** Of one client. */
export interface Seen {
  /** When it left, or, of one that is here, when it came. */
  readonly lastSeenAtMs?: number;
  /** Why it was dropped, declined or turned down, in words for an operator, with the run. */
  readonly lastReason?: string;
}

/** By client; nothing of it is on disk. */
export class Presence {
  readonly #seen = new Map<string, Seen>();

  of(client: string): Seen {
    return this.#seen.get(client) ?? {};
  }

  /** It came, or it left. */
  moved(client: string, atMs: number): void {
    this.#seen.set(client, { ...this.of(client), lastSeenAtMs: atMs });
  }

  /** Something went wrong with it. */
  blame(client: string, lastReason: string): void {
    this.#seen.set(client, { ...this.of(client), lastReason });
  }
}
