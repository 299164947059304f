/**
 * Secure rounds in the round engine: what it makes of `secure-dropped`, `secured` and `unsecured`, expected or not; and in
 * its shell, where an aggregation cannot even begin.
 */
import assert from 'node:assert/strict';
import type { RunRecord } from '../../server/journal/records.js';
import { restore } from '../../server/round/restore.js';
import type { RoundEvent } from '../../server/round/state.js';
import { SecureAggregation } from '../../server/secagg/aggregation.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { TaskId } from '../../shared/run/plan.js';
import type { EngineSpec } from '../../shared/run/spec.js';
import { FakeClock } from '../support/fake-clock.js';
import { turns } from '../support/hand-fed.js';
import {
  arrived,
  declined,
  dropped,
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
  type Untimed,
} from '../support/rounds.js';
import { toySpec } from '../support/toy.js';
import { keyOf, SECURE } from './hostile-coordinator.js';

type EventOf<Kind extends RoundEvent['kind']> = Extract<Untimed<RoundEvent>, { kind: Kind }>;

const secureDropped = (client: string, of: TaskId = task('train')): EventOf<'secure-dropped'> => {
  return { kind: 'secure-dropped', client, task: of, reason: 'deadline', detail: 'secure aggregation, mask: deadline' };
};
const pooled: SumMetrics = { loss: { sum: [6], count: 3 } };
const secured = (survivors: readonly string[], of: TaskId = task('train')): EventOf<'secured'> => {
  return { kind: 'secured', task: of, survivors, pooled };
};
const unsecured = (of: TaskId = task('train')): EventOf<'unsecured'> => {
  return { kind: 'unsecured', task: of, detail: 'secure aggregation: too-few-survivors' };
};

const secure = (overrides: Partial<EngineSpec> = {}) => start({ secure: true, ...overrides });
const training = (overrides: Partial<EngineSpec> = {}) => stateAfter(secure(overrides), ...online('a', 'b', 'c'));
const committing = (overrides: Partial<EngineSpec> = {}) => stateAfter(training(overrides), secured(['a', 'b', 'c']));
const evaluating = () => stateAfter(committing({ evaluateEvery: 1 }), stored());
const withdrawn = (effects: ReturnType<typeof play>[1]) =>
  of(effects, 'withdraw').map(({ client, reason }) => `${client} ${reason}`);

