/**
 * The round engine, stage by stage: what it makes of the expected event, the wrong one, one that comes twice or late, a
 * client that goes, and time that runs out.
 */
import assert from 'node:assert/strict';
import { namesOf } from '../../../server/round/cohort.js';
import type { Effect } from '../../../server/round/state.js';
import type { EngineSpec } from '../../../shared/run/spec.js';
import {
  arrived,
  committed,
  committing,
  declined,
  dropped,
  evaluated,
  evaluating,
  of,
  online,
  plansTo,
  play,
  receipts,
  recordsOf,
  resume,
  start,
  stateAfter,
  stop,
  stored,
  task,
  timer,
  training,
} from '../../support/rounds.js';

describe('a secure sum over fewer than a round needs', () => {
  it('is no round, and of as many is one', () => {
    const closed = (survivors: string[]) =>
      play(training({ secure: true }), { kind: 'secured', task: task('train'), survivors, pooled: {} });
    const [few, effects] = closed(['a']);
    assert.notEqual(few.stage.kind, 'committing');
    const [aborted] = recordsOf(effects);
    assert.ok(aborted.kind === 'round-aborted' && /a sum over 1 clients/.test(aborted.reason), JSON.stringify(aborted));
    assert.equal(closed(['a', 'b'])[0].stage.kind, 'committing');
  });
});

describe('a run that waits', () => {
  it('draws from all who are there when it comes, not from the first of them', () => {
    const few = start({ minClients: 1, cohort: 2 });
    const [, effects] = play(few, { kind: 'present', clients: ['b', 'a'], atMs: 1 });
    assert.deepEqual(plansTo(effects), ['a train', 'b train']);
  });

  it('draws a cohort as soon as there are enough clients, and not before', () => {
    const [two, first] = play(start(), ...online('a', 'b'));
    assert.equal(two.stage.kind, 'waiting');
    assert.deepEqual(
      of(first, 'emit').map(({ event }) => event.kind === 'waiting' && event.online),
      [1, 2],
    );
    const [three, effects] = play(two, ...online('c'));
    assert.equal(three.stage.kind, 'training');
    assert.deepEqual(plansTo(effects), ['a train', 'b train', 'c train']);
    assert.deepEqual(recordsOf(effects), [
      { kind: 'round-started', atMs: 0, round: 1, attempt: 1, cohort: ['a', 'b', 'c'] },
    ]);
    assert.equal(effects[0].kind, 'record', 'the cohort is durable before anybody hears of it');
  });

  it('begins no round while it is paused, ends the one that goes on, and draws the same cohort as ever when it may', () => {
    const pause = (reason: string) => ({ kind: 'pause', reason, atMs: 0 }) as const;
    const [paused, effects] = play(start(), pause('no room'), ...online('a', 'b', 'c'));
    assert.equal(paused.stage.kind, 'waiting');
    assert.deepEqual(recordsOf(effects), []);
    assert.deepEqual(
      of(effects, 'emit').map(({ event }) => event.kind === 'waiting' && [event.online, event.paused]),
      [0, 1, 2, 3].map((here) => [here, 'no room']),
    );
    const drawn = play(start(), ...online('a', 'b', 'c'))[1].slice(2);
    const who = (effect: Effect) => effect.kind === 'emit' && effect.event.kind === 'waiting-for'; // said when one comes
    assert.deepEqual(
      play(paused, pause(''))[1],
      drawn.filter((effect) => !who(effect)),
    );
    const [atWork, nothing] = play(training(), pause('no room'));
    assert.deepEqual([atWork.stage.kind, nothing], ['training', []]);
    assert.equal(play(atWork, arrived('a'), arrived('b'), arrived('c'))[0].stage.kind, 'committing');
  });

  it('says for how many it waits when it begins to, and when somebody comes or goes', () => {
    const said = (effects: readonly Effect[]) =>
      of(effects, 'emit').map(({ event }) =>
        event.kind === 'waiting' ? `${event.online} of ${event.need}` : event.kind,
      );
    const [two, first] = play(start(), ...online('a', 'b'), { kind: 'offline', client: 'b' }, ...online('b'));
    assert.deepEqual(said(first), ['1 of 3', '2 of 3', '1 of 3', '2 of 3']);
    assert.deepEqual(said(play(two, arrived('a'), timer('waiting/1/1'), stored())[1]), []);
    const alone = stateAfter(
      training({ maxAttempts: 3 }),
      ...['b', 'c'].map((client) => ({ kind: 'offline', client }) as const),
    );
    assert.deepEqual(said(play(alone, timer('training/1/1'))[1]).at(-1), '1 of 3');
    assert.deepEqual(said(play(stateAfter(two, stop), resume)[1]), ['2 of 3']);
  });

  it('does not count one client twice, nor one that has gone', () => {
    const state = stateAfter(start(), ...online('a', 'a', 'b'), { kind: 'offline', client: 'b' }, ...online('c'));
    assert.equal(state.stage.kind, 'waiting');
    assert.deepEqual(state.online, ['a', 'c']);
  });

  it('rejects what comes for no round at all', () => {
    const state = stateAfter(start(), ...online('a'));
    const [next, effects] = play(
      state,
      arrived('a'),
      evaluated('a'),
      declined('a', 'failed'),
      stored(),
      timer('waiting/1/1'),
    );
    assert.equal(next, state);
    assert.deepEqual(
      of(effects, 'answer').map(({ outcome }) => outcome),
      ['rejected'],
    );
    assert.deepEqual(receipts(effects), ['a deadline']);
  });
});

