import assert from 'node:assert/strict';
import { conflictOf, isNoisedByClients, type Opening, wordsOf } from '../../../client/round/differencing.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { graphParameters } from '../../../shared/secagg/index.js';
import { privatePlan } from '../../support/private-plan.js';

function opening(members: string, change: Partial<Opening> = {}): Opening {
  const names = members.split('');
  return { kind: 'train', modelSha256: 'm', own: names[0], members: names, isNoised: false, ...change };
}

describe('the rule on two sums of one model', () => {
  it('allows the same labs, and those that differ by enough', () => {
    assert.equal(conflictOf(opening('abcd'), opening('abcd'), 3), undefined);
    assert.equal(conflictOf(opening('abcd'), opening('aefg'), 3), undefined); // 6
    assert.equal(conflictOf(opening('abcd'), opening('abef'), 4), undefined);
    assert.equal(conflictOf(opening('abcd'), opening('abcdefg'), 3), undefined);
  });

  it('forbids those that differ by fewer, one way or the other', () => {
    assert.deepEqual(conflictOf(opening('abcd'), opening('abc'), 2), { kind: 'differs', labs: 1 });
    assert.deepEqual(conflictOf(opening('abc'), opening('abcd'), 2), { kind: 'differs', labs: 1 });
    assert.deepEqual(conflictOf(opening('abcd'), opening('abce'), 3), { kind: 'differs', labs: 2 });
    assert.deepEqual(conflictOf(opening('abcd'), opening('abef'), 5), { kind: 'differs', labs: 4 });
  });

  it('asks nothing of sums of other models and kinds', () => {
    assert.equal(conflictOf(opening('abcd'), opening('abc', { modelSha256: 'n' }), 3), undefined);
    assert.equal(conflictOf(opening('abcd'), opening('abc', { kind: 'evaluate' }), 3), undefined);
  });

  it('makes an exception only where both are noised', () => {
    const [plain, noised] = [{}, { isNoised: true }];
    assert.equal(conflictOf(opening('abcd', noised), opening('abc', noised), 3), undefined);
    for (const [first, second] of [
      [plain, noised],
      [noised, plain],
    ]) {
      assert.equal(conflictOf(opening('abcd', first), opening('abc', second), 3)?.kind, 'differs');
    }
  });

  it('takes labs under other keys for what may be the same labs', () => {
    assert.deepEqual(conflictOf(opening('abcd'), opening('wxyz'), 3), { kind: 'incomparable' });
    // two memberships of this home at one coordinator, each in the sum of the other or in one of them
    assert.equal(conflictOf(opening('abcd', { own: 'a' }), opening('abcd', { own: 'b' }), 3), undefined);
    assert.equal(conflictOf(opening('abcd', { own: 'a' }), opening('aefg', { own: 'e' }), 3), undefined);
  });

  it('says key, expected, got and what to change, and nothing of the other run', () => {
    const words = wordsOf({ kind: 'differs', labs: 1 }, opening('abc'), 3);
    assert.match(words, /^policy: min-difference: .*expected .*at least 3 .*, got 1; .*same labs.*another seed/);
  });
});

describe('noise that makes a difference of two sums one that is paid for', () => {
  const privacy = (mode: PrivacySpec['mode'], noiseMultiplier = 1) =>
    privatePlan(1, { mode, clippingBound: 1, noiseMultiplier, delta: 1e-5, cohortMax: 10 });

  it('is the clients\u2019 own', () => {
    for (const mode of ['distributed', 'local', 'example'] as const) assert.ok(isNoisedByClients(privacy(mode)));
    assert.ok(!isNoisedByClients(privacy('central')), 'the coordinator has the sum before its noise');
    assert.ok(!isNoisedByClients({ ...privacy('distributed'), kind: 'evaluate' }));
    assert.ok(!isNoisedByClients({ kind: 'train', work: { ...privacy('local').work, privacy: undefined } }));
  });

  it('is none that a coordinator names for the name of it', () => {
    assert.ok(!isNoisedByClients(privacy('local', 1e-6)));
  });
});

/** The header of differencing.ts: how many honest labs have signed both of two sums, at least. */
describe('two sums that differ by at most three labs', () => {
  it('have an honest lab in common that signed both, in every cohort with all neighbours', () => {
    for (const adversaryFraction of [0, 0.05, 0.1, 0.2]) {
      const threat = { adversaryFraction, dropFraction: 0 };
      for (let n = 5; n <= 128; n++) {
        for (let m = Math.max(5, n - 3); m <= n; m++) {
          const corrupt = Math.floor(adversaryFraction * m + 1e-9);
          const signed = graphParameters(n, threat).threshold + graphParameters(m, threat).threshold + 2;
          for (let d = n - m; d <= 3; d++) {
            const both = signed - Math.floor((n + m + d) / 2) - corrupt;
            assert.ok(both >= 1, `rosters of ${n} and ${m}, ${d} apart, ${corrupt} corrupt: ${both}`);
          }
        }
      }
    }
  });

  it('have many in a ring', () => {
    for (const n of [129, 300, 1000]) {
      const { degree, threshold } = graphParameters(n, { adversaryFraction: 0.05, dropFraction: 0.05 });
      const survivors = Math.ceil(0.95 * n);
      const both = (2 * survivors * threshold) / degree - (2 * survivors + 3) / 2 - 0.05 * n;
      assert.ok(both > 0.1 * n, `of ${n}: ${both}`);
    }
  });
});
