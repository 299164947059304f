/** What a run remembers of who answered and who was late, and whom it asks for that. */
import assert from 'node:assert/strict';
import {
  type Attendances,
  askedAgainIn,
  attended,
  committedBy,
  punctualFirst,
} from '../../../server/round/attendance.js';

const lateIn = (rounds: readonly number[], late: readonly string[], before: Attendances = {}) =>
  rounds.reduce((all, round) => attended(all, { kind: 'train', round, late }), before);

describe('what a run remembers of its clients', () => {
  it('is how often in a row one was late; once it answers it is on time again, and its next lateness is its first', () => {
    const thrice = lateIn([1, 3, 6], ['a']);
    assert.deepEqual(thrice, { a: { took: 0, train: { times: 3, round: 6 } } });
    assert.equal(askedAgainIn(thrice, 'a', 'train'), 11); // four rounds are passed over
    const back = attended(thrice, { kind: 'train', round: 11, back: ['a'] });
    assert.deepEqual(back, { a: { took: 1 } });
    assert.equal(askedAgainIn(lateIn([12], ['a'], back), 'a', 'train'), 14);
  });

  it('is in how many models its work is, which no evaluation adds to', () => {
    const judged = attended({}, { kind: 'evaluate', round: 1, back: ['a'] });
    assert.deepEqual(judged, { a: { took: 0 } });
    assert.deepEqual(attended(judged, { kind: 'train', round: 2, back: ['a'] }), { a: { took: 1 } });
  });

  it('is of a committed round who was late, not who declined', () => {
    const dropped = [
      { client: 'b', reason: 'refused', detail: 'why' },
      { client: 'c', reason: 'deadline', detail: '' },
    ] as const;
    const record = { round: 4, survivors: [{ client: 'a', updateSha256: 'x' }], draft: { dropped } };
    assert.deepEqual(committedBy({}, record as never), {
      c: { took: 0, train: { times: 1, round: 4 } },
      a: { took: 1 },
    });
  });

  it('is who is asked first: those on time, then of the late as many as it takes, the least late before the others', () => {
    const late = lateIn([3, 5], ['c'], lateIn([4, 5], ['b'], lateIn([5], ['a'], lateIn([2], ['c']))));
    const asked = (round: number, least: number) =>
      punctualFirst(late, ['c', 'b', 'a', 'd'], { kind: 'train', round, least, most: 4 }).join('');
    assert.deepEqual(
      [1, 2, 3, 4].map((least) => asked(6, least)),
      ['d', 'da', 'dab', 'dabc'],
    );
    assert.deepEqual(
      [6, 7, 8, 10].map((round) => asked(round, 1)),
      ['d', 'ad', 'bad', 'cbad'],
      'again in time',
    );
  });
});
