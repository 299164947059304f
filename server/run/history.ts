/** What the report needs to know of a run's past: a fold of its journal, made when somebody asks and not held. */
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { RoundSummary } from '../../shared/run/summary.js';
import type { Evaluation, RunRecord } from '../journal/records.js';
import { recordsOf } from './run-journal.js';

/** Summaries of the rounds that are over, and the last evaluation. */
export interface History {
  readonly summaries: readonly RoundSummary[];
  readonly pooled: SumMetrics;
  readonly perClient: Readonly<Record<string, SumMetrics>>;
}

/** What the records of a run's directory tell, whether the run is at work or not. @throws FlError naming the file that is wrong */
export async function readHistory(directory: string): Promise<History> {
  const summaries: RoundSummary[] = [];
  let evaluated: Pick<History, 'pooled' | 'perClient'> = { pooled: {}, perClient: {} };
  for await (const records of recordsOf(directory)) {
    for (const record of records) {
      if (record.kind !== 'round-ended') continue;
      const { summary, pooled, perClient } = record;
      summaries.push(summary);
      if (Object.keys(pooled).length > 0) evaluated = { pooled, perClient };
    }
  }
  return { summaries, ...evaluated };
}

/** The record of a round that is over; only the last evaluation is kept client by client. */
export function roundEnded(summary: RoundSummary, { pooled, perClient }: Evaluation, isLast: boolean): RunRecord {
  return { kind: 'round-ended', atMs: 0, summary, pooled, perClient: isLast ? perClient : {} };
}
