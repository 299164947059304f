/** Evaluation rounds, and what clients say of their own examples. */
import assert from 'node:assert/strict';
import type { SumMetrics } from '../../../shared/run/metrics.js';
import { ZEROED } from '../../../shared/run/zeroed.js';
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
  stateAfter,
  stored,
  task,
  timer,
  training,
} from '../../support/rounds.js';

describe('metrics that cannot be pooled', () => {
  const loss = (...sum: number[]) => ({ loss: { sum, count: 1 } });

  it('make the update invalid, and do not end the run', () => {
    const bad = [
      loss(Number.NaN),
      loss(1, Number.POSITIVE_INFINITY),
      { loss: { sum: [1], count: Number.NaN } },
      { loss: { sum: [1], count: -1 } },
      { constructor: { sum: [1], count: 1 } },
    ];
    for (const metrics of bad as SumMetrics[]) {
      const [, effects] = play(training(), arrived('a', { metrics }));
      assert.deepEqual(dropped(effects), ['a invalid-update']);
      assert.match(of(effects, 'answer')[0].detail, /^metrics/);
    }
  });

  it('are those of another length than the others sent', () => {
    const events = [
      arrived('a', { metrics: loss(1) }),
      arrived('b', { metrics: loss(1, 2) }),
      arrived('c', { metrics: loss(3) }),
    ];
    const [state, effects] = play(training(), ...events, stored());
    assert.deepEqual(dropped(effects), ['b invalid-update']);
    const [record] = recordsOf(effects);
    assert.ok(record.kind === 'committed');
    assert.deepEqual(record.draft.metrics, { 'train.loss': 2 }); // (1 + 3) / 2
    assert.equal(state.round, 2);
  });

  it('are those of fewer numbers than the others sent', () => {
    const events = [arrived('a', { metrics: loss(1, 2) }), arrived('b', { metrics: loss(1) })];
    assert.deepEqual(dropped(play(training(), ...events)[1]), ['b invalid-update']);
  });

  it('drop a client from an evaluation too', () => {
    const of1 = task('evaluate');
    const [state, effects] = play(
      evaluating(),
      evaluated('a', of1, loss(1)),
      evaluated('b', of1, loss(1, 2)),
      evaluated('c', of1, loss(3)),
    );
    assert.deepEqual(dropped(effects), ['b invalid-update']);
    assert.deepEqual(Object.keys(of(effects, 'round-ended')[0].evaluation.perClient), ['a', 'c']);
    assert.equal(state.round, 2);
  });
});

