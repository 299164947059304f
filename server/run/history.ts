/**
 * What the report and a late receipt need to know of a run's past; the fold of its journal, beside the engine's state.
 */
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { Receipt } from '../../shared/run/plan.js';
import type { RoundSummary } from '../../shared/run/summary.js';
import type { Evaluation, RunRecord } from '../journal/records.js';
import { dropReceipt } from '../round/fate.js';
import type { UpdateId } from '../round/state.js';

interface CommittedRound {
  readonly attempt: number;
  readonly modelSha256: string;
  readonly updates: ReadonlyMap<string, string>;
}

/** Committed rounds and their updates, summaries, and the last evaluation. */
export class History {
  readonly summaries: RoundSummary[] = [];
  readonly #committed = new Map<number, CommittedRound>();
  /** Of the last evaluation. */
  pooled: SumMetrics = {};
  perClient: Readonly<Record<string, SumMetrics>> = {};

  constructor(records: readonly RunRecord[]) {
    for (const record of records) this.add(record);
  }

  add(record: RunRecord): void {
    if (record.kind === 'committed') {
      const updates = new Map(record.survivors.map(({ client, updateSha256 }) => [client, updateSha256]));
      this.#committed.set(record.round, { attempt: record.attempt, modelSha256: record.modelSha256, updates });
    } else if (record.kind === 'round-ended') {
      this.summaries.push(record.summary);
      if (Object.keys(record.pooled).length > 0) {
        this.pooled = record.pooled;
        this.perClient = record.perClient;
      }
    }
  }

  /** The record of a round that is over; only the last evaluation is kept client by client. */
  roundEnded(summary: RoundSummary, evaluation: Evaluation, isLast: boolean): RunRecord {
    return { kind: 'round-ended', atMs: 0, summary, ...evaluation, perClient: isLast ? evaluation.perClient : {} };
  }

  /** The last word on an update of a round that is over, if it is over. */
  receiptFor(run: string, update: UpdateId): Receipt | undefined {
    const { client, round, attempt, updateSha256 } = update;
    const committed = this.#committed.get(round);
    if (committed === undefined) return undefined;
    const { modelSha256 } = committed;
    const known = committed.updates.get(client);
    // Where the hash is not written down (server/round/training.ts), a client has one update for an attempt.
    const counted = committed.attempt === attempt && (known === updateSha256 || known === '');
    if (!counted) return dropReceipt(run, update, 'deadline');
    return { run, round, attempt, client, updateSha256, outcome: 'committed', modelSha256 };
  }
}
