/** Who is waited for and for how long: clients that are away while others work, and when nobody else does. */
import assert from 'node:assert/strict';
import { waitingText } from '../../../server/report/waiting.js';
import type { Effect } from '../../../server/round/state.js';
import { waitingOf } from '../../../server/round/waiting.js';
import {
  arrived,
  declined,
  dropped,
  evaluated,
  of,
  online,
  play,
  start,
  stored,
  timer,
  training,
} from '../../support/rounds.js';

const LONG = { deadlineMs: 600_000 };
const offline = (client: string, atMs: number) => ({ kind: 'offline', client, atMs }) as const;
const at = <Event extends object>(event: Event, atMs: number) => ({ ...event, atMs });
const timers = (effects: readonly Effect[]) => of(effects, 'timer').map(({ id, atMs }) => `${id} ${atMs}`);

/** Who is named, of how many, until when. */
const waits = (effects: readonly Effect[]) =>
  of(effects, 'emit').flatMap(({ event }) => {
    if (event.kind !== 'waiting-for') return [];
    const names = event.clients.map(({ client, offlineSinceMs = '' }) => `${client}${offlineSinceMs}`);
    return `${event.task} ${names.join(' ')} ${event.done}/${event.of} until ${event.untilMs}`;
  });

describe('a client that is away', () => {
  it('is named with the time since when, and the time until which it is waited for', () => {
    const [, effects] = play(training(LONG), offline('b', 5_000), at(arrived('a'), 6_000), at(arrived('c'), 7_000));
    assert.deepEqual(waits(effects), [
      'train b5000 a c 0/3 until 600000',
      'train b5000 c 1/3 until 600000',
      'train b5000 2/3 until 67000',
    ]);
  });

  it('is waited for a minute when all others have answered and are enough, and for the whole of the round before', () => {
    const [one, first] = play(training(LONG), offline('b', 5_000), at(arrived('a'), 6_000));
    assert.deepEqual(timers(first), [], 'c is at work');
    const [left, second] = play(one, at(arrived('c'), 7_000));
    assert.deepEqual(timers(second), ['training/1/1/absent 67000']);
    const [, over] = play(left, at(timer('training/1/1/absent'), 67_000));
    assert.deepEqual(dropped(over), ['b deadline']);
    assert.deepEqual(of(over, 'commit')[0].survivors, ['a', 'c']);
    const details = of(over, 'emit').flatMap(({ event }) => (event.kind === 'dropped' ? [event.detail] : []));
    assert.deepEqual(details, ['offline since 1970-01-01T00:00:05.000Z']);
  });

  it('has the whole round again when it is back, and an earlier wait that ends late ends nothing', () => {
    const [left] = play(training(LONG), offline('b', 5_000), at(arrived('a'), 6_000), at(arrived('c'), 7_000));
    const [back, effects] = play(left, at(online('b')[0], 20_000));
    assert.deepEqual(timers(effects), ['training/1/1 600000']);
    assert.equal(play(back, at(timer('training/1/1/absent'), 67_000))[0], back);
    const [away] = play(back, offline('b', 30_000));
    assert.equal(play(away, at(timer('training/1/1/absent'), 67_000))[0], away, 'the wait of 30 s ends at 90 s');
    const [, over] = play(away, at(timer('training/1/1/absent'), 90_000));
    assert.deepEqual(dropped(over), ['b deadline']);
    assert.deepEqual(of(play(back, at(arrived('b'), 21_000))[1], 'commit')[0].survivors, ['a', 'b', 'c']);
  });

  it('is waited for to the deadline when the others are too few, under secure aggregation, and where that comes first', () => {
    const events = [offline('b', 5_000), at(arrived('a'), 6_000), at(declined('c', 'failed'), 7_000)];
    assert.deepEqual(timers(play(training(LONG), ...events)[1]), []);
    assert.deepEqual(
      timers(play(training({ ...LONG, secure: true }), offline('b', 1), offline('a', 1), offline('c', 1))[1]),
      [],
    );
    const short = [offline('b', 0), at(arrived('a'), 1), at(arrived('c'), 2)];
    assert.deepEqual(timers(play(training({ deadlineMs: 50_000 }), ...short)[1]), []);
    assert.deepEqual(timers(play(training({ ...LONG, offlineWaitMs: 10 }), ...short)[1]), ['training/1/1/absent 12']);
  });

  it('is waited for in an evaluation as in training', () => {
    const [evaluating] = play(
      training({ ...LONG, evaluateEvery: 1 }),
      arrived('a'),
      arrived('b'),
      arrived('c'),
      stored(),
    );
    const [left, effects] = play(evaluating, offline('b', 1_000), at(evaluated('a'), 2_000), at(evaluated('c'), 3_000));
    assert.equal(waits(effects).at(-1), 'evaluate b1000 2/3 until 63000');
    const [next] = play(left, at(timer('evaluating/1/1/absent'), 63_000));
    assert.equal(next.round, 2);
    const all = ['a', 'b', 'c'].map((client) => offline(client, 1_000));
    assert.deepEqual(timers(play(evaluating, ...all)[1]), [], 'nobody has judged it yet');
  });
});