describe('a secure round', () => {
  it('begins with an aggregation of the cohort, before anybody is told', () => {
    const [, effects] = play(secure(), ...online('a', 'b', 'c'));
    const kinds = effects.map(({ kind }) => kind).filter((kind) => kind === 'open-secure' || kind === 'plan');
    assert.deepEqual(kinds, ['open-secure', 'plan', 'plan', 'plan']);
    assert.deepEqual(of(effects, 'open-secure'), [
      { kind: 'open-secure', task: task('train'), cohort: ['a', 'b', 'c'] },
    ]);
    assert.deepEqual(of(effects, 'open-sum'), []);
  });

  it('is waited for as long as five of its deadlines', () => {
    const [, effects] = play(secure({ deadlineMs: 1000 }), ...online('a', 'b', 'c'));
    assert.deepEqual(
      of(effects, 'timer').map(({ atMs }) => atMs),
      [5000],
    );
  });

  it('commits over exactly the survivors, with the pooled metrics, and says no hash of anybody', () => {
    const [, effects] = play(training(), secured(['a', 'c']), stored());
    assert.deepEqual(
      of(effects, 'commit').map(({ survivors }) => survivors),
      [['a', 'c']],
    );
    assert.deepEqual(dropped(effects), ['b deadline']);
    assert.deepEqual(withdrawn(effects), ['b deadline']);
    const [record] = recordsOf(effects);
    assert.ok(record.kind === 'committed');
    assert.deepEqual(record.survivors, [
      { client: 'a', updateSha256: '' },
      { client: 'c', updateSha256: '' },
    ]);
    assert.deepEqual(record.draft.metrics, { 'train.loss': 2 }); // 6 / 3
    assert.deepEqual(receipts(effects), [], 'no receipt: nothing of a client is kept');
  });

  it('does not commit over fewer than its least survivors', () => {
    const [state, effects] = play(training({ minSurvivors: 3 }), secured(['a', 'c']));
    assert.deepEqual(of(effects, 'commit'), []);
    assert.deepEqual([state.attempt, state.stage.kind], [2, 'training']);
    const [record] = recordsOf(effects);
    assert.ok(record.kind === 'round-aborted');
    assert.match(record.reason, /a sum over 2 clients/);
  });

  it('goes on without a client that the aggregation dropped, and tells it', () => {
    const [state, effects] = play(training(), secureDropped('b'));
    assert.deepEqual(dropped(effects), ['b deadline']);
    assert.deepEqual(withdrawn(effects), ['b deadline']);
    assert.deepEqual(
      of(effects, 'leave-secure').map(({ client }) => client),
      ['b'],
    );
    assert.equal(state.stage.kind, 'training');
  });

  it('counts a client that was dropped after its vector was in', () => {
    const [, effects] = play(training(), secureDropped('b'), secured(['a', 'b', 'c']), stored());
    const [record] = recordsOf(effects);
    assert.ok(record.kind === 'committed');
    assert.equal(record.draft.survivors, 3);
    assert.deepEqual(record.draft.dropped, []);
  });

  it('is tried again when nobody is left', () => {
    const [state] = play(training(), ...['a', 'b', 'c'].map((client) => secureDropped(client)));
    assert.deepEqual([state.attempt, state.stage.kind], [2, 'training']);
  });

  it('is not ended by the drop-outs alone while others are in it', () => {
    const state = stateAfter(training(), declined('a', 'dropout'), declined('b', 'failed'));
    assert.equal(state.stage.kind, 'training');
  });

  it('that finds no sum is tried again with a new aggregation, and after enough times fails', () => {
    const [state, effects] = play(training({ maxAttempts: 2 }), unsecured());
    assert.deepEqual([state.attempt, state.stage.kind], [2, 'training']);
    assert.deepEqual(withdrawn(effects), ['a round-aborted', 'b round-aborted', 'c round-aborted']);
    assert.deepEqual(
      of(effects, 'open-secure').map(({ task }) => task.attempt),
      [2],
    );
    assert.deepEqual(plansTo(effects), ['a train', 'b train', 'c train']);
    const [over] = play(state, unsecured(task('train', 1, 2)));
    assert.deepEqual([over.status, over.stage.kind], ['failed', 'ended']);
    assert.match(over.reason, /too-few-survivors/);
  });

  it('is not told twice, of another task, or when it is over', () => {
    const ignored = [
      secured(['a', 'b'], task('train', 1, 2)),
      secured(['a', 'b'], task('train', 2)),
      secured(['a', 'b'], task('evaluate')),
      secured(['a', 'b'], { ...task('train'), run: 'other' }),
      unsecured(task('train', 1, 2)),
      unsecured(task('evaluate')),
      secureDropped('a', task('train', 2)),
      secureDropped('a', task('evaluate')),
      secureDropped('x'),
    ];
    for (const state of [training(), committing()])
      for (const event of ignored) assert.equal(stateAfter(state, event), state);
    const late = [secured(['a', 'b', 'c']), unsecured(), secureDropped('a')];
    for (const state of [committing(), stateAfter(training(), stop), secure()]) {
      for (const event of late) assert.equal(stateAfter(state, event), state);
    }
    const once = stateAfter(training(), secureDropped('b'));
    assert.equal(stateAfter(once, secureDropped('b')), once);
  });

  it('gives its plan again to a client that comes back, and not to one that was dropped', () => {
    const [state, back] = play(training(), { kind: 'offline', client: 'b' }, ...online('b'));
    assert.deepEqual(plansTo(back), ['b train']);
    const [, gone] = play(state, secureDropped('b'), { kind: 'offline', client: 'b' }, ...online('b'));
    assert.deepEqual(plansTo(gone), []);
  });

  it('is given up at its last deadline', () => {
    const [state, effects] = play(training(), timer('training/1/1'));
    assert.deepEqual(dropped(effects), ['a deadline', 'b deadline', 'c deadline']);
    assert.equal(state.attempt, 2);
  });

  it('that is stopped withdraws everyone; resumed, it starts over with new keys', () => {
    const [stopped, effects] = play(training(), stop);
    assert.deepEqual(withdrawn(effects), ['a round-aborted', 'b round-aborted', 'c round-aborted']);
    assert.equal(stopped.status, 'stopped');
    const [again, more] = play(stopped, resume);
    assert.deepEqual([again.attempt, again.stage.kind], [2, 'training']);
    assert.deepEqual(
      of(more, 'open-secure').map(({ task }) => task.attempt),
      [2],
    );
  });

  it('that is stopped with its sum in hand has nothing to tell about single updates', () => {
    const [, effects] = play(committing(), stop);
    assert.deepEqual(receipts(effects), []);
  });

  it('has no place for an update in the clear', () => {
    const [state, effects] = play(committing(), arrived('a', { sha: 'f'.repeat(64) }));
    assert.equal(of(effects, 'answer')[0].outcome, 'rejected');
    assert.equal(state.stage.kind, 'committing');
  });
});

