/**
 * What strangers can make a coordinator hold, over a real network: each limit at its value and past it. The server is
 * given small limits, and is the real one but for them.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { connectAdmin } from '../../client/grpc/admin.js';
import { addressOf } from '../../server/grpc/address.js';
import { JoinAttempts } from '../../server/grpc/attempts.js';
import { GRPC_LIMITS, JOIN_BACKOFF, maxGuests } from '../../server/grpc/limits.js';
import { MAX_MESSAGE_BYTES } from '../../shared/service.js';
import { AUTHORIZATION_KEY } from '../../shared/wire/status.js';
import { MAX_METADATA_BYTES } from '../../shared/wire/tuning.js';
import { begin, CONTROL, closed, dialRaw, ENROL, endOf, IDENTIFY, prefix } from '../support/raw-call.js';
import { ADMIN_TOKEN } from './fake-coordinator.js';
import { eachLink, until } from './fixture.js';

const CALL_BYTES = 1_000;
const OPERATOR = { [AUTHORIZATION_KEY]: `Bearer ${ADMIN_TOKEN}` };
const LIST_RUNS = '/starling.v1.AdminService/ListRuns';

describe('a guest of a coordinator', () => {
  const opened: { destroy(): void }[] = [];
  afterEach(() => {
    for (const one of opened.splice(0)) one.destroy();
  });
  const dial = async (address: string): Promise<ClientHttp2Session> => {
    const session = await dialRaw(address);
    opened.push(session);
    return session;
  };
  /** A connection that says nothing. */
  const silent = async (port: number): Promise<Socket> => {
    const socket = connect(port, '127.0.0.1');
    opened.push(socket);
    socket.on('error', () => {}).resume();
    await once(socket, 'connect');
    return socket;
  };
  /** Sends so many bytes of a call, prefix included, of a message that has as many. */
  const send = (session: ClientHttp2Session, bytes: number, path = IDENTIFY): Promise<string> => {
    const call = begin(session, path);
    const end = endOf(call);
    call.end(Buffer.concat([prefix(bytes - 5), Buffer.alloc(bytes - 5, 0xff)]));
    return end;
  };
  /** Sends so many bytes of a longer message, and waits until they are there. */
  const half = async (session: ClientHttp2Session, bytes: number): Promise<{ end: Promise<string> }> => {
    const call = begin(session, ENROL);
    const end = endOf(call);
    call.write(Buffer.concat([prefix(CALL_BYTES - 5), Buffer.alloc(bytes - 5)]));
    await new Promise((resolve) => session.ping(resolve)); // it has come after what was written
    return { end };
  };

  describe('with few bytes', () => {
    const link = eachLink({
      limits: { guestCallBytes: CALL_BYTES, guestAddressBytes: 3 * CALL_BYTES, guestBytes: 1 << 20, guestCalls: 5 },
    });

    it('may send as many bytes of a call as its limit says, and not one more', async () => {
      const session = await dial(link.server.address);
      assert.match(await send(session, CALL_BYTES), /^3: /, 'read, and found to be nonsense');
      const words = `expected a message of at most ${CALL_BYTES} bytes, got one of ${CALL_BYTES + 1}`;
      const got = `expected at most ${CALL_BYTES} bytes of a call before a login, got more`;
      assert.equal(await send(session, CALL_BYTES + 1), `8: ${words}`);
      const many = begin(session, ENROL);
      const end = endOf(many);
      many.write(Buffer.concat(Array(CALL_BYTES / 5 + 1).fill(prefix(0)))); // of messages without bytes
      assert.equal(await end, `8: ${got}`);
      assert.deepEqual(link.refusals.slice(1), [words, got]);
    });

    it('has the same bytes for joins and renewals when it is known', async () => {
      const session = await dial(link.server.address);
      const known = begin(session, LIST_RUNS, OPERATOR);
      known.end(prefix(0));
      assert.match(await endOf(known), /^0: /);
      assert.match(await send(session, CALL_BYTES + 1), /^8: expected a message of at most/);
      assert.doesNotMatch(await send(session, CALL_BYTES + 1, CONTROL), /^8: /, 'other calls are longer');
    });

    it('shares the bytes of its address with all others there, until their calls end', async () => {
      const sessions = [await dial(link.server.address), await dial(link.server.address)];
      const halves = [];
      for (const session of [...sessions, sessions[0]]) halves.push(await half(session, CALL_BYTES - 1));
      assert.equal(await send(sessions[1], 10), '8: too many bytes of 127.0.0.1 before a login');
      sessions[0].destroy();
      while (!/^3: /.test(await send(await dial(link.server.address), 10))); // its end has to arrive there
    });

    it('may begin as many calls as its limit says, and not one more', async () => {
      const session = await dial(link.server.address);
      for (let i = 0; i < 5; i++) assert.match(await send(session, 10), /^3: /);
      assert.match(await send(session, 10), /^8: more than 5 calls before a login/);
      await closed(session);
    });

    it('names a length that no message may have and is refused before any of it has come, known or not', async () => {
      const session = await dial(link.server.address);
      const declare = (path: string, bytes: number, headers = {}) => {
        const call = begin(session, path, headers);
        call.write(prefix(bytes));
        return endOf(call);
      };
      const most = (bytes: number, got: number) => `8: expected a message of at most ${bytes} bytes, got one of ${got}`;
      assert.equal(await declare(ENROL, CALL_BYTES - 4), most(CALL_BYTES, CALL_BYTES + 1));
      const known = begin(session, LIST_RUNS, OPERATOR);
      known.end(prefix(0));
      assert.match(await endOf(known), /^0: /);
      const asLong = MAX_MESSAGE_BYTES + 5;
      assert.equal(await declare(LIST_RUNS, MAX_MESSAGE_BYTES + 1, OPERATOR), most(asLong, asLong + 1));
    });

    it('sends as much metadata as the limit says, and not more', async () => {
      const session = await dial(link.server.address);
      const asMany = (pad: number) => begin(session, IDENTIFY, { 'x-pad': 'x'.repeat(pad) });
      const fits = asMany(MAX_METADATA_BYTES - 1_024);
      fits.end(prefix(0));
      assert.match(await endOf(fits), /^\d+: /);
      const tooLong = asMany(MAX_METADATA_BYTES);
      tooLong.end(prefix(0));
      assert.equal(await endOf(tooLong), 'cut');
      const fields = Object.fromEntries(Array.from({ length: 32 }, (_, i) => [`x-${i}`, '1']));
      const tooMany = begin(await dial(link.server.address), IDENTIFY, fields);
      tooMany.end(prefix(0));
      assert.equal(await endOf(tooMany), 'cut');
    });
  });

  describe('with little time', () => {
    const link = eachLink({ limits: { guestMs: 300 } });

    it('is cut when its time is over, whether it has never spoken or has half said something; who is known stays', async () => {
      link.participant.onFrame = (_, toClient) => toClient.send({ kind: 'welcome', session: new Uint8Array(32) });
      const known = await dial(link.server.address);
      const operator = begin(known, LIST_RUNS, OPERATOR);
      operator.end(prefix(0));
      assert.match(await endOf(operator), /^0: /);
      const client = link.client.connect({ send: () => {}, close: () => {} });
      client.send({ kind: 'hello', client: 'c', version: '0', address: 'a', nonce: new Uint8Array(32) });
      await until(() => link.participant.streams[0]?.frames.length === 1);
      // all who come from here on came later, and go earlier
      const mute = await silent(link.server.port);
      const slow = await dial(link.server.address);
      const calls = [ENROL, CONTROL].map((path) => begin(slow, path));
      const ends = calls.map(endOf);
      for (const call of calls) call.write(prefix(100));
      await once(mute, 'close');
      for (const end of ends) assert.equal(await end, '8: expected a login within 300 ms, got none');
      await closed(slow);
      assert.ok(!known.closed && !known.destroyed);
      assert.deepEqual(link.participant.streams[0].closed, []);
      client.close('done');
    });
  });

  describe('among many', () => {
    const link = eachLink({ limits: { guestsPerAddress: 4, maxConnections: 100, connectionsPerName: 2 } });

    it('goes first when it came first: at the limit all stay, and the next takes the place of the oldest', async () => {
      const sockets = [];
      for (let i = 0; i < 4; i++) sockets.push(await silent(link.server.port));
      const session = await dial(link.server.address);
      await once(sockets[0], 'close');
      assert.match(await send(session, 10), /^3: /);
      assert.deepEqual(
        sockets.map(({ closed }) => closed),
        [true, false, false, false],
      );
      assert.equal(link.refusals[0], 'more than 4 connections of 127.0.0.1 that nobody knows');
    });

    it('is cut for a third connection of one account, the oldest of which goes', async () => {
      const sessions = [];
      for (let i = 0; i < 3; i++) {
        const session = await dial(link.server.address);
        const call = begin(session, LIST_RUNS, OPERATOR);
        call.end(prefix(0));
        assert.match(await endOf(call), /^0: /);
        sessions.push(session);
      }
      await closed(sessions[0]);
      assert.deepEqual(
        sessions.map((session) => session.destroyed),
        [true, false, false],
      );
    });
  });

  describe('where few connections are possible', () => {
    const link = eachLink({ limits: { maxConnections: 6 } });

    it('has half of them at most, and an operator comes in while strangers open more and more', async () => {
      const admin = connectAdmin(link.server.address, ADMIN_TOKEN);
      assert.equal((await admin.listRuns()).length, 1);
      const sockets: Socket[] = [];
      for (let i = 0; i < 20; i++) sockets.push(await silent(link.server.port));
      await until(() => sockets.filter(({ closed }) => closed).length === 17);
      assert.equal((await admin.listRuns()).length, 1, 'the connection that was there');
      const another = connectAdmin(link.server.address, ADMIN_TOKEN);
      assert.equal((await another.listRuns()).length, 1, 'and a new one');
      admin.close();
      another.close();
    });
  });

  it('has these limits when nobody says anything else', () => {
    const { guestMs, guestCallBytes, guestBytes, maxConnections } = GRPC_LIMITS;
    assert.deepEqual([guestMs, guestCallBytes, guestBytes], [20_000, 262_144, 67_108_864]);
    assert.deepEqual([maxGuests(maxConnections), maxGuests(7), maxGuests(1)], [8_192, 3, 1]);
  });

  it('is known by its address: of IPv4 all ports, of IPv6 the network', () => {
    assert.deepEqual(
      ['10.0.0.1:1', '::ffff:10.0.0.1:2', '2001:db8:1:2:3:4:5:6:443', '2001:db8::1:443', '::1:80'].map(addressOf),
      ['10.0.0.1', '10.0.0.1', '2001:db8:1:2::/64', '2001:db8:0:0::/64', '0:0:0:0::/64'],
    );
  });
});

