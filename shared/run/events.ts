/**
 * The event feed of a run: what the terminal, the report and `run watch` read. One event is one JSON line.
 */
import type { DropReason } from '../errors.js';
import type { RoundSummary, RunStatus } from './summary.js';

/** One event; `atMs` is the coordinator's clock. */
export type RunEvent =
  | {
      readonly kind: 'waiting';
      readonly atMs: number;
      readonly round: number;
      readonly online: number;
      readonly need: number;
      /** After failed attempts: the next one does not begin before. */
      readonly notBeforeMs?: number;
    }
  | {
      readonly kind: 'round-started';
      readonly atMs: number;
      readonly round: number;
      readonly attempt: number;
      readonly cohort: readonly string[];
    }
  | {
      readonly kind: 'progress';
      readonly atMs: number;
      readonly round: number;
      readonly client: string;
      readonly stepsDone: number;
      readonly stepsTotal: number;
    }
  | { readonly kind: 'arrived'; readonly atMs: number; readonly round: number; readonly client: string }
  | {
      readonly kind: 'dropped';
      readonly atMs: number;
      readonly round: number;
      readonly client: string;
      readonly reason: DropReason;
      readonly detail: string;
    }
  | { readonly kind: 'round-aborted'; readonly atMs: number; readonly round: number; readonly reason: string }
  /** Sent when the round is on disk and, in evaluation rounds, evaluated. */
  | { readonly kind: 'round-ended'; readonly atMs: number; readonly summary: RoundSummary }
  | { readonly kind: 'ended'; readonly atMs: number; readonly status: RunStatus; readonly reason: string };
