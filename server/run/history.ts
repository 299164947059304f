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

/** What these records tell. */
export function historyOf(records: readonly RunRecord[]): History {
  const ended = records.filter((record) => record.kind === 'round-ended');
  const evaluated = ended.findLast(({ pooled }) => Object.keys(pooled).length > 0);
  const { pooled = {}, perClient = {} } = evaluated ?? {};
  return { summaries: ended.map(({ summary }) => summary), pooled, perClient };
}

/** The same of a run's directory, whether the run is at work or not. @throws FlError naming the file that is wrong */
export async function readHistory(directory: string): Promise<History> {
  const ended: RunRecord[] = [];
  for await (const records of recordsOf(directory)) {
    for (const record of records) if (record.kind === 'round-ended') ended.push(record);
  }
  return historyOf(ended);
}

/** The record of a round that is over; only the last evaluation is kept client by client. */
export function roundEnded(summary: RoundSummary, { pooled, perClient }: Evaluation, isLast: boolean): RunRecord {
  return { kind: 'round-ended', atMs: 0, summary, pooled, perClient: isLast ? perClient : {} };
}
