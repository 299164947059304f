/** What the stages of a round have in common: who is drawn, how long is waited, and what a resume forgets. */
import assert from 'node:assert/strict';
import { draw } from '../../../server/round/moves.js';
import { NO_TRAINING_EXAMPLES } from '../../../shared/run/no-examples.js';
import type { TaskKind } from '../../../shared/run/plan.js';
import {
  committing,
  declined,
  of,
  online,
  play,
  receipts,
  recordsOf,
  resume,
  SPEC,
  start,
  stop,
  stored,
  task,
  training,
} from '../../support/rounds.js';

const TEN = [...'abcdefghij'];

describe('a cohort', () => {
  it('is drawn anew in each attempt, alike for a like seed', () => {
    const cohorts: string[] = [];
    let [state, effects] = play(start({ maxAttempts: 9, minClients: 10 }), ...online(...TEN));
    for (let attempt = 1; ; attempt++) {
      cohorts.push(...recordsOf(effects).flatMap((r) => (r.kind === 'round-started' ? [r.cohort.join('')] : [])));
      if (attempt === 3) break;
      const [begun] = recordsOf(effects).flatMap((record) => (record.kind === 'round-started' ? [record.cohort] : []));
      [state, effects] = play(state, ...begun.map((client) => declined(client, 'dropout', task('train', 1, attempt))));
    }
    assert.deepEqual(cohorts, ['afh', 'hij', 'fgh']);
  });

  it('that judges is drawn apart from the one that trains', () => {
    const drawn = (kind: TaskKind) => draw(start(), kind, TEN, { least: 3, most: 3 }).names.join('');
    assert.deepEqual([drawn('train'), drawn('evaluate')], ['afh', 'chj']);
  });

  it('works for one deadline; of a masked sum the phases have theirs, and five in all are the last resort', () => {
    const dueMs = (secure: boolean) =>
      of(play(start({ secure }), ...online('a', 'b', 'c'))[1], 'timer').map(({ atMs }) => atMs);
    assert.deepEqual([dueMs(false), dueMs(true)], [[SPEC.deadlineMs], [5 * SPEC.deadlineMs]]);
  });
});

describe('a run that is stopped', () => {
  it('voids the updates of a sum that is being stored', () => {
    const [state, effects] = play(committing(), stop, stored());
    assert.deepEqual(receipts(effects), ['a round-aborted', 'b round-aborted', 'c round-aborted']);
    assert.deepEqual([state.status, state.modelSha256], ['stopped', 'm0']);
  });
});

describe('a run that is resumed', () => {
  it('asks those again that had no example, and those that refused', () => {
    const without = { ...declined('c', 'dropout'), detail: NO_TRAINING_EXAMPLES };
    const [ended] = play(training(), without, declined('b', 'refused'), stop);
    assert.deepEqual([ended.empty, Object.keys(ended.refused)], [['c'], ['b']]);
    const [again, effects] = play(ended, resume);
    assert.deepEqual([again.empty, again.refused], [[], {}]);
    const started = recordsOf(effects).flatMap((record) => (record.kind === 'round-started' ? [record.cohort] : []));
    assert.deepEqual(started, [['a', 'b', 'c']]);
  });
});
