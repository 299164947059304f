/** What happened in a run, as its files tell it to whoever watches late: the end of each round, and how the run stands. */
import type { RunEvent } from '../../shared/run/events.js';
import { recordsOf } from './run-journal.js';

/** The ends of the rounds after `after`, up to `upTo`, in order. @throws FlError naming the file that is wrong */
export async function* readRoundEvents(
  directory: string,
  { after, upTo }: { readonly after: number; readonly upTo: number },
): AsyncGenerator<RunEvent> {
  for await (const records of recordsOf(directory)) {
    for (const record of records) {
      if (record.kind !== 'round-ended') continue;
      const { atMs, summary } = record;
      if (summary.round > after && summary.round <= upTo) yield { kind: 'round-ended', atMs, summary };
    }
  }
}

/** The same of a run that has ended, to its end. */
export async function* readAllEvents(directory: string): AsyncGenerator<RunEvent> {
  let end: RunEvent | undefined;
  for await (const records of recordsOf(directory)) {
    for (const { atMs, ...record } of records) {
      if (record.kind === 'round-ended') yield { kind: 'round-ended', atMs, summary: record.summary };
      if (record.kind === 'ended') end = { ...record, atMs };
    }
  }
  if (end !== undefined) yield end;
}