describe('the draw', () => {
  const names = Array.from({ length: 20 }, (_, i) => `c${String(i).padStart(2, '0')}`);
  const cohortOf = (spec: Partial<EngineSpec>, order = names) => {
    const state = stateAfter(start({ minClients: 20, cohort: 5, ...spec }), ...online(...order));
    assert.ok(state.stage.kind === 'training');
    return state.stage.cohort.names;
  };

  it('is a function of seed, round, attempt and who is here, not of who came first', () => {
    assert.deepEqual(cohortOf({}, names.toReversed()), cohortOf({}));
    assert.notDeepEqual(cohortOf({ seed: 8 }), cohortOf({}));
  });

  it('differs from attempt to attempt', () => {
    const state = stateAfter(start({ minClients: 20, cohort: 5 }), ...online(...names));
    const again = stateAfter(state, { ...timer('training/1/1'), atMs: 1000 });
    assert.ok(state.stage.kind === 'training' && again.stage.kind === 'training');
    assert.equal(again.attempt, 2);
    assert.notDeepEqual(again.stage.cohort.names, state.stage.cohort.names);
  });

  it('invites as many more as over-selection says, rounded up, and all if there are fewer', () => {
    assert.equal(cohortOf({ overSelection: 0.3 }).length, 7); // ceil(5 × 1.3)
    assert.equal(cohortOf({ overSelection: 10 }).length, 20);
  });
});

