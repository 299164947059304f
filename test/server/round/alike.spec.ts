/** An attempt whose failure cannot change is not repeated: one that the clients' own training alone stood in the way of. */
import assert from 'node:assert/strict';
import { FAILED, FAILS_ALIKE } from '../../../shared/run/fails-alike.js';
import {
  arrived,
  declined,
  online,
  play,
  recordsOf,
  resume,
  start,
  stateAfter,
  task,
  timer,
  training,
} from '../../support/rounds.js';

const ENGINE = { maxAttempts: 5 };
const failed = (client: string) => ({ ...declined(client, 'failed'), detail: `why; ${FAILS_ALIKE}` });

describe('a round whose training fails', () => {
  it('is not tried again when those who are left are too few: the run ends and says what to do', () => {
    const [state, effects] = play(training(ENGINE), failed('a'), arrived('c'), failed('b'));
    assert.equal(state.status, 'failed');
    assert.equal(
      state.reason,
      'round 1 failed with 1 of at least 2 updates (a, b failed: why; another attempt would fail alike); another attempt would fail alike; mend the cause, then resume the run',
    );
    const kinds = recordsOf(effects).map(({ kind }) => kind);
    assert.deepEqual(kinds, ['round-aborted', 'ended']);
  });

  it('is not tried again for updates that are invalid, in the clear', () => {
    const invalid = (client: string) => {
      return { kind: 'invalid', client, round: 1, attempt: 1, updateSha256: client, detail: 'too large' } as const;
    };
    const state = stateAfter(training(ENGINE), failed('a'), invalid('b'), arrived('c'));
    assert.match(state.reason, /^round 1 failed with .*another attempt would fail alike/);
    const secure = stateAfter(training({ ...ENGINE, secure: true }), failed('a'), invalid('b'), invalid('c'));
    assert.equal(secure.status, 'running');
  });

  it('is tried once more where clients may not say why: the attempt may be one that was forgotten', () => {
    const silent = (attempt: number) =>
      ['a', 'b', 'c'].map((client) => ({ ...declined(client, 'failed', task('train', 1, attempt)), detail: FAILED }));
    const once = stateAfter(training(ENGINE), ...silent(1));
    assert.deepEqual([once.status, once.attempt], ['running', 2]);
    assert.match(stateAfter(once, ...silent(2)).reason, /^round 1 failed with .*another attempt would fail alike/);
  });

  it('is tried again when the run is resumed, for the cause may be mended', () => {
    const resumed = stateAfter(training(ENGINE), failed('a'), failed('b'), failed('c'), resume);
    assert.deepEqual([resumed.status, resumed.stage.kind, resumed.attempt], ['running', 'training', 2]);
  });

  it('is tried again when anything else was in the way: a deadline, a drop-out, a refusal', () => {
    const late = stateAfter(training(ENGINE), failed('a'), failed('b'), timer('training/1/1'));
    const gone = stateAfter(training(ENGINE), failed('a'), failed('b'), declined('c', 'dropout'));
    assert.deepEqual([late.status, late.attempt, gone.status, gone.attempt], ['running', 2, 'running', 2]);
  });

  it('is tried again when another cohort may do better', () => {
    const wide = stateAfter(
      start({ ...ENGINE, cohort: 2, minClients: 2, minSurvivors: 2 }),
      ...online('a', 'b', 'c', 'd'),
    );
    const next = stateAfter(wide, ...'abcd'.split('').map(failed));
    assert.deepEqual([next.status, next.attempt], ['running', 2]);
  });
});