describe('a secure evaluation', () => {
  const of1 = task('evaluate');

  it('is an aggregation of those who are here', () => {
    const [, effects] = play(committing({ evaluateEvery: 1 }), stored());
    assert.deepEqual(of(effects, 'open-secure'), [{ kind: 'open-secure', task: of1, cohort: ['a', 'b', 'c'] }]);
  });

  it('knows the sum and nobody\u2019s own', () => {
    const [state, effects] = play(evaluating(), secured(['a', 'b'], of1));
    const [{ draft, evaluation }] = of(effects, 'round-ended');
    assert.deepEqual(evaluation, { pooled, perClient: {}, late: ['c'] });
    assert.equal(draft.metrics['test.loss'], 2);
    assert.deepEqual(withdrawn(effects), ['c deadline']);
    assert.equal(state.round, 2);
  });

  it('that fails leaves the round unevaluated, and the run goes on', () => {
    const [state, effects] = play(evaluating(), unsecured(of1));
    const [{ draft, evaluation }] = of(effects, 'round-ended');
    assert.deepEqual(evaluation, { pooled: {}, perClient: {} });
    assert.equal('test.loss' in draft.metrics, false);
    assert.deepEqual(withdrawn(effects), ['a round-aborted', 'b round-aborted', 'c round-aborted']);
    assert.deepEqual([state.round, state.stage.kind], [2, 'training']);
  });

  it('that everyone left is over, unevaluated', () => {
    const [state, effects] = play(evaluating(), ...['a', 'b', 'c'].map((client) => secureDropped(client, of1)));
    const late = ['a', 'b', 'c'];
    assert.deepEqual(of(effects, 'round-ended')[0].evaluation, { pooled: {}, perClient: {}, late });
    assert.equal(state.round, 2);
  });

  it('of another attempt, or of training, says nothing', () => {
    const state = evaluating();
    for (const event of [
      secured(['a'], task('evaluate', 1, 2)),
      secured(['a'], task('train')),
      unsecured(task('train')),
    ]) {
      assert.equal(stateAfter(state, event), state);
    }
  });

  it('that is stopped counts its round, unevaluated', () => {
    const [state, effects] = play(evaluating(), stop);
    assert.deepEqual(of(effects, 'round-ended')[0].evaluation, { pooled: {}, perClient: {} });
    assert.deepEqual([state.status, state.round], ['stopped', 2]);
  });
});

