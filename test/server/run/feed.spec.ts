/** The event feed: all that happened, from the first event on, to whoever watches, however late. */
import assert from 'node:assert/strict';
import { Feed } from '../../../server/run/feed.js';
import type { RunEvent } from '../../../shared/run/events.js';
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
});
