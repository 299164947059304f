/**
 * The journal of one run, which does not grow for ever: beyond a size its records move to `history/` and one checkpoint
 * takes their place, so that a start reads little however long the run is.
 *
 * Kill it anywhere: the records are in `history/` durably before the journal is replaced, by one rename, with one that
 * counts them. A file of `history/` that the journal does not count is nothing, and is written over.
 */
import { join } from 'node:path';
import { type Files, systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import { encodeJournal, type Journal, openJournal, parseJournal } from '../journal/journal.js';
import { type Checkpoint, checkpointIn, createdIn, type LedgerEnd, type RunRecord } from '../journal/records.js';
import { readSegment, writeSegment } from '../journal/segments.js';
import { checkpointStateOf, fold } from '../round/restore.js';

/** The file without which a directory is no run: it comes last. */
export const JOURNAL_FILE = 'journal.log';

/** Some two hundred rounds of twenty clients; they are read in ten milliseconds. */
const JOURNAL_BYTES = 1 << 20;

/** A journal that is open. */
export interface RunJournal extends Pick<Journal, 'append' | 'close'> {
  /**
   * Between two rounds, with the ledger as it stands: puts a checkpoint in the place of all records, if they are many.
   * Nothing may be appended before it resolves.
   */
  compact(ledger: LedgerEnd): Promise<void>;
}

/** How it is opened: sizes and disk are for tests. */
interface RunJournalOptions {
  readonly files?: Files;
  readonly journalBytes?: number;
  readonly check?: (records: readonly unknown[]) => void;
}

/** Opens the journal of a run, as `openJournal` does. */
export async function openRunJournal(
  directory: string,
  { files = systemFiles, journalBytes = JOURNAL_BYTES, check }: RunJournalOptions = {},
): Promise<{ records: RunRecord[]; journal: RunJournal }> {
  const path = join(directory, JOURNAL_FILE);
  let { records, journal } = await openJournal(path, { files, check });
  let limitBytes = journalBytes;
  return {
    records: records as RunRecord[],
    journal: {
      append: (record) => journal.append(record),
      close: () => journal.close(),
      async compact(ledger) {
        if (journal.sizeBytes < limitBytes) return;
        const content = await files.read(path);
        const { records } = parseJournal(content ?? new Uint8Array(0));
        const { head, moved, segments } = compacted(records as RunRecord[], ledger);
        const bytes = encodeJournal(head);
        if (bytes === undefined) {
          limitBytes = Number.POSITIVE_INFINITY; // a million clients with an account each: it goes on as it is
          return;
        }
        await writeSegment(directory, { number: segments, records: moved, files });
        await journal.close();
        await writeFileDurably(path, bytes, files);
        ({ journal } = await openJournal(path, { files }));
        limitBytes = Math.max(journalBytes, 2 * bytes.length); // where the checkpoint alone is large
      },
    },
  };
}

/** The records that stay, and those that go. Pure. */
export function compacted(
  records: readonly RunRecord[],
  ledger: LedgerEnd,
): { head: RunRecord[]; moved: RunRecord[]; segments: number } {
  const created = createdIn(records);
  const before = checkpointIn(records);
  const moved = records.slice(before === undefined ? 1 : 2);
  const segments = (before?.segments ?? 0) + 1;
  const rounds = moved.findLast((record) => record.kind === 'round-ended')?.summary.round ?? before?.rounds ?? 0;
  const checkpoint: Checkpoint = {
    ...{ kind: 'checkpoint', state: checkpointStateOf(fold(records)), rounds, segments, ledger },
  };
  return { head: [created, { atMs: records[records.length - 1].atMs, ...checkpoint }], moved, segments };
}

/** All records of a run in their order, a file at a time; nothing is written. @throws FlError naming the file that is wrong */
export async function* recordsOf(directory: string): AsyncGenerator<readonly RunRecord[]> {
  const content = await systemFiles.read(join(directory, JOURNAL_FILE));
  if (content === undefined)
    throw new FlError('not-found', `${JOURNAL_FILE}: expected the journal of a run, got no file`);
  const records = parseJournal(content).records as RunRecord[];
  const checkpoint = checkpointIn(records);
  if (checkpoint === undefined) return void (yield records);
  yield records.slice(0, 1);
  for (let number = 1; number <= checkpoint.segments; number++) yield await readSegment(directory, number);
  yield records.slice(2);
}

/** {@link recordsOf} in one list. */
export async function allRecordsOf(directory: string): Promise<RunRecord[]> {
  const all: RunRecord[] = [];
  for await (const records of recordsOf(directory)) for (const record of records) all.push(record);
  return all;
}
