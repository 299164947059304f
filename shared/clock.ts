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

/** The machine's clock and timers. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after(delayMs, fire) {
    const timer = setTimeout(fire, delayMs);
    return () => clearTimeout(timer);
  },
};

/**
 * The machine's clock as it was when the process began, and from then on at its timers' own pace: what sets the wall clock,
 * forwards or backwards, moves no deadline of a round. While the machine sleeps it stands still.
 */
export const steadyClock: Clock = {
  nowMs: () => Math.round(performance.timeOrigin + performance.now()),
  after: systemClock.after,
};
