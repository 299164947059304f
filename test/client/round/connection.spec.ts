/** A client and whoever stands at the coordinator's address: in which order it believes what, and when it comes back. */
import assert from 'node:assert/strict';
import { backoffMs, Connection } from '../../../client/round/connection.js';
import { type Rng, rngFromSeed } from '../../../shared/rng.js';
import { FakeClock } from '../../support/fake-clock.js';
import { clientKey, coordinatorKey, PlayedCoordinator, planOf, strangerKey } from '../../support/one-client.js';
import { OrderedDisk } from '../../support/ordered-disk.js';

function open() {
  const [coordinator, clock] = [new PlayedCoordinator(new OrderedDisk()), new FakeClock()];
  const told: string[] = [];
  const delaysMs: number[] = [];
  const connection = new Connection({
    ...{ service: coordinator, client: 'c1', identity: clientKey, coordinatorKey: coordinatorKey.publicKey },
    ...{ version: '0', clock, rng: rngFromSeed(1), pending: () => [], shown: () => ({ tasks: [], heads: [] }) },
    connected: () => told.push('connected'),
    disconnected: () => told.push('disconnected'),
    receive: ({ kind }) => told.push(kind),
    sentAway: (reason) => told.push(`sent away: ${reason}`),
    notice: (message, fields) => {
      if (message === 'disconnected') delaysMs.push((fields as { delayMs: number }).delayMs);
    },
  });
  connection.open();
  return { connection, coordinator, clock, told, delaysMs };
}
type Opened = ReturnType<typeof open>;
const welcome = { kind: 'welcome', session: Uint8Array.of(1) } as const;
const goodbye = { kind: 'goodbye', reason: 'for good', retry: false } as const;

describe('a connection', () => {
  const early: readonly [string, (opened: Opened) => void, RegExp][] = [
    ['a welcome', ({ coordinator }) => coordinator.send(welcome), /^welcome: expected a challenge first/],
    ['work', ({ coordinator }) => coordinator.withdraw(planOf()), /^withdrawal: expected a welcome first/],
    [
      'work after its challenge and before its welcome',
      ({ coordinator }) => {
        coordinator.send(coordinator.challenge());
        coordinator.plan(planOf());
      },
      /^plan: expected a welcome first/,
    ],
    [
      'a stranger’s challenge',
      ({ coordinator }) => coordinator.send(coordinator.challenge(strangerKey)),
      /not believed/,
    ],
    [
      'a second challenge',
      ({ coordinator }) => {
        coordinator.send(coordinator.challenge());
        coordinator.send(coordinator.challenge());
      },
      /^challenge: expected one for each stream/,
    ],
  ];
  for (const [what, say, reason] of early) {
    it(`is broken off by ${what}: nothing of it is heard, and another is opened`, () => {
      const opened = open();
      say(opened);
      assert.match(opened.coordinator.closed ?? '', reason);
      assert.deepEqual(opened.told, ['disconnected']);
      assert.equal(opened.connection.session, undefined);
      opened.clock.advance(60_000);
      assert.equal(opened.coordinator.all('hello').length, 2);
    });
  }

  it('is ended for good by the coordinator alone: a stranger’s goodbye is only the end of a stream', () => {
    const stranger = open();
    stranger.coordinator.send(goodbye);
    stranger.coordinator.breakOff();
    stranger.clock.advance(60_000);
    assert.deepEqual([stranger.told, stranger.coordinator.all('hello').length], [['disconnected'], 2]);
    const { coordinator, clock, told } = open();
    coordinator.send(coordinator.challenge());
    coordinator.send(goodbye);
    clock.advance(60_000);
    assert.deepEqual([told, coordinator.all('hello').length], [['sent away: for good'], 1]);
  });

  it('has a nonce and a session of its own each time', () => {
    const { connection, coordinator, clock, told } = open();
    coordinator.welcome(7);
    assert.deepEqual([connection.session, told], [Uint8Array.of(7), ['connected']]);
    coordinator.breakOff();
    assert.equal(connection.session, undefined);
    clock.advance(60_000);
    const [first, second] = coordinator.all('hello').map(({ nonce }) => Buffer.from(nonce).toString('hex'));
    assert.notEqual(first, second);
    assert.equal(coordinator.all('proof').length, 1, 'the old welcome lets nobody in again');
  });

  it('comes back later after each failure, half a minute at most, and soon again once it was in', () => {
    const most = { uniform: () => 1 } as Rng;
    const least = { uniform: () => 0 } as Rng;
    assert.deepEqual(
      [0, 1, 2, 5, 6, 60].map((n) => backoffMs(n, most)),
      [500, 1000, 2000, 16_000, 30_000, 30_000],
    );
    assert.deepEqual(
      [0, 6].map((n) => backoffMs(n, least)),
      [250, 15_000],
    );
    const { coordinator, clock, delaysMs } = open();
    for (let i = 0; i < 5; i++) {
      coordinator.breakOff();
      clock.advance(60_000);
    }
    coordinator.welcome();
    coordinator.breakOff();
    assert.deepEqual(
      delaysMs.map((ms, n) => ms <= 500 * 2 ** n && ms >= 250 * 2 ** n),
      [...[true, true, true, true, true, false]],
    );
    assert.ok(delaysMs[5] <= 500, `${delaysMs[5]} ms after it was in`);
  });

  it('that is closed waits for nothing, says nothing and does not come back', () => {
    const { connection, coordinator, clock, told } = open();
    coordinator.welcome();
    connection.after(10, () => told.push('fired'));
    connection.close('enough');
    assert.deepEqual([coordinator.closed, clock.waiting, connection.session], ['enough', 0, undefined]);
    coordinator.breakOff();
    coordinator.withdraw(planOf());
    clock.advance(60_000);
    assert.deepEqual([told, coordinator.all('hello').length], [['connected'], 1]);
  });
});
