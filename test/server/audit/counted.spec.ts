/** How many lines strangers can make: as many as a minute has, and one. */
import assert from 'node:assert/strict';
import { Counted, REFUSALS } from '../../../server/audit/counted.js';

const { lines, windowMs } = REFUSALS;

describe('refusals that are counted', () => {
  it('have a line each up to the limit, and beyond it one line for all when the minute is over', () => {
    const counted = new Counted();
    const own = Array.from({ length: 10_000 }, () => counted.add('a', 5).isOwn);
    assert.deepEqual(own.lastIndexOf(true), lines - 1);
    assert.equal(counted.add('b', windowMs + 4).more, undefined);
    assert.deepEqual(counted.add('b', windowMs + 5), {
      isOwn: true,
      more: { times: 10_000 - lines + 1, sinceMs: 5, addresses: { a: 10_000 - lines, b: 1 } },
    });
    assert.equal(counted.flush(), undefined);
  });

  it('are told of by the addresses with most, and a crowd of addresses is one', () => {
    const counted = new Counted();
    for (let i = 0; i < lines; i++) counted.add('own', 0);
    for (let i = 0; i < 1_500; i++) counted.add(`10.0.${i >> 8}.${i & 255}`, 0);
    counted.add('10.0.0.7', 0);
    const more = counted.flush()!;
    assert.equal(more.times, 1_501);
    assert.deepEqual(Object.entries(more.addresses).slice(0, 2), [
      ['others', 500],
      ['10.0.0.7', 2],
    ]);
    assert.equal(Object.keys(more.addresses).length, REFUSALS.addresses);
  });
});
