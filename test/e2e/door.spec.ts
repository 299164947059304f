/**
 * What strangers can make the process of a coordinator hold: its own memory, descriptors and disk, as the system counts
 * them, under attacks over TLS in the middle of a round that each took it down or grew without end before there were limits.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { stat } from 'node:fs/promises';
import type { ClientHttp2Session } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { GRPC_LIMITS } from '../../server/grpc/limits.js';
import { identityFromSeed, newIdentitySeed, signedBytes } from '../../shared/signing/identity.js';
import { encodeEnrolRequest } from '../../shared/wire/transfer.js';
import { begin, dialRaw, ENROL, endOf, prefix } from '../support/raw-call.js';
import { until } from '../transport/fixture.js';
import { Siege } from './siege.js';

const MIB = 2 ** 20;
/** Of a process that has few. */
const DESCRIPTORS = 200;

const stranger = (address: string): Promise<ClientHttp2Session> => dialRaw(address, { rejectUnauthorized: false });

describe('strangers at the door of a process', function () {
  this.timeout(240_000);
  let siege: Siege;
  afterEach(() => siege.close());

  it('half-send 640 joins of 4 MiB each, and it grows by less than the limit of all guests', async () => {
    siege = await Siege.open();
    await siege.inMidRound('640 half-sent joins', async (before) => {
      const message = Buffer.concat([prefix(4 * MIB), Buffer.alloc(4 * MIB - 1)]);
      const small = Buffer.concat([prefix(256 * 1_024 - 5), Buffer.alloc(256 * 1_024 - 6)]); // as long as it may be
      const sessions: ClientHttp2Session[] = [];
      const ends: Promise<string>[] = [];
      for (let i = 0; i < 40; i++) {
        const session = await stranger(siege.address);
        sessions.push(session);
        for (let j = 0; j < 16; j++) {
          const call = begin(session, ENROL);
          ends.push(endOf(call));
          call.write(j % 2 === 0 ? message : small);
        }
      }
      assert.match(await Promise.race(ends), /^8: expected a message of at most 262144 bytes, got one of 4194309/);
      for (const session of sessions) await ends[sessions.indexOf(session) * 16];
      assert.match(await siege.operator('run', 'list'), /RUN/i);
      const grownBytes = (await siege.figures()).peakBytes - before.peakBytes;
      // 2,598 MiB before there were limits; what is held twice for a moment, and TLS, come on top
      assert.ok(grownBytes < 3 * GRPC_LIMITS.guestBytes, `${grownBytes / MIB} MiB`);
      for (const session of sessions) session.destroy();
      await siege.hasLines(/^expected a message of at most 262144 bytes, got one of 4194309$/);
    });
  });

  it('try to join 10,000 times, and its security log has a line for some and counts the rest', async () => {
    siege = await Siege.open();
    await siege.inMidRound('10,000 joins', async (before) => {
      const identity = identityFromSeed(newIdentitySeed());
      const token = 'guess';
      const signature = identity.sign(signedBytes('enrolment', token));
      const request = encodeEnrolRequest({ token, publicKey: identity.publicKey, signature });
      const message = Buffer.concat([prefix(request.length), request]);
      const ends = new Map<string, number>();
      let left = 10_000;
      const knock = async (): Promise<void> => {
        while (left > 0) {
          const session = await stranger(siege.address);
          for (let calls = 0; calls < GRPC_LIMITS.guestCalls && left > 0; calls += 16) {
            const some = Array.from({ length: Math.min(16, left) }, () => begin(session, ENROL));
            left -= some.length;
            for (const call of some) call.end(message);
            for (const end of await Promise.all(some.map(endOf))) {
              const words = end.replace(/\d+ s$/, 'N s');
              ends.set(words, (ends.get(words) ?? 0) + 1);
            }
          }
          session.destroy();
        }
      };
      await Promise.all(Array.from({ length: 8 }, knock));
      const held = ends.get('8: too many joins from 127.0.0.1 were refused; next: again in N s') ?? 0;
      const looked = ends.get('7: token: not known to this coordinator') ?? 0;
      assert.equal(held + looked, 10_000, JSON.stringify([...ends]));
      assert.ok(looked < 40, `${looked} tokens were looked at`);
      const grownBytes = (await siege.figures()).peakBytes - before.peakBytes;
      assert.ok(grownBytes < 150 * MIB, `${grownBytes / MIB} MiB`);
    });
    const { dataDir } = siege;
    await siege.stop();
    const { size } = await stat(join(dataDir, 'security-log.jsonl'));
    assert.ok(size < 64 * 1_024, `${size} bytes`);
    const shown = (await siege.audit('show', dataDir, '--json'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    const lines = shown.filter(({ event }) => event === 'refused').length;
    const more = shown.reduce((sum, { times = 0 }) => sum + times, 0);
    assert.equal(lines + more, 10_000);
    const { ok, whole, lines: all, head } = JSON.parse(await siege.audit('verify', dataDir, '--json'));
    assert.deepEqual([ok, whole, all], [true, true, shown.length]);
    assert.match(await siege.audit('verify', dataDir, '--head', head), /the security log holds/);
  });

  it('open more connections than it has descriptors, and an operator comes in, and a run could still be written', async () => {
    siege = await Siege.open(DESCRIPTORS);
    await siege.inMidRound('600 connections, 200 descriptors', async (before) => {
      const sockets: Socket[] = [];
      for (let i = 0; i < 600; i++) {
        const socket = connect(siege.port, '127.0.0.1');
        socket.on('error', () => {}).resume();
        await once(socket, 'connect');
        sockets.push(socket);
      }
      const { descriptors } = await siege.figures();
      const most = before.descriptors + (DESCRIPTORS - before.descriptors) / 2 + 8;
      assert.ok(descriptors <= most, `${before.descriptors} and ${descriptors} of ${DESCRIPTORS}`);
      assert.match(await siege.operator('token', 'create', '--name', 'lab'), /^\S+\n$/);
      for (const socket of sockets) socket.destroy();
      await until(() => sockets.every(({ closed }) => closed));
      await siege.hasLines(/^more than \d+ connections that nobody knows$/);
    });
  });
});
