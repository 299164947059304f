/** The machine's clock, when somebody sets it. */
import assert from 'node:assert/strict';
import { steadyClock } from '../../shared/clock.js';

describe('the steady clock', () => {
  const { now } = Date;
  afterEach(() => {
    Date.now = now;
  });

  it('tells the time of day, in whole milliseconds', () => {
    assert.ok(Number.isInteger(steadyClock.nowMs()));
    assert.ok(Math.abs(steadyClock.nowMs() - now()) < 60_000);
  });

  for (const days of [400, -400]) {
    it(`goes on at its own pace when the wall clock is set by ${days} days`, () => {
      const beforeMs = steadyClock.nowMs();
      Date.now = () => now() + days * 86_400_000;
      const passedMs = steadyClock.nowMs() - beforeMs;
      assert.ok(passedMs >= 0 && passedMs < 60_000, `${passedMs} ms`);
    });
  }
});
