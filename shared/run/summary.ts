/** What is said of a round, and of a run, when it is over: the same to the terminal, the report, the dashboard and the ledger. */
import type { DropReason } from '../errors.js';
import type { Lossy } from './lossy.js';

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
  /** What the updates lost on their way into the sum, where that is counted. */
  readonly lossy?: Lossy;
  /** Of metrics that came through secure aggregation: differences smaller than this are not seen. */
  readonly resolution?: Readonly<Record<string, number>>;
  /** Who judged the model; absent: the round was not evaluated. */
  readonly evaluated?: Evaluated;
}

/** Over whom the test figures of a round are. */
export interface Evaluated {
  readonly clients: number;
  /** Test examples of these clients. */
  readonly examples: number;
  /** Over whom the validation figures are; absent: there are none. How many clients, a masked sum does not say. */
  readonly validation?: { readonly examples: number; readonly clients?: number };
  /** Where not all that were here were asked: how many were here, and whether lots were drawn, or who was late passed over. */
  readonly asked?: { readonly of: number; readonly by: 'lot' | 'punctuality' };
  /** Who was asked, or trained in this round and was away, and is in no figure. */
  readonly missing: readonly Missing[];
}

/** A client that no test figure counts. */
export interface Missing {
  readonly client: string;
  readonly reason: DropReason | 'offline' | 'no-figures';
  readonly detail?: string;
}

/** How a run can stand. */
export const RUN_STATUSES = ['running', 'completed', 'stopped', 'budget-exhausted', 'failed'] as const;

/** One of {@link RUN_STATUSES}. */
export type RunStatus = (typeof RUN_STATUSES)[number];