describe('a round in training', () => {
  it('takes each update once and closes when all are in', () => {
    const [state, effects] = play(training(), arrived('a'), arrived('b'), arrived('c'));
    assert.deepEqual(
      of(effects, 'answer').map(({ outcome }) => outcome),
      ['add', 'add', 'add'],
    );
    assert.deepEqual(of(effects, 'commit'), [{ kind: 'commit', round: 1, attempt: 1, survivors: ['a', 'b', 'c'] }]);
    assert.equal(state.stage.kind, 'committing');
  });

  it('says accepted again to the same update, and adds nothing', () => {
    const state = stateAfter(training(), arrived('a'));
    const [next, effects] = play(state, arrived('a'));
    assert.equal(next, state);
    assert.deepEqual(effects, [{ kind: 'answer', client: 'a', updateSha256: 'a-sha', outcome: 'again', detail: '' }]);
  });

  it('rejects a second, different update, and says so', () => {
    const [state, effects] = play(training(), arrived('a'), arrived('a', { sha: 'other' }));
    assert.deepEqual(
      of(effects, 'answer').map(({ outcome }) => outcome),
      ['add', 'rejected'],
    );
    assert.match(of(effects, 'answer')[1].detail, /duplicate/);
    assert.deepEqual(
      of(effects, 'receipt').map(({ receipt }) => receipt.updateSha256),
      ['other'],
    );
    assert.ok(state.stage.kind === 'training');
    assert.deepEqual(namesOf(state.stage.cohort, 'arrived'), ['a']);
  });

  it('rejects a stale update and names the round that it expects', () => {
    const [, effects] = play(training(), arrived('a', { round: 9 }), arrived('a', { attempt: 2 }));
    assert.deepEqual(
      of(effects, 'answer').map(({ detail }) => detail),
      ['stale: expected round 1 attempt 1', 'stale: expected round 1 attempt 1'],
    );
  });

  it('rejects a client that was not drawn', () => {
    const [, effects] = play(stateAfter(training(), ...online('d')), arrived('d'));
    assert.match(of(effects, 'answer')[0].detail, /not in the cohort/);
    assert.deepEqual(plansTo(effects), []);
  });

  it('drops who sends rubbish, and goes on with the others', () => {
    const invalid = {
      kind: 'invalid',
      client: 'a',
      round: 1,
      attempt: 1,
      updateSha256: 'x',
      detail: 'NaN at 3',
    } as const;
    const [state, effects] = play(training(), invalid, arrived('a'), arrived('b'), arrived('c'));
    assert.deepEqual(dropped(effects), ['a invalid-update']);
    assert.deepEqual(receipts(effects), ['a invalid-update', 'a invalid-update']);
    assert.deepEqual(
      of(effects, 'answer').map(({ detail }) => detail),
      ['NaN at 3', 'dropped: invalid-update', '', ''],
    );
    assert.equal(state.stage.kind, 'committing');
  });

  it('drops who declines, and who only says so in time', () => {
    const [state, effects] = play(
      training(),
      declined('a', 'failed'),
      declined('a', 'failed'),
      declined('b', 'failed', task('train', 1, 9)),
    );
    assert.deepEqual(dropped(effects), ['a failed']);
    assert.ok(state.stage.kind === 'training');
    assert.deepEqual(namesOf(state.stage.cohort, 'invited'), ['b', 'c']);
    const [, late] = play(stateAfter(training(), arrived('a')), declined('a', 'dropout'), declined('d', 'failed'));
    assert.deepEqual(late, [], 'an update that is in stays in');
  });

  it('keeps the place of a client that goes away, and gives it the same plan when it is back', () => {
    const state = training();
    const [next, effects] = play(state, { kind: 'offline', client: 'b' }, { ...online('b')[0], atMs: 400 });
    assert.deepEqual(next, state);
    assert.deepEqual(of(effects, 'plan'), [
      {
        kind: 'plan',
        client: 'b',
        task: 'train',
        round: 1,
        attempt: 1,
        modelSha256: 'm0',
        deadlineAtMs: 1000,
        cohort: 3,
      },
    ]);
    const [, none] = play(stateAfter(state, arrived('b')), ...online('b'));
    assert.deepEqual(none, [], 'no plan for an update that is in');
  });

  it('ends at the deadline with who is in', () => {
    const [state, effects] = play(training(), arrived('a'), arrived('c'), timer('training/1/1'));
    assert.deepEqual(of(effects, 'withdraw'), [
      { kind: 'withdraw', client: 'b', task: task('train'), reason: 'deadline' },
    ]);
    assert.deepEqual(of(effects, 'commit')[0].survivors, ['a', 'c']);
    const [, late] = play(state, arrived('b'));
    assert.deepEqual(receipts(late), ['b deadline']);
  });

  it('does not listen to the timer of another wait', () => {
    const state = training();
    assert.equal(stateAfter(state, timer('training/1/2'), timer('evaluating/1/1'), timer('training/0/1')), state);
  });

  it('ends with the first that are in when more were invited', () => {
    const state = stateAfter(start({ cohort: 2, overSelection: 0.5 }), ...online('a', 'b', 'c'));
    const [, effects] = play(state, arrived('c'), arrived('a'), arrived('b'));
    assert.deepEqual(dropped(effects), ['b superseded']);
    assert.deepEqual(of(effects, 'commit')[0].survivors, ['a', 'c']);
    assert.deepEqual(receipts(effects), ['b superseded']);
  });
});

describe('a round that fails', () => {
  it('is tried again with a new attempt, and tells those whose update is void', () => {
    const [state, effects] = play(training(), arrived('a'), declined('b', 'failed'), {
      ...timer('training/1/1'),
      atMs: 1000,
    });
    assert.deepEqual(receipts(effects), ['a round-aborted']);
    assert.equal(state.attempt, 2);
    assert.equal(state.stage.kind, 'training');
    const [aborted, started] = recordsOf(effects);
    assert.deepEqual(aborted, {
      kind: 'round-aborted',
      atMs: 1000,
      round: 1,
      attempt: 1,
      reason: '1 of at least 2 updates (b failed: why; c deadline)',
      late: ['c'],
    });
    assert.ok(started.kind === 'round-started' && started.attempt === 2);
    const [, late] = play(state, arrived('c'));
    assert.deepEqual(receipts(late), ['c deadline'], 'an update of the first attempt is stale');
  });

  it('ends the run after the last attempt, and says which clients did not deliver and why', () => {
    const [state, effects] = play(
      training(),
      timer('training/1/1'),
      declined('a', 'failed', task('train', 1, 2)),
      timer('training/1/2'),
    );
    assert.equal(state.status, 'failed');
    assert.equal(state.stage.kind, 'ended');
    const expected = 'round 1 failed 2 times, last with 0 of at least 2 updates (a failed: why; b, c deadline)';
    assert.equal(state.reason, expected);
    assert.deepEqual(recordsOf(effects).at(-1), { kind: 'ended', atMs: 0, status: 'failed', reason: expected });
  });

  it('has all its attempts again after a resume', () => {
    const failed = stateAfter(training(), timer('training/1/1'), timer('training/1/2'));
    const again = stateAfter(failed, resume, timer('training/1/3'));
    assert.equal(again.status, 'running');
    assert.equal(again.attempt, 4);
    assert.match(stateAfter(again, timer('training/1/4')).reason, /^round 1 failed 2 times/);
  });

  it('does not draw a client again whose policy refused, until the run is resumed', () => {
    const [state, effects] = play(training(), declined('a', 'refused'), timer('training/1/1'));
    assert.equal(state.stage.kind, 'waiting', 'b and c are too few');
    assert.deepEqual(dropped(effects), ['a refused', 'b deadline', 'c deadline']);
    const next = stateAfter(state, ...online('d'));
    assert.ok(next.stage.kind === 'training');
    assert.deepEqual(next.stage.cohort.names, ['b', 'c', 'd']);
    assert.deepEqual(stateAfter(next, stop, resume).refused, {});
  });
});

