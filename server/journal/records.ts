/** What journal.log holds of a run: its state after a restart is the fold of these records. */
import { FlError } from '../../shared/errors.js';
import type { ClientHandOver, SecureProof } from '../../shared/ledger/entry.js';
import type { RoundPrivacy } from '../../shared/ledger/privacy.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { StoredRunSpec } from '../../shared/run/spec.js';
import type { RoundSummary, RunStatus } from '../../shared/run/summary.js';

/** The summary of a round that is committed and not yet evaluated. */
export type Draft = Omit<RoundSummary, 'bytesUp' | 'bytesDown'>;

/** What an evaluation brought. */
export interface Evaluation {
  /** Sums over all; empty when the round was not evaluated. */
  readonly pooled: SumMetrics;
  /** Each client's own, where these may be known. */
  readonly perClient: Readonly<Record<string, SumMetrics>>;
  /** Who let the deadline pass, and who had done so before and answered now; absent: nobody. */
  readonly late?: readonly string[];
  readonly back?: readonly string[];
}

/** One entry of journal.log; `atMs` is the coordinator's clock, in milliseconds since 1970. */
export type RunRecord = { readonly atMs: number } & (
  | { readonly kind: 'created'; readonly run: string; readonly spec: StoredRunSpec; readonly modelSha256: string }
  | {
      readonly kind: 'round-started';
      readonly round: number;
      readonly attempt: number;
      readonly cohort: readonly string[];
    }
  | {
      readonly kind: 'round-aborted';
      readonly round: number;
      readonly attempt: number;
      readonly reason: string;
      /** Who let the deadline pass; absent: nobody. */
      readonly late?: readonly string[];
    }
  | {
      readonly kind: 'committed';
      readonly round: number;
      readonly attempt: number;
      readonly modelSha256: string;
      readonly survivors: readonly { readonly client: string; readonly updateSha256: string }[];
      readonly draft: Draft;
      /** What the ledger says of the secure aggregation behind it; the shell adds it. */
      readonly secure?: readonly SecureProof[];
      /** Of clients in its rosters whose keys followed others since the run began; the shell adds it. */
      readonly clientHandOvers?: readonly ClientHandOver[];
      readonly privacy?: RoundPrivacy;
      /** With adaptive clipping: the bound of the next round. */
      readonly nextClippingBound?: number;
      /** Where masked updates were clamped: the value range of the next rounds. */
      readonly nextValueRange?: number;
    }
  /** `perClient` is kept for the last round only. */
  | ({ readonly kind: 'round-ended'; readonly summary: RoundSummary } & Evaluation)
  | { readonly kind: 'ended'; readonly status: RunStatus; readonly reason: string }
  /** `nextAttempt`: to go on with; absent: one more than before. */
  | { readonly kind: 'resumed'; readonly nextAttempt?: number }
  | Checkpoint
);

/**
 * What all records before it come to; second in a journal, or not there. They are in `history/` (segments.ts), and nobody
 * needs them to go on.
 */
export interface Checkpoint {
  readonly kind: 'checkpoint';
  /** The fold of them, without what `created` says (server/round/restore.ts). */
  readonly state: object;
  /** Rounds that are over. */
  readonly rounds: number;
  /** So many files of `history/` hold them; one more may have been left by a crash, and is nothing. */
  readonly segments: number;
  /** The ledger as it stood. */
  readonly ledger: LedgerEnd;
}

/** Where a ledger ends; `round` is 0 after its first line. */
export interface LedgerEnd {
  readonly round: number;
  readonly lineSha256: string;
  readonly modelSha256: string;
  readonly sizeBytes: number;
}

/** The records of one kind. */
export type RecordOf<Kind extends RunRecord['kind']> = Extract<RunRecord, { kind: Kind }>;

/** The first record of a run. @throws FlError corrupt when it is another one, or there is none */
export function createdIn([first]: readonly RunRecord[]): RecordOf<'created'> {
  if (first?.kind === 'created') return first;
  throw new FlError('corrupt', `journal: expected "created" first, got ${first?.kind}`);
}

/** The checkpoint of a journal, if it has one. */
export function checkpointIn([, second]: readonly RunRecord[]): RecordOf<'checkpoint'> | undefined {
  return second?.kind === 'checkpoint' ? second : undefined;
}
