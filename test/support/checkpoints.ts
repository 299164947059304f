/** A checkpoint in the place of the first records of a journal, however many: what is found again is the same. */
import assert from 'node:assert/strict';
import type { RunRecord } from '../../server/journal/records.js';
import { restore } from '../../server/round/restore.js';
import { compacted } from '../../server/run/run-journal.js';

const LEDGER = { round: 0, lineSha256: '', modelSha256: '', sizeBytes: 0 };

/** At every place, and at two places one after the other, across the disk. */
export function assertCheckpointsHold(journal: readonly RunRecord[]): void {
  const expected = restore(journal, 0);
  for (let first = 1; first <= journal.length; first++) {
    const once = [...compacted(journal.slice(0, first), LEDGER).head, ...journal.slice(first)];
    assert.deepEqual(restore(stored(once), 0), expected, `a checkpoint after ${first} records`);
    for (let second = 2; second <= once.length; second++) {
      const twice = [...compacted(stored(once.slice(0, second)), LEDGER).head, ...once.slice(second)];
      assert.deepEqual(restore(stored(twice), 0), expected, `checkpoints after ${first} and ${second} records`);
    }
  }
}

function stored(records: readonly RunRecord[]): RunRecord[] {
  return JSON.parse(JSON.stringify(records)) as RunRecord[];
}
