/** What becomes of an update, stage by stage, with and without a round that is over; and what its sender hears on coming back. */
import assert from 'node:assert/strict';
import { type Fate, fateOf, lastWordOn, type Past } from '../../../server/round/fate.js';
import type { RunState, UpdateId } from '../../../server/round/state.js';
import type { Receipt } from '../../../shared/run/plan.js';
import {
  arrived,
  committed,
  committing,
  declined,
  evaluating,
  online,
  play,
  start,
  stateAfter,
  stop,
  training,
} from '../../support/rounds.js';

const update = (client: string, change: Partial<UpdateId> = {}): UpdateId => {
  return { client, round: 1, attempt: 1, updateSha256: `${client}-sha`, ...change };
};
const receipt = (of: UpdateId, word: Partial<Receipt>): Receipt => {
  return { run: 'r', ...of, outcome: 'dropped', modelSha256: '', ...word };
};
const nothingIsOver: Past = { receiptFor: () => undefined };

/** A fate in a line. */
function told(fate: Fate): string {
  if (fate.kind !== 'rejected') return fate.kind;
  return `${fate.receipt.reason}, ${fate.detail}`;
}

describe('the fate of an update', () => {
  const one = () => stateAfter(training(), arrived('a'), declined('b', 'dropout'));
  const cases: readonly [string, RunState, UpdateId, string][] = [
    ['asked for', one(), update('c'), 'wanted'],
    ['in the sum', one(), update('a'), 'accepted'],
    ['in the sum that is being stored', committing(), update('a'), 'accepted'],
    [
      'a second one',
      one(),
      update('a', { updateSha256: 'other' }),
      'deadline, duplicate: another update of this client is in already',
    ],
    ['of a client that was dropped', one(), update('b'), 'dropout, dropped: dropout'],
    ['of a client that was not drawn', one(), update('x'), 'deadline, not in the cohort of this round'],
    ['of another attempt', one(), update('c', { attempt: 2 }), 'deadline, stale: expected round 1 attempt 1'],
    ['of another round', one(), update('c', { round: 2 }), 'deadline, stale: expected round 1 attempt 1'],
    ['before the first round', start(), update('a'), 'deadline, not in the cohort of this round'],
    ['while evaluators are waited for', committed(), update('a'), 'deadline, not in the cohort of this round'],
    ['in an evaluation', evaluating(), update('a'), 'deadline, not in the cohort of this round'],
    ['after a stop', stateAfter(one(), stop), update('c'), 'deadline, not in the cohort of this round'],
  ];
  for (const [name, state, id, expected] of cases) {
    it(`${name} is: ${expected}`, () => {
      assert.equal(told(fateOf(state, nothingIsOver, id)), expected);
      assert.equal(told(fateOf(state, undefined, id)), expected);
      const fate = fateOf(state, nothingIsOver, id);
      if (fate.kind === 'rejected') assert.deepEqual(fate.receipt, receipt(id, { reason: fate.receipt.reason }));
    });
  }

  it('in a model is that it is in it, whatever the round of now says', () => {
    const inModel = receipt(update('a'), { outcome: 'committed', modelSha256: 'm1' });
    const past: Past = { receiptFor: () => inModel };
    for (const state of [training(), evaluating()]) {
      assert.deepEqual(fateOf(state, past, update('a')), { kind: 'accepted', receipt: inModel });
      assert.deepEqual(lastWordOn(state, past, update('a')), inModel);
    }
  });

  it('under secure aggregation is wanted of whoever is asked, in training and in evaluation, and of nobody else', () => {
    const secure = stateAfter(start({ secure: true }), ...online('a', 'b', 'c'));
    assert.equal(told(fateOf(secure, undefined, update('a'))), 'wanted');
    const work = evaluating();
    const inEvaluation = { ...work, spec: { ...work.spec, secure: true } };
    assert.equal(told(fateOf(inEvaluation, undefined, update('a'))), 'wanted');
    assert.equal(told(fateOf(inEvaluation, undefined, update('x'))), 'deadline, not in the cohort of this round');
  });

  it('is what the engine answers', () => {
    for (const [name, state, id, expected] of cases) {
      const [, effects] = play(state, { kind: 'arrived', ...id, metrics: {} });
      const answer = effects.find((effect) => effect.kind === 'answer');
      const outcome = { wanted: 'add', accepted: 'again' }[expected] ?? 'rejected';
      assert.equal(answer?.outcome, outcome, name);
    }
  });

  it('once it is in the sum is not undone by a second header that is wrong', () => {
    const state = stateAfter(training(), arrived('a'));
    const [same, effects] = play(state, { kind: 'invalid', ...update('a'), detail: 'weights: expected 2, got 0' });
    assert.equal(same, state);
    assert.deepEqual(effects, [{ kind: 'answer', client: 'a', updateSha256: 'a-sha', outcome: 'again', detail: '' }]);
  });
});

describe('the last word on an update that a client keeps', () => {
  it('is to come while it is wanted or in the sum, and else that its attempt is void', () => {
    const state = stateAfter(training(), arrived('a'), declined('b', 'dropout'));
    for (const client of ['a', 'c']) assert.equal(lastWordOn(state, nothingIsOver, update(client)), undefined);
    for (const id of [update('b'), update('x'), update('c', { attempt: 9 }), update('a', { updateSha256: 'other' })]) {
      assert.deepEqual(lastWordOn(state, nothingIsOver, id), receipt(id, { reason: 'round-aborted' }));
    }
  });

  it('of a round that is over is the one that was given then', () => {
    const late = receipt(update('a'), { reason: 'deadline' });
    assert.deepEqual(lastWordOn(training(), { receiptFor: () => late }, update('a')), late);
  });
});