describe('a secure aggregation that cannot be', () => {
  function open(names: readonly string[], survivorsMin = 2) {
    const failures: string[] = [];
    const listener = {
      send: () => {},
      dropped: () => {},
      done: () => {},
      failed: (detail: string) => failures.push(detail),
    };
    const { work } = toySpec();
    const enrolled = Object.fromEntries(names.map((name) => [name, keyOf(name)]));
    const plan = {
      ...({
        run: 'r',
        kind: 'evaluate',
        round: 1,
        attempt: 1,
        modelSha256: '0'.repeat(64),
        modelSizeBytes: 8,
      } as const),
      ...{ deadlineMs: 1000, cohort: names.length, work: { ...work, secure: { ...SECURE, survivorsMin } } },
      secure: { nonce: '0'.repeat(32), enrolled },
    };
    const clock = new FakeClock();
    const round = new SecureAggregation(plan, {
      clock,
      rng: rngFromSeed(1),
      noise: rngFromSeed(1),
      listener,
      deadlineMs: 1000,
    });
    return { round, clock, failures };
  }

  it('fails, and does not throw: two clients, or fewer than the least survivors', async () => {
    for (const [names, least] of [
      [['c1', 'c2'], 2],
      [['c1'], 2],
      [['c1', 'c2', 'c3'], 4],
    ] as const) {
      const { round, clock, failures } = open(names, least);
      await turns();
      assert.equal(failures.length, 1);
      assert.match(failures[0], /^secure aggregation: /);
      assert.equal(clock.waiting, 0, 'and waits for nothing');
      round.receive('c1', new Uint8Array(40));
      round.left('c1');
      round.resume('c1');
      round.cancel();
      assert.equal(failures.length, 1);
    }
  });

  it('is given up when nobody says a word', () => {
    const { clock, failures } = open(['c1', 'c2', 'c3']);
    assert.deepEqual(failures, []);
    clock.advance(SECURE.phaseDeadlineMs);
    assert.deepEqual(failures, ['secure aggregation: cohort-too-small']);
    assert.equal(clock.waiting, 0);
  });
});

describe('a secure run after a crash', () => {
  const created: RunRecord = {
    kind: 'created',
    atMs: 0,
    run: 'r',
    spec: { work: toySpec().work, engine: secure().spec },
    modelSha256: 'm0',
  };
  const started: RunRecord = { kind: 'round-started', atMs: 0, round: 1, attempt: 1, cohort: ['a', 'b', 'c'] };

  it('repeats the round that was open, as a new attempt', () => {
    const [state, effects] = restore([created, started], 1);
    assert.deepEqual([state.round, state.attempt, state.stage.kind], [1, 2, 'waiting']);
    assert.deepEqual(recordsOf(effects), [{ kind: 'resumed', atMs: 1 }]);
    const [again] = restore([created, started, ...(recordsOf(effects) as RunRecord[])], 2);
    assert.equal(again.attempt, 2, 'the record of it is enough');
  });

  it('asks for an evaluation that was open as a new attempt, of which there is no vector yet', () => {
    const draft = {
      round: 1,
      attempt: 1,
      cohort: 3,
      survivors: 3,
      dropped: [],
      modelSha256: 'm1',
      metrics: {},
      durationMs: 1,
      overheadMs: 1,
    };
    const committed = {
      kind: 'committed',
      atMs: 0,
      round: 1,
      attempt: 1,
      modelSha256: 'm1',
      survivors: [],
      draft,
    } as const;
    const engine = { ...secure().spec, evaluateEvery: 1 };
    const made: RunRecord = { ...created, spec: { work: toySpec().work, engine } } as RunRecord;
    const [state, effects] = restore([made, started, committed], 1);
    assert.deepEqual([state.round, state.attempt, state.stage.kind], [1, 2, 'committed']);
    assert.equal(state.modelSha256, 'm1');
    const [, asked] = play(state, ...online('a', 'b', 'c'));
    assert.deepEqual(
      of(asked, 'open-secure').map(({ task }) => task),
      [task('evaluate', 1, 2)],
    );
    const [again] = restore([made, started, committed, ...recordsOf(effects)], 2);
    assert.equal(again.attempt, 3, 'each process asks anew');
  });
});
