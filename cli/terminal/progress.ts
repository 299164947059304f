/**
 * Shows a run while it goes on: on a terminal a frame that is drawn over, elsewhere a line per round. This is the thin
 * shell around state.ts and lines.ts; it owns the cursor. Drawn on events only: no timer of its own keeps a process
 * alive.
 *
 * Control sequences: ECMA-48, and DEC private modes 25 (cursor) and 7 (wrapping at the right edge).
 */

import type { RunEvent } from '../../shared/run/events.js';
import type { Headline } from '../../shared/run/report.js';
import { waitingForLine } from './clients.js';
import { liveLines, paint, plainLines, warningLines } from './lines.js';
import { advance, initialProgress, type ProgressState } from './state.js';

/** Where a run is shown, and what of it is known beforehand. */
export interface ProgressOptions {
  readonly stream: { write(text: string): unknown; readonly columns?: number };
  readonly isTTY: boolean;
  /** Used where the stream does not know its own width. */
  readonly columns: number;
  /** The clock that the events are stamped with. */
  readonly nowMs: () => number;
  readonly rounds: number;
  readonly headline: Headline;
  /** Default: yes, unless NO_COLOR (no-color.org) is set. Only a terminal is ever coloured. */
  readonly color?: boolean;
}

/** A run on a terminal, or line by line where there is none. */
export interface Progress {
  /** Never throws, whatever the event. */
  event(e: RunEvent): void;
  /** For a caller with a timer: nothing may have come for a while, and whom the round waits for is said all the same. */
  tick(): void;
  /** Leaves the last frame on the screen and gives the cursor back. Safe to call twice. */
  close(): void;
}

const HIDE_CURSOR = '\u001b[?25l';
const SHOW_CURSOR = '\u001b[?25h';
const NO_WRAP = '\u001b[?7l';
const WRAP = '\u001b[?7h';
const CLEAR_DOWN = '\u001b[0J';
/** Redrawing more often is not seen and costs time that training could have. */
const MIN_FRAME_MS = 80;

/**
 * Call `close` in a `finally`, and on SIGINT: a process that is killed by a signal has no other way to give the cursor
 * back. (For `process.exit` and uncaught errors there is a hook of its own.)
 */
export function createProgress(options: ProgressOptions): Progress {
  const state = initialProgress(options.rounds, options.headline);
  return options.isTTY && process.env.TERM !== 'dumb' ? onTerminal(state, options) : asLog(state, options);
}

function asLog(state: ProgressState, { stream, nowMs }: ProgressOptions): Progress {
  const isNew = newWarnings();
  let closed = false;
  let last = '';
  const say = (line: string) => {
    // The engine may repeat that it waits; a log says it once.
    if (line !== last && !closed) stream.write(`${line}\n`);
    last = line;
  };
  return {
    event(e) {
      if (closed) return;
      advance(state, e);
      plainLines(state, e).filter(isNew).forEach(say);
    },
    tick() {
      if (state.waitingFor !== null) say(waitingForLine(state.waitingFor, nowMs()));
    },
    close() {
      closed = true;
    },
  };
}

function onTerminal(state: ProgressState, options: ProgressOptions): Progress {
  const { stream, nowMs } = options;
  const color = options.color ?? (process.env.NO_COLOR ?? '') === '';
  const restore = () => stream.write(SHOW_CURSOR);
  const isNew = newWarnings();
  let drawn = 0;
  let drawnAtMs = Number.NEGATIVE_INFINITY;
  let begun = false;
  let closed = false;

  function draw(above: readonly string[]): void {
    const width = stream.columns ?? options.columns;
    const columns = Number.isFinite(width) ? Math.max(20, width) : 80;
    const lines = liveLines(state, nowMs(), columns).map((line) => paint(line, columns, color));
    const up = drawn > 0 ? `\u001b[${drawn}A\r` : '';
    const start = begun ? '' : HIDE_CURSOR;
    if (!begun) process.once('exit', restore);
    stream.write(
      `${start}${NO_WRAP}${up}${CLEAR_DOWN}${[...above, ...lines].map((line) => `${line}\n`).join('')}${WRAP}`,
    );
    begun = true;
    drawn = lines.length;
    drawnAtMs = nowMs();
  }

  return {
    event(e) {
      if (closed) return;
      advance(state, e);
      const above = warningLines(state, e).filter(isNew); // stays above the frame
      if (above.length > 0 || e?.kind === 'ended' || nowMs() - drawnAtMs >= MIN_FRAME_MS) draw(above);
    },
    tick() {
      if (begun && !closed) draw([]);
    },
    close() {
      if (closed) return;
      closed = true;
      if (!begun) return;
      draw([]);
      process.off('exit', restore);
      restore();
    },
  };
}

/** A warning is said once, and again when it says something else: a client that is never there warns once. */
function newWarnings(): (line: string) => boolean {
  const said = new Set<string>();
  return (line) => {
    const words = /^WARNING {2}round \S+ {2}(.*)$/s.exec(line)?.[1];
    if (words === undefined) return true;
    const isSaid = said.has(words);
    said.add(words);
    return !isSaid;
  };
}
