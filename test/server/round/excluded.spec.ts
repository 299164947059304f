/** An operator shuts a client out, in each stage of a round: it is dropped with the reason, and nothing of it is in a model. */
import assert from 'node:assert/strict';
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
  start,
  stateAfter,
  stored,
  task,
  training,
} from '../../support/rounds.js';

const excluded = (client: string) => ({ kind: 'excluded', client, detail: 'gone' }) as const;
const commits = (effects: ReturnType<typeof play>[1]) => of(effects, 'commit').map(({ survivors }) => survivors.join());

describe('a client that is excluded', () => {
  it('while it trains is dropped, and the attempt ends with the others', () => {
    const [state, effects] = play(training(), excluded('b'), arrived('a'), arrived('c'));
    assert.deepEqual(dropped(effects), ['b excluded']);
    assert.deepEqual(commits(effects), ['a,c']);
    assert.deepEqual(state.online, ['a', 'c']);
  });

  it('brings nothing more, also what was on its way', () => {
    const [, effects] = play(training(), excluded('b'), arrived('b'));
    const answers = of(effects, 'answer').map(({ outcome, detail }) => `${outcome} ${detail}`);
    assert.deepEqual(answers, ['rejected dropped: excluded']);
    assert.deepEqual(receipts(effects), ['b round-aborted'], 'in a word that an older client knows');
  });

  it('whose update is in the sum costs the attempt: the others are told to forget theirs, and asked again without it', () => {
    const [state, effects] = play(training(), arrived('b'), arrived('a'), excluded('b'));
    assert.deepEqual(dropped(effects), ['b excluded', 'c round-aborted']);
    assert.deepEqual(receipts(effects), ['a round-aborted']);
    assert.deepEqual([state.attempt, state.stage.kind], [2, 'waiting'], 'for a third');
    assert.deepEqual(plansTo(play(state, ...online('d'))[1]), ['a train', 'c train', 'd train']);
    assert.deepEqual(commits(effects), []);
  });

  it('is not in a sum that is being stored: its model is no model of the run', () => {
    const [state, effects] = play(committing(), excluded('b'), ...online('d'), stored());
    assert.deepEqual(
      recordsOf(effects).map(({ kind }) => kind),
      ['round-aborted', 'round-started'],
    );
    assert.deepEqual([state.attempt, state.modelSha256], [2, 'm0']);
  });

  it('after the model is committed changes nothing of it', () => {
    const [next, effects] = play(committed(), excluded('a'));
    assert.deepEqual(next, { ...committed(), online: [] });
    assert.deepEqual(effects, []);
  });

  it('does not count in an evaluation, whether it has answered or not', () => {
    for (const before of [[], [evaluated('b', undefined, { loss: { sum: [8], count: 1 } })]]) {
      const others = ['a', 'c'].map((client) => evaluated(client, undefined, { loss: { sum: [2], count: 2 } }));
      const [, effects] = play(evaluating(), ...before, excluded('b'), ...others);
      const [ended] = of(effects, 'round-ended');
      assert.deepEqual(ended.draft.metrics['test.loss'], 1); // (2 + 2) / (2 + 2)
    }
  });

  it('that was not drawn is only not here any more', () => {
    const waiting = stateAfter(start(), ...online('a', 'b'));
    const [state, effects] = play(waiting, excluded('b'));
    assert.deepEqual(state.online, ['a']);
    assert.deepEqual(dropped(effects), []);
  });

  it('that has left the cohort before is dropped once, for what it was dropped for', () => {
    const [state, effects] = play(training(), declined('b', 'failed'), excluded('b'));
    assert.deepEqual(dropped(effects), ['b failed']);
    assert.deepEqual(state.online, ['a', 'c']);
  });

  it('whose masked vector is in a sum that is being stored counts: the survivors have signed for it', () => {
    const survivors = ['a', 'b', 'c'];
    const secured = { kind: 'secured', task: task('train'), survivors, pooled: {} } as const;
    const [state, effects] = play(training({ secure: true }), secured, excluded('b'), stored());
    const [made] = recordsOf(effects).filter(({ kind }) => kind === 'committed');
    assert.deepEqual(made.kind === 'committed' && made.survivors.map(({ client }) => client), survivors);
    assert.deepEqual([state.round, state.modelSha256], [2, 'm1']);
  });

  it('is out of a masked sum: the aggregation is told before it is told that the client left', () => {
    const [, effects] = play(training({ secure: true }), excluded('b'));
    const told = effects.flatMap(({ kind }) => (kind.endsWith('-secure') ? [kind] : []));
    assert.deepEqual(told, ['exclude-secure', 'leave-secure']);
  });
});