describe('an evaluation', () => {
  it('is every n-th round, and the last in any case', () => {
    const kinds = (evaluateEvery: number, rounds: number) =>
      stateAfter(committing({ evaluateEvery, rounds }), stored()).stage.kind;
    assert.equal(kinds(0, 1), 'evaluating', 'the last');
    assert.equal(kinds(2, 1), 'evaluating', 'the last');
    assert.equal(kinds(1, 9), 'evaluating');
    for (const every of [0, 2, 3]) assert.notEqual(kinds(every, 9), 'evaluating', `every ${every}`);
  });

  it('asks all that are here, or as many as it is told', () => {
    const [, all] = play(committing({ evaluateEvery: 1 }), stored());
    assert.deepEqual(plansTo(all), ['a evaluate', 'b evaluate', 'c evaluate']);
    const [, some] = play(committing({ evaluateEvery: 1, evaluateClients: 2 }), stored());
    assert.equal(plansTo(some).length, 2);
  });

  it('pools the sums, and goes on to the next round', () => {
    const loss = (sum: number, count: number) => ({ loss: { sum: [sum], count } });
    const of1 = task('evaluate');
    const events = [evaluated('a', of1, loss(6, 2)), evaluated('b', of1, loss(3, 1)), evaluated('c', of1, loss(0, 3))];
    const [state, effects] = play(evaluating(), ...events);
    const [{ draft }] = of(effects, 'round-ended');
    assert.deepEqual(draft.metrics, { 'test.loss': 1.5 }); // (6 + 3 + 0) / (2 + 1 + 3)
    assert.deepEqual([state.round, state.stage.kind], [2, 'training']);
  });

  it('takes one answer of each, of this round, from those it asked', () => {
    const state = stateAfter(evaluating(), evaluated('a'));
    const wrong = [evaluated('a'), evaluated('b', task('evaluate', 9)), evaluated('b', task('train')), evaluated('x')];
    assert.equal(stateAfter(state, ...wrong), state);
  });

  it('goes on without those who decline or do not answer in time', () => {
    const [state, effects] = play(
      evaluating(),
      evaluated('a'),
      declined('b', 'failed', task('evaluate')),
      timer('evaluating/1/1'),
    );
    assert.deepEqual(dropped(effects), ['b failed', 'c deadline']);
    assert.deepEqual(
      of(effects, 'withdraw').map(({ client }) => client),
      ['c'],
    );
    assert.equal(state.round, 2);
  });

  it('gives its plan again to a client that comes back', () => {
    const [, effects] = play(evaluating(), { kind: 'offline', client: 'b' }, ...online('b'));
    assert.deepEqual(plansTo(effects), ['b evaluate']);
  });

  it('rejects a late update as late', () => {
    const [state, effects] = play(evaluating(), arrived('a', { sha: 'late' }));
    assert.deepEqual(receipts(effects), ['a deadline']);
    assert.equal(state.stage.kind, 'evaluating');
  });

  it('waits for clients up to a deadline, then asks who is here, or nobody', () => {
    assert.equal(committed().stage.kind, 'committed');
    const [asked, plans] = play(committed(), timer('committed/1/1'));
    assert.equal(asked.stage.kind, 'evaluating');
    assert.deepEqual(plansTo(plans), ['a evaluate']);
    const [skipped] = play(committed(), { kind: 'offline', client: 'a' }, timer('committed/1/1'));
    assert.deepEqual([skipped.round, skipped.stage.kind], [2, 'waiting']);
    assert.equal(stateAfter(committed(), ...online('b', 'c')).stage.kind, 'evaluating', 'at once when they are back');
  });

  it('counts the clients whose figures there are, and names the others', () => {
    const loss = (count: number) => ({ loss: { sum: [1], count } });
    const answers = [evaluated('a', undefined, loss(2)), evaluated('b'), evaluated('c', undefined, loss(1))];
    const [ended] = of(play(evaluating(), ...answers)[1], 'round-ended');
    const { clients, examples, missing } = ended.draft.evaluated!;
    assert.deepEqual([clients, examples], [2, 3]);
    assert.deepEqual(
      missing.map(({ client, reason }) => `${client} ${reason}`),
      ['b no-figures'],
    );
  });

  it('misses who trained and is away where all are asked, and nobody where a sample is', () => {
    const missed = (evaluateClients: number) => {
      const made = stateAfter(
        committing({ evaluateEvery: 1, evaluateClients }),
        { kind: 'offline', client: 'b' },
        stored(),
      );
      const asked = stateAfter(made, timer('committed/1/1'));
      const [ended] = of(play(asked, evaluated('a'), evaluated('c'))[1], 'round-ended');
      return ended.draft.evaluated!.missing.filter(({ reason }) => reason === 'offline').map(({ client }) => client);
    };
    assert.deepEqual([missed(0), missed(2)], [['b'], []]);
  });

  it('that nobody answered says nothing of when to stop', () => {
    const stopWhen = { metric: 'test.loss', better: 'lower', patience: 1, minDelta: 0 } as const;
    const left = ['a', 'b', 'c'].map((client) => ({ kind: 'offline', client }) as const);
    const made = stateAfter(committing({ evaluateEvery: 1, stopWhen }), ...left, stored(), timer('committed/1/1'));
    assert.deepEqual([made.round, made.status, made.judgement], [2, 'running', undefined]);
  });

  it('by a masked sum counts no client whose vector was zeros', () => {
    const survivors = ['a', 'b', 'c'];
    const secured = (kind: 'train' | 'evaluate', pooled: SumMetrics) =>
      ({ kind: 'secured', task: task(kind), survivors, pooled }) as const;
    const asked = stateAfter(training({ secure: true, evaluateEvery: 1 }), secured('train', {}), stored());
    const sums = { loss: { sum: [2], count: 4 }, [ZEROED]: { sum: [1], count: 3 } };
    const [ended] = of(play(asked, secured('evaluate', sums))[1], 'round-ended');
    assert.deepEqual(ended.draft.evaluated, { clients: 2, examples: 4, missing: [] });
    assert.deepEqual([ended.draft.zeroedTests, ended.draft.metrics], [1, { 'test.loss': 0.5 }]);
  });
});
