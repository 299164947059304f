import assert from 'node:assert/strict';
import type { RunRecord } from '../../../server/journal/records.js';
import { CommittedRounds } from '../../../server/run/committed.js';

const SHA = 'a'.repeat(64);
const MODEL = 'b'.repeat(64);

function committed(updateSha256: string): RunRecord {
  const draft = { round: 1, attempt: 2, cohort: 2, survivors: 1, dropped: [], modelSha256: MODEL, metrics: {} };
  return {
    ...{ kind: 'committed', atMs: 0, round: 1, attempt: 2, modelSha256: MODEL },
    survivors: [{ client: 'c1', updateSha256 }],
    draft: { ...draft, durationMs: 0, overheadMs: 0 },
  };
}

describe('the last word on an update, after a crash', () => {
  const update = { client: 'c1', round: 1, attempt: 2, updateSha256: SHA };
  for (const [kept, sha256] of [
    ['with its hash in the journal', SHA],
    ['without', ''],
  ]) {
    const history = new CommittedRounds([committed(sha256)]);
    const outcome = (client: string, more = {}) => history.receiptFor('r', { ...update, client, ...more })?.outcome;

    it(`is that it was summed, ${kept}`, () => {
      assert.equal(outcome('c1'), 'committed');
      assert.equal(history.receiptFor('r', update)?.updateSha256, SHA);
    });

    it(`is that it was not, for another client, attempt or round, ${kept}`, () => {
      assert.equal(outcome('c2'), 'dropped');
      assert.equal(outcome('c1', { attempt: 1 }), 'dropped');
      assert.equal(outcome('c1', { round: 2 }), undefined);
    });
  }

  it('is that another update of a client was not, where hashes are kept', () => {
    assert.equal(new CommittedRounds([committed(MODEL)]).receiptFor('r', update)?.outcome, 'dropped');
  });
});

describe('rounds that are committed', () => {
  const at = (round: number): RunRecord => ({ ...committed(SHA), round }) as RunRecord;
  const rounds = (count: number) => Array.from({ length: count }, (_, i) => at(i + 1));

  it('are at hand as long as sixteen follow at most, and long past then', () => {
    const history = new CommittedRounds(rounds(17));
    assert.deepEqual(
      [0, 1, 2, 17, 18].map((round) => history.isLongPast(round)),
      [true, true, false, false, false],
    );
    const outcome = (round: number) =>
      history.receiptFor('r', { client: 'c1', round, attempt: 2, updateSha256: SHA })?.outcome;
    assert.deepEqual([1, 2, 17].map(outcome), [undefined, 'committed', 'committed']);
  });

  it('are as many as the checkpoint of a journal says that holds none of them', () => {
    const checkpoint = { kind: 'checkpoint', atMs: 0, state: {}, rounds: 40, segments: 1, ledger: { round: 40 } };
    const history = new CommittedRounds([checkpoint as unknown as RunRecord]);
    assert.deepEqual(
      [40, 41].map((round) => history.isLongPast(round)),
      [true, false],
    );
  });
});
