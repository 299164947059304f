/**
 * The event feed of a run: what the terminal, the report and `run watch` read. One event is one JSON line.
 */
import type { DropReason } from '../errors.js';
import type { TaskKind } from './plan.js';
import type { RoundSummary, RunStatus } from './summary.js';

/** One event; `atMs` is the coordinator's clock. */
export type RunEvent =
  | {
      readonly kind: 'waiting';
      readonly atMs: number;
      readonly round: number;
      readonly online: number;
      readonly need: number;
      /** Why no round begins, even when there are clients enough. */
      readonly paused?: string;
      /** After failed attempts: the next one does not begin before. */
      readonly notBeforeMs?: number;
      /** How many sites' policies forbid the run, the first of them, and how many clients a round needs at least. */
      readonly declines?: number;
      readonly declined?: readonly { readonly client: string; readonly detail: string }[];
      readonly minSurvivors?: number;
      /** Where enough are here and too few can train: the first of those without training examples, and how many they are. */
      readonly empty?: { readonly clients: readonly string[]; readonly all: number };
      /** Clients that are known to the coordinator; and of those who are missing, when they are few. */
      readonly enrolled?: number;
      readonly missing?: readonly { readonly client: string; readonly offlineSinceMs?: number }[];
    }
  /** A round goes on without news; `done` of the `of` clients have answered. Those who are away are named first. */
  | {
      readonly kind: 'waiting-for';
      readonly atMs: number;
      readonly round: number;
      readonly task: TaskKind;
      readonly done: number;
      readonly of: number;
      readonly clients: readonly {
        readonly client: string;
        readonly isOnline: boolean;
        readonly offlineSinceMs?: number;
      }[];
      /** Besides those who are named. */
      readonly more: number;
      /** Then it goes on without them, at the latest. */
      readonly untilMs: number;
    }
  | {
      readonly kind: 'round-started';
      readonly atMs: number;
      readonly round: number;
      readonly attempt: number;
      readonly cohort: readonly string[];
      readonly deadlineAtMs?: number;
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
  | {
      readonly kind: 'ended';
      readonly atMs: number;
      readonly status: RunStatus;
      readonly reason: string;
      /** In how many rounds each client took part, the least first; `more` are not named. `declined`: its policy forbids. */
      readonly shares?: {
        readonly clients: readonly { readonly client: string; readonly took: number; readonly declined?: string }[];
        readonly more: number;
      };
    };
