/**
 * Time as an argument. The round engine and the client session never read a clock of their own; the shells hand them
 * {@link systemClock}, a simulation a virtual one.
 */

/** Where time comes from; tests move one by hand. */
export interface Clock {
  /** Milliseconds since the Unix epoch. */
  nowMs(): number;
  /** Calls `fire` once, `delayMs` from now; the returned function cancels it. */
  after(delayMs: number, fire: () => void): () => void;
}

/**
 * The machine's clock when the process began, and from then on by its timers' own pace: a wall clock that is set, forwards or
 * backwards, moves no deadline and makes no round's time negative.
 */
export const systemClock: Clock = {
  nowMs: () => Math.round(performance.timeOrigin + performance.now()),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return () => clearTimeout(timer);
  },
};