describe('joins that are refused', () => {
  const { free, firstMs, longestMs } = JOIN_BACKOFF;

  it('cost nothing at first, then each twice the wait of the one before, up to a minute, until one succeeds', () => {
    const attempts = new JoinAttempts();
    const waits: number[] = [];
    for (let i = 0; i < 14; i++) {
      attempts.refused('a', 0);
      waits.push(attempts.waitMs('a', 0));
    }
    // 1 s · 2^n from the fifth on; 2^6 = 64 s is more than a minute
    const rising = [1, 2, 4, 8, 16, 32].map((times) => times * firstMs);
    assert.deepEqual(waits, [...Array(free - 1).fill(0), ...rising, ...Array(4).fill(longestMs)]);
    assert.equal(attempts.waitMs('b', 0), 0);
    assert.equal(attempts.waitMs('a', longestMs - 1), 1);
    assert.equal(attempts.waitMs('a', longestMs), 0);
    attempts.joined('a');
    assert.equal(attempts.waitMs('a', 0), 0);
  });

  it('are remembered of so many addresses and no more: the oldest is forgotten', () => {
    const attempts = new JoinAttempts({ ...JOIN_BACKOFF, free: 1, maxAddresses: 2 });
    for (const address of ['a', 'b', 'a', 'c']) attempts.refused(address, 0);
    assert.deepEqual(
      ['a', 'b', 'c'].map((address) => attempts.waitMs(address, 0)),
      [2_000, 0, 1_000],
    );
  });
});
