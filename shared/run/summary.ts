/** What is said of a round, and of a run, when it is over: the same to the terminal, the report, the dashboard and the ledger. */
import type { DropReason } from '../errors.js';

/** A member that a round went on without. */
export interface Dropped {
  readonly client: string;
  readonly reason: DropReason;
  readonly detail?: string;
}

/** One committed round. */
export interface RoundSummary {
  readonly round: number;
  readonly attempt: number;
  readonly cohort: number;
  readonly survivors: number;
  readonly dropped: readonly Dropped[];
  readonly modelSha256: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly durationMs: number;
  /** Part of durationMs in which no client was working: planning, summing, storing. */
  readonly overheadMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** With differential privacy: what the run has cost the client that took part most often, this round included. */
  readonly epsilon?: number;
  /** Under secure aggregation without privacy: how many contributions of the sum were all zeros (shared/run/zeroed.ts). */
  readonly zeroed?: number;
  /** The same of the evaluation. */
  readonly zeroedTests?: number;
}

/** How a run can stand. */
export const RUN_STATUSES = ['running', 'completed', 'stopped', 'budget-exhausted', 'failed'] as const;

/** One of {@link RUN_STATUSES}. */
export type RunStatus = (typeof RUN_STATUSES)[number];
