/**
 * A run taken back to the end of its last whole round: what was begun after it is as if it had never been. For simulations
 * alone, in which the same draws come again: no lab has been charged, and nobody has been sent anything. A run of real labs
 * goes forwards only (server/round/restore.ts).
 */
import { join } from 'node:path';
import { type Files, systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import { encodeJournal, parseJournal } from '../journal/journal.js';
import { createdIn, type RunRecord } from '../journal/records.js';
import { isEvaluatedAfter } from '../round/evaluation.js';
import { LEDGER_FILE } from './ledger.js';
import { JOURNAL_FILE } from './run-journal.js';

/**
 * Durable when it resolves; killed in between, it is done again. The caller holds the directory's lock.
 * @throws FlError not-found: there is no run · corrupt
 */
export async function rewind(directory: string, files: Files = systemFiles): Promise<void> {
  const path = join(directory, JOURNAL_FILE);
  const content = await files.read(path);
  if (content === undefined) throw new FlError('not-found', `${path}: expected the journal of a run, got no file`);
  const records = parseJournal(content).records as RunRecord[];
  const whole = wholeRounds(records);
  if (whole.length === records.length) return;
  await cutLedger(join(directory, LEDGER_FILE), roundsIn(whole) + 1, files); // what it lacks is written again
  await writeFileDurably(path, encodeJournal(whole)!, files); // its records were in a journal
}

/** The records up to the end of a round, or to the beginning. Pure. */
export function wholeRounds(records: readonly RunRecord[]): readonly RunRecord[] {
  const { spec } = createdIn(records);
  const lastEnd = (from: number) => records.findLastIndex((record, at) => at <= from && endsRound(record));
  const last = lastEnd(records.length - 1);
  const { [last]: record, [last + 1]: next } = records;
  // a stop in the middle of an evaluation closes the round without it
  const isCutShort =
    record.kind === 'round-ended' &&
    next?.kind === 'ended' &&
    Object.keys(record.pooled).length === 0 &&
    isEvaluatedAfter(record.summary.round, spec.engine);
  return records.slice(0, (isCutShort ? lastEnd(last - 1) : last) + 1);
}

/** A checkpoint stands for all rounds before it, to the end of the last. */
function endsRound({ kind }: RunRecord): boolean {
  return kind === 'round-ended' || kind === 'created' || kind === 'checkpoint';
}

function roundsIn(whole: readonly RunRecord[]): number {
  const last = whole[whole.length - 1];
  if (last.kind === 'round-ended') return last.summary.round;
  return last.kind === 'checkpoint' ? last.rounds : 0;
}

async function cutLedger(path: string, lines: number, files: Files): Promise<void> {
  const content = await files.read(path);
  if (content === undefined) return;
  const kept = Buffer.from(content).toString('utf8').split('\n').slice(0, -1).slice(0, lines);
  await writeFileDurably(path, Buffer.from(kept.map((line) => `${line}\n`).join('')), files);
}
