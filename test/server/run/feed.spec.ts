/** The event feed: all that happened, from the first event on, to whoever watches, however late. */
import assert from 'node:assert/strict';
import { Feed } from '../../../server/run/feed.js';
import type { RunEvent } from '../../../shared/run/events.js';
import type { RoundSummary } from '../../../shared/run/summary.js';
import { turns } from '../../support/hand-fed.js';

const arrived = (round: number): RunEvent => ({ kind: 'arrived', atMs: 0, round, client: 'a' });
const progress = (stepsDone: number): RunEvent => ({
  kind: 'progress',
  atMs: 0,
  round: 1,
  client: 'a',
  stepsDone,
  stepsTotal: 9,
});
const ended: RunEvent = { kind: 'ended', atMs: 0, status: 'completed', reason: '' };

/** Reads to the end, or up to `most` events. */
async function read(events: AsyncIterable<RunEvent>, most = Number.POSITIVE_INFINITY): Promise<RunEvent[]> {
  const out: RunEvent[] = [];
  for await (const event of events) {
    out.push(event);
    if (out.length >= most) break;
  }
  return out;
}

function feedOf(...events: RunEvent[]): Feed {
  const feed = new Feed();
  for (const event of events) feed.emit(event);
  return feed;
}

describe('the event feed', () => {
  it('tells a late watcher everything but progress, and ends with the run', async () => {
    const feed = feedOf(arrived(1), progress(1), arrived(2), ended);
    assert.deepEqual(await read(feed.watch()), [arrived(1), arrived(2), ended]);
  });

  it('tells what happens from then on in the order in which it happens, progress too', async () => {
    const feed = feedOf(arrived(1));
    const seen = read(feed.watch());
    await turns();
    const events = [progress(1), arrived(2), progress(2), progress(3), ended];
    for (const event of events) feed.emit(event);
    assert.deepEqual(await seen, [arrived(1), ...events]);
  });

  it('goes on past the end of a run that was resumed', async () => {
    const feed = feedOf(arrived(1), ended, arrived(2));
    const seen = read(feed.watch());
    await turns();
    feed.emit(ended);
    assert.deepEqual(await seen, [arrived(1), ended, arrived(2), ended]);
  });

  it('tells a run of any length from its beginning', async () => {
    const events = Array.from({ length: 30_000 }, (_, round) => arrived(round));
    assert.deepEqual(await read(feedOf(...events, ended).watch()), [...events, ended]);
  });

  it('keeps no more progress for a slow watcher than it may, and everything else', async () => {
    const feed = new Feed();
    const watch = feed.watch();
    const first = watch.next();
    await turns();
    feed.emit(arrived(1));
    assert.deepEqual((await first).value, arrived(1));
    for (let i = 0; i < 50_000; i++) feed.emit(progress(i));
    feed.emit(arrived(2));
    feed.emit(ended);
    const rest = await read(watch);
    assert.ok(rest.length <= 10_002, `${rest.length}`);
    assert.deepEqual(rest.slice(-2), [arrived(2), ended]);
  });

  it('ends when it is told to, before and while it waits', async () => {
    const feed = feedOf(arrived(1));
    const abort = new AbortController();
    const seen = read(feed.watch(abort.signal));
    await turns();
    abort.abort();
    assert.deepEqual(await seen, [arrived(1)]);
    assert.deepEqual(await read(feed.watch(abort.signal)), []);
  });

  it('lets go of a watcher that leaves, and of a listener', async () => {
    const feed = feedOf(arrived(1));
    assert.deepEqual(await read(feed.watch(), 1), [arrived(1)]);
    const heard: RunEvent[] = [];
    const leave = feed.subscribe((event) => heard.push(event));
    feed.emit(arrived(2));
    leave();
    feed.emit(arrived(3));
    assert.deepEqual(heard, [arrived(1), arrived(2)]);
  });

  it('tells several watchers the same', async () => {
    const feed = new Feed();
    const all = [read(feed.watch()), read(feed.watch()), read(feed.watch())];
    await turns();
    feed.emit(arrived(1));
    feed.emit(ended);
    for (const seen of all) assert.deepEqual(await seen, [arrived(1), ended]);
  });

  describe('of a run that goes on and on', () => {
    const over = (round: number): RunEvent => ({ kind: 'round-ended', atMs: 0, summary: { round } as RoundSummary });
    /** Rounds with 100 events and an end each, and where their ends are read from; what was read is noted. */
    function longRun(rounds: number) {
      const read: string[] = [];
      const feed = new Feed(0, async function* ({ after, upTo }) {
        read.push(`${after}-${upTo}`);
        for (let round = after + 1; round <= upTo; round++) yield over(round);
      });
      const play = (round: number) => {
        for (let i = 0; i < 100; i++) feed.emit(arrived(round));
        feed.emit(over(round));
      };
      for (let round = 1; round <= rounds; round++) play(round);
      return { feed, play, read };
    }
    const told = (events: readonly RunEvent[]) =>
      events.flatMap((e) => (e.kind === 'round-ended' ? e.summary.round : []));
    const upTo = (rounds: number) => Array.from({ length: rounds }, (_, i) => i + 1);

    it('tells the end of each round once and in order, and all of the last rounds', async () => {
      const { feed, read: reads } = longRun(1000);
      feed.emit(ended);
      const events = await read(feed.watch());
      assert.deepEqual(told(events), upTo(1000));
      assert.deepEqual(events.at(-1), ended);
      const ofRound = (round: number) =>
        events.filter((event) => event.kind === 'arrived' && event.round === round).length;
      assert.deepEqual([1, 981, 982, 1000].map(ofRound), [0, 0, 100, 100]); // 19 rounds of 101 events are below 2,000
      assert.deepEqual(reads, ['0-981']);
    });

    it('tells a watcher that fell behind what it missed', async () => {
      const { feed, play, read: reads } = longRun(10);
      const watch = feed.watch();
      const events = [(await watch.next()).value];
      for (let round = 11; round <= 100; round++) play(round);
      feed.emit(ended);
      events.push(...(await read(watch)));
      assert.deepEqual(told(events), upTo(100));
      assert.equal(reads.length, 1);
    });

    it('tells a run that an earlier process began', async () => {
      const feed = new Feed(2, async function* () {
        yield* [over(1), over(2)];
      });
      for (const event of [arrived(3), over(3), ended]) feed.emit(event);
      assert.deepEqual(await read(feed.watch()), [over(1), over(2), arrived(3), over(3), ended]);
    });

    it('keeps no round of a large cohort by halves', async () => {
      const feed = new Feed();
      for (let i = 0; i < 9000; i++) feed.emit(arrived(1));
      for (const event of [over(1), arrived(2), over(2), arrived(3), ended]) feed.emit(event);
      const events = await read(feed.watch());
      assert.deepEqual(events.slice(-4), [arrived(2), over(2), arrived(3), ended]);
    });
  });
});