describe('a run that waits', () => {
  it('says how many more have to come, before it says how many of them can train', () => {
    assert.deepEqual(waitingOf(play(start(), ...online('a'))[0]), { round: 1, online: 1, need: 3 });
  });
});

describe('a lab without training examples', () => {
  it('is here, and is not one of those who can train', () => {
    const empty = { ...declined('c', 'dropout'), detail: 'no training examples here' };
    const [waiting] = play(training({ minSurvivors: 3 }), empty, arrived('a'), arrived('b'));
    const said = waitingOf(waiting);
    assert.deepEqual(said, { round: 1, online: 2, need: 3, empty: { clients: ['c'], all: 1 } });
    assert.equal(
      waitingText(said, 0),
      'waiting for clients that have training examples: 2 of 3; c has none: stop the run and begin another when there are some, or bring other labs',
    );
    const [drawn] = play(waiting, ...online('d'));
    assert.deepEqual(drawn.stage.kind === 'training' && drawn.stage.cohort.names, ['a', 'b', 'd']);
  });
});

describe('a lab that has declined', () => {
  const refusedBy = (policy?: string) =>
    play(
      start(),
      ...online('a', 'b'),
      { kind: 'online', client: 'c', policy },
      { ...declined('c', 'refused'), policy },
    )[0];
  const seenAgain = (policy: string | undefined, now: string | undefined) =>
    play(refusedBy(policy), { kind: 'offline', client: 'c' }, { kind: 'online', client: 'c', policy: now })[0];

  it('is named with its words while too few are left', () => {
    const [waiting] = play(refusedBy(), arrived('a'), arrived('b'), stored());
    assert.deepEqual(waitingOf(waiting), {
      ...{ round: 2, online: 2, need: 3, minSurvivors: 2, declines: 1 },
      declined: [{ client: 'c', detail: 'why' }],
    });
  });

  it('is asked again when its policy has changed, and not before', () => {
    assert.deepEqual(Object.keys(seenAgain('p1', 'p1').refused), ['c']);
    assert.deepEqual(Object.keys(seenAgain(undefined, undefined).refused), ['c'], 'a client that does not tell');
    assert.deepEqual(seenAgain('p1', 'p2').refused, {});
    const [waiting] = play(seenAgain('p1', 'p1'), arrived('a'), arrived('b'), stored());
    assert.equal(waiting.stage.kind, 'waiting');
    const [drawn] = play(waiting, { kind: 'online', client: 'c', policy: 'p2' });
    assert.deepEqual(drawn.stage.kind === 'training' && drawn.stage.cohort.names, ['a', 'b', 'c']);
  });
});
