/** How slow an upload may be: the grace that waiting spends and bytes earn, to the millisecond. */
import assert from 'node:assert/strict';
import { atPace, LEAST_UPLOAD_BYTES_PER_S, newStop, UPLOAD_GRACE_MS } from '../../../server/updates/pace.js';
import { FlError } from '../../../shared/errors.js';
import { FakeClock } from '../../support/fake-clock.js';
import { type HandFed, handFed, turns } from '../../support/hand-fed.js';

/** An upload that is read as fast as it comes. */
function read(chunks: AsyncIterable<Uint8Array> = handFed<Uint8Array>()) {
  const [clock, stop, sizes] = [new FakeClock(), newStop(), [] as number[]];
  const ended = (async () => {
    for await (const { length } of atPace(chunks, { clock, stop })) sizes.push(length);
    return 'whole';
  })().catch(({ code, message }: FlError) => `${code}: ${message}`);
  return { clock, stop, sizes, ended, feed: chunks as HandFed<Uint8Array> };
}

const SECOND = new Uint8Array(LEAST_UPLOAD_BYTES_PER_S);

describe('an upload', () => {
  it('of half the least pace spends one second of two, until none is left', async () => {
    const { clock, feed, sizes, ended } = read();
    const pieces = UPLOAD_GRACE_MS / 1000 - 2; // with two seconds left, the next wait of two is too long
    for (let i = 0; i <= pieces; i++) {
      await turns();
      clock.advance(2_000);
      feed.push(SECOND);
    }
    assert.match(await ended, /^unavailable: upload: expected at least 8192 bytes a second over 32 s, got fewer/);
    assert.equal(sizes.length, pieces);
  });

  it('that was fast may be silent no longer than another', async () => {
    const { clock, feed, sizes, ended } = read();
    feed.push(new Uint8Array(100 * LEAST_UPLOAD_BYTES_PER_S));
    await turns();
    clock.advance(UPLOAD_GRACE_MS - 1);
    feed.push(new Uint8Array(1));
    await turns();
    assert.equal(sizes.length, 2);
    clock.advance(2);
    assert.match(await ended, /^unavailable/);
  });

  it('leaves no timer behind, and its source hears of the end', async () => {
    const { clock, feed, ended } = read();
    feed.push(SECOND);
    feed.end();
    assert.equal(await ended, 'whole');
    assert.equal(clock.waiting, 0);
    let left = false;
    const silent: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => new Promise(() => {}),
        return: async () => {
          left = true;
          return { value: undefined, done: true };
        },
      }),
    };
    const other = read(silent);
    await turns();
    other.clock.advance(UPLOAD_GRACE_MS);
    assert.match(await other.ended, /^unavailable/);
    assert.equal(left, true);
  });

  it('is given up from outside with the words that are given', async () => {
    const { clock, stop, ended } = read();
    await turns();
    stop.give(new FlError('aborted', 'the round is over'));
    assert.equal(await ended, 'aborted: the round is over');
    assert.equal(clock.waiting, 0);
  });
});
