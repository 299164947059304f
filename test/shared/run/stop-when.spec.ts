/** When a run has improved, how long it may go without, and how that is written. */
import assert from 'node:assert/strict';
import { type Judgement, judged, parseStopWhen, type StopWhen, stopReason } from '../../../shared/run/stop-when.js';

const LOWER: StopWhen = { metric: 'test.loss', better: 'lower', patience: 2, minDelta: 0.5 };

/** What a run that has these figures, round after round, comes to. */
const comeTo = (stopWhen: StopWhen, ...values: (number | undefined)[]) =>
  values.reduce<Judgement | undefined>(
    (before, value, i) => judged(before, stopWhen, { round: i + 1, value, modelSha256: `m${i + 1}` }),
    undefined,
  )!;
const best = (round: number, value: number) => ({ round, value, modelSha256: `m${round}` });

describe('a figure that stops a run', () => {
  it('has improved by more than its least gain, and then the count starts again', () => {
    assert.deepEqual(comeTo(LOWER, 4), { best: best(1, 4), since: 0 });
    assert.deepEqual(comeTo(LOWER, 4, 3.5), { best: best(1, 4), since: 1 }, 'the least gain is none');
    assert.deepEqual(comeTo(LOWER, 4, 4, 3), { best: best(3, 3), since: 0 });
    assert.deepEqual(comeTo(LOWER, 4, 5), { best: best(1, 4), since: 1 });
    const higher = { ...LOWER, better: 'higher' } as const;
    assert.deepEqual(comeTo(higher, 4, 5, 3), { best: best(2, 5), since: 1 });
  });

  it('that is missing counts against it', () => {
    assert.deepEqual(comeTo(LOWER, 4, undefined, undefined), { best: best(1, 4), since: 2 });
    assert.deepEqual(comeTo(LOWER, undefined), { since: 1 });
  });

  it('is waited for with patience, and not with more', () => {
    assert.equal(stopReason(LOWER, comeTo(LOWER, 4, 4)), undefined);
    const words = 'test.loss has not improved in the last 2 evaluations; its best was 4 in round 1';
    assert.equal(stopReason(LOWER, comeTo(LOWER, 4, 4, 4)), words);
    assert.match(
      stopReason(LOWER, comeTo(LOWER, undefined, undefined))!,
      /^stop-when: test\.loss was not in the last 2/,
    );
    const { patience: _, ...forEver } = LOWER;
    assert.equal(stopReason(forEver, comeTo(forEver, 4, 4, 4, 4)), undefined);
  });

  it('is written in one line, each key once', () => {
    const whole = parseStopWhen('test.loss: patience=3, min-delta=0.1, better=lower');
    assert.deepEqual(whole, { metric: 'test.loss', patience: 3, 'min-delta': 0.1, better: 'lower' });
    for (const bad of ['m:patience=1,patience=2', 'm:metric=n', 'm:patience=', 'm:patience=0', 'm:better=more', ''])
      assert.throws(() => parseStopWhen(bad), { code: 'invalid-argument', message: /^stop-when: / }, bad);
  });
});