describe('a round that commits', () => {
  it('records the survivors first, then gives each its receipt', () => {
    const [state, effects] = play(committing(), { ...stored(), atMs: 50 });
    assert.equal(effects[0].kind, 'record');
    const [record] = recordsOf(effects);
    assert.ok(record.kind === 'committed');
    assert.deepEqual(record.survivors, [
      { client: 'a', updateSha256: 'a-sha' },
      { client: 'b', updateSha256: 'b-sha' },
      { client: 'c', updateSha256: 'c-sha' },
    ]);
    assert.deepEqual(receipts(effects), ['a committed', 'b committed', 'c committed']);
    assert.equal(state.modelSha256, 'm1');
    assert.deepEqual([state.round, state.attempt, state.stage.kind], [2, 1, 'training']);
  });

  it('takes a model only once, and only of its own attempt', () => {
    const state = committing();
    assert.equal(stateAfter(state, stored(2), stored(1, 2)), state);
    const next = stateAfter(state, stored());
    assert.equal(stateAfter(next, stored(1, 1, 'other')), next);
  });

  it('is not moved by clients that come, go, decline or are late', () => {
    const [state, effects] = play(
      committing(),
      ...online('d'),
      { kind: 'offline', client: 'd' },
      declined('a', 'failed'),
      timer('training/1/1'),
    );
    assert.deepEqual(state, { ...committing(), away: { d: 0 } });
    assert.deepEqual(effects, []);
    assert.equal(of(play(committing(), arrived('a'))[1], 'answer')[0].outcome, 'again');
  });

  it('ends the run after the last round, with an evaluation', () => {
    const [state, effects] = play(
      committing({ rounds: 1 }),
      stored(),
      ...['a', 'b', 'c'].map((name) => evaluated(name)),
    );
    assert.equal(state.status, 'completed');
    assert.deepEqual(
      recordsOf(effects).map(({ kind }) => kind),
      ['committed', 'ended'],
    );
    assert.equal(stateAfter(state, resume, stop, ...online('e')).status, 'completed', 'for good');
  });
});

describe('a stop', () => {
  const stages = { waiting: start, training, committing, committed, evaluating };
  for (const [name, make] of Object.entries(stages)) {
    it(`ends a run that is ${name}, and a resume goes on with a new attempt`, () => {
      const before = make();
      const [ended, effects] = play(before, stop);
      assert.deepEqual([ended.status, ended.reason, ended.stage.kind], ['stopped', 'lunch', 'ended']);
      assert.deepEqual(recordsOf(effects).at(-1), { kind: 'ended', atMs: 0, status: 'stopped', reason: 'lunch' });
      assert.equal(stateAfter(ended, stop, ...online('z'), timer('ended/1/1')).status, 'stopped');
      const [resumed, more] = play(ended, resume);
      assert.equal(resumed.status, 'running');
      assert.equal(recordsOf(more)[0].kind, 'resumed');
      const wasCommitted = name === 'committed' || name === 'evaluating';
      assert.deepEqual([resumed.round, resumed.attempt], [wasCommitted ? 2 : 1, 2]);
      assert.equal(resumed.modelSha256, wasCommitted ? 'm1' : 'm0');
    });
  }

  it('tells everybody at work, and everybody whose update is void', () => {
    const [, effects] = play(stateAfter(training(), arrived('a')), stop);
    assert.deepEqual(
      of(effects, 'withdraw').map(({ client }) => client),
      ['b', 'c'],
    );
    assert.deepEqual(receipts(effects), ['a round-aborted']);
    const [ended, late] = play(stateAfter(committing(), stop), stored());
    assert.equal(ended.modelSha256, 'm0', 'a model that comes after the stop is not taken');
    assert.deepEqual(late, []);
  });
});
