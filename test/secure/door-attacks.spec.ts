/**
 * Attacks on the door by the network, in the middle of a round of a real coordinator over TLS: each gets an error in words
 * and leaves a line in the security log, and the models of the run are those of a simulation that nobody disturbed.
 * What certificates have to do with it is in door.spec.ts, what only has to do with bytes and time in test/transport/guests.spec.ts.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ClientHttp2Session } from 'node:http2';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { connectAdmin } from '../../client/grpc/admin.js';
import { joinClient } from '../../client/join.js';
import { readSecurityLog, type SecurityEntry } from '../../server/audit/log.js';
import { JOIN_BACKOFF } from '../../server/grpc/limits.js';
import { systemClock } from '../../shared/clock.js';
import { toHex } from '../../shared/hex.js';
import { decodeJoinToken, encodeJoinToken } from '../../shared/join-token.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { issue, newAuthority } from '../../shared/tls/certificate.js';
import { GetRunRequest } from '../../shared/wire/gen/starling/v1/admin.js';
import {
  ControlRequest,
  DownloadModelRequest,
  UploadUpdateRequest,
} from '../../shared/wire/gen/starling/v1/participant.js';
import { AUTHORIZATION_KEY, SESSION_KEY } from '../../shared/wire/status.js';
import { begin, CONTROL, dialRaw, ENROL, endOf, prefix } from '../support/raw-call.js';
import { ADMIN_TOKEN } from '../transport/fake-coordinator.js';
import { until } from '../transport/fixture.js';
import { Door, NAMES } from './door.js';
import { seedOf } from './hostile-coordinator.js';
import { undisturbed } from './undisturbed.js';

const PARTICIPANT = '/starling.v1.ParticipantService';
const PATHS = ['../../identity.key', '..', '/etc/passwd', 'r/../r', 'r\0', '.new-r', ''];

describe('an attack on the door', () => {
  let door: Door;
  let before: number;
  beforeEach(async () => {
    door = await Door.open();
    before = (await log()).length;
  });
  afterEach(() => door.close());

  async function log(): Promise<SecurityEntry[]> {
    const entries: SecurityEntry[] = [];
    const { publicKey } = identityFromSeed(seedOf('coordinator'));
    for await (const { entry } of readSecurityLog(door.directory, publicKey)) entries.push(entry);
    return entries;
  }
  /** Reasons of the refusals since the test began, once there are as many lines as refusals. */
  async function refusals(): Promise<string[]> {
    const found = async () =>
      (await log()).slice(before).flatMap((entry) => (entry.event === 'refused' ? [entry.reason] : []));
    let reasons = await found();
    while (reasons.length < Math.min(20, door.refusals.length)) reasons = await found();
    return reasons;
  }
  const tlsOf = (client: string) => {
    const { certificate: cert, key } = door.homes.get(client)!.tls;
    return { ca: door.authority.certificate, cert, key };
  };
  const raw = (client?: string): Promise<ClientHttp2Session> =>
    dialRaw(door.server.address, client === undefined ? { ca: door.authority.certificate } : tlsOf(client));
  const tryToJoin = (token: string): Promise<string> =>
    joinClient({ token, clientsDir: join(door.directory, 'strangers') }).then(
      ({ client }) => `joined as ${client}`,
      ({ message }: Error) => message,
    );

  async function inMidRound(attack: () => Promise<void>): Promise<void> {
    let attacked: Promise<void> | undefined;
    door.duringRound = () => {
      attacked ??= attack();
      return attacked;
    };
    const models = await door.run();
    await attacked;
    assert.equal(models.length, 3);
    assert.deepEqual(models, await undisturbed(door.directory));
    assert.deepEqual(await door.online(), NAMES);
  }

  it('by a token that is used up, expired or guessed lets nobody in, and makes its address wait', () =>
    inMidRound(async () => {
      const once = await door.token('once');
      const good = await door.token('good');
      assert.equal(await tryToJoin(once), 'joined as once');
      assert.match(await tryToJoin(once), /token: used up, ask for a new one/);
      const short = await door.coordinator.admin.createToken({ name: 'short', uses: 1, expiresMs: 1 });
      const madeAtMs = systemClock.nowMs();
      await until(() => systemClock.nowMs() > madeAtMs + 1);
      assert.match(await tryToJoin(short), /token: expired/);
      const guess = encodeJoinToken({ ...decodeJoinToken(good), secret: 'A'.repeat(43) });
      for (let i = 3; i <= JOIN_BACKOFF.free; i++) assert.match(await tryToJoin(guess), /token: not known/);
      assert.match(await tryToJoin(guess), /too many joins from 127.0.0.1 were refused; next: again in 1 s/);
      assert.equal(await tryToJoin(good), 'joined as good', 'a token that is good waits for nobody');
      const reasons = await refusals();
      assert.deepEqual(reasons, [
        'join: token: used up, ask for a new one',
        'join: token: expired, ask for a new one',
        ...Array(3).fill('join: token: not known to this coordinator'),
        'join: too many joins from 127.0.0.1 were refused; next: again in 1 s',
      ]);
      const joined = (await log()).slice(before).flatMap((entry) => (entry.event === 'joined' ? [entry.client] : []));
      assert.deepEqual(joined, ['once', 'good']);
    }));

  it('by a length that no message may have is refused at its first five bytes', () =>
    inMidRound(async () => {
      const calls: [string | undefined, string, number][] = [
        [undefined, ENROL, 2 ** 32 - 1],
        [undefined, CONTROL, 2 ** 32 - 1],
        ['c-1', CONTROL, 2 ** 32 - 1],
        ['c-1', `${PARTICIPANT}/UploadUpdate`, 4 * 2 ** 20 + 1],
      ];
      const sizeBefore = process.memoryUsage().arrayBuffers;
      for (const [client, path, bytes] of calls) {
        const session = await raw(client);
        const call = begin(session, path, { [SESSION_KEY]: '0'.repeat(64) });
        const end = endOf(call);
        call.write(prefix(bytes));
        assert.match(await end, /^(8: expected a message of at most|7: certificate: expected)/);
        session.destroy();
      }
      assert.ok(process.memoryUsage().arrayBuffers - sizeBefore < 64 * 2 ** 20);
      assert.ok((await refusals()).filter((reason) => /of at most \d+ bytes, got one of/.test(reason)).length >= 3);
    }));

  it('by names that are paths reads and writes nothing, whatever is named: a run, an update, a client', () =>
    inMidRound(async () => {
      const operator = await issue(door.authority, {
        subject: { kind: 'operator', name: 'admin' },
        nowMs: systemClock.nowMs(),
      });
      const { certificate: cert, key } = operator;
      const asOperator = await dialRaw(door.server.address, { ca: door.authority.certificate, cert, key });
      const session = await raw('c-1');
      const headers = { [SESSION_KEY]: toHex(door.sessions.get('c-1')!.session) };
      const ask = (from: ClientHttp2Session, path: string, message: Uint8Array, more: Record<string, string>) => {
        const call = begin(from, path, more);
        call.end(Buffer.concat([prefix(message.length), message]));
        return endOf(call);
      };
      const update = { round: 1, attempt: 1, sha256: 'ab'.repeat(32) };
      for (const run of PATHS) {
        const download = DownloadModelRequest.encode({ run, sha256: 'ab'.repeat(32), offset: 0n }).finish();
        assert.match(await ask(session, `${PARTICIPANT}/DownloadModel`, download, headers), /^[35]: /, run);
        const value = {
          run,
          ...update,
          signature: new Uint8Array(64),
          offset: 0n,
          sizeBytes: 4n,
          weights: [1],
          metrics: [],
        };
        const upload = UploadUpdateRequest.encode({ part: { $case: 'header', value } }).finish();
        assert.match(await ask(session, `${PARTICIPANT}/UploadUpdate`, upload, headers), /^[357]: /, run);
        const greeting = { client: run, version: '0', address: door.server.address, nonce: new Uint8Array(32) };
        const hello = ControlRequest.encode({ frame: { $case: 'hello', value: greeting } }).finish();
        assert.match(await ask(session, CONTROL, hello, {}), /^[037]: /, run);
        const get = GetRunRequest.encode({ run }).finish();
        const admin = { [AUTHORIZATION_KEY]: `Bearer ${ADMIN_TOKEN}` };
        assert.match(await ask(asOperator, '/starling.v1.AdminService/GetRun', get, admin), /^[35]: /, run);
      }
      session.destroy();
      asOperator.destroy();
      assert.ok((await refusals()).length === 20, 'and beyond twenty they are counted');
    }));

  it('by an update or an evaluation that is said again, by its client or another, changes nothing', async () => {
    const replayed = new Map<string, number>();
    await inMidRound(async () => {
      door.duringRound = () => {
        for (const { client, frame } of [...door.said]) {
          if (frame.kind !== 'small-update' && frame.kind !== 'evaluation') continue;
          for (const name of [client, 'c-2']) {
            replayed.set(frame.kind, (replayed.get(frame.kind) ?? 0) + 1);
            door.streams.get(name)!.send(frame);
          }
        }
      };
    });
    assert.deepEqual([...replayed.keys()].sort(), ['evaluation', 'small-update']);
    const lines = [...new Set(await refusals())].sort();
    assert.deepEqual(lines, [
      'evaluation: the signature is not by client "c-2"',
      'update header: the signature is not by client "c-2"',
    ]);
  });

  it('by plaintext or a foreign certificate has a line with its address', () =>
    inMidRound(async () => {
      const foreign = await issue(await newAuthority(systemClock.nowMs()), {
        subject: { kind: 'client', name: 'c-1' },
        nowMs: systemClock.nowMs(),
      });
      await assert.rejects(
        door
          .dial(undefined)
          .uploadStatus(new Uint8Array(32), { run: 'r', round: 1, attempt: 1, sha256: 'ab'.repeat(32) }),
      );
      const authorities = [door.authority.certificate];
      await assert.rejects(
        door
          .dial({ ...foreign, authorities })
          .uploadStatus(new Uint8Array(32), { run: 'r', round: 1, attempt: 1, sha256: 'ab'.repeat(32) }),
        /not trusted here/,
      );
      const reasons = new Set(await refusals());
      assert.ok(reasons.has('TLS: expected a handshake, got plaintext or something else'));
      assert.ok([...reasons].some((reason) => /^certificate: .* not trusted here/.test(reason)));
      for (const entry of await log()) if (entry.event === 'refused') assert.match(entry.peer, /127\.0\.0\.1:\d+$/);
    }));

  it('by connections that never speak ends when their time is over; who is in stays, and an operator comes in', async () => {
    await door.serve(door.certificates, { tlsHandshakeMs: 300, guestsPerAddress: 50 });
    await inMidRound(async () => {
      const sockets: Socket[] = [];
      for (let i = 0; i < 60; i++) {
        const socket = connect(door.server.port, '127.0.0.1');
        socket.on('error', () => {}).resume();
        await once(socket, 'connect');
        sockets.push(socket);
      }
      const operator = await issue(door.authority, {
        subject: { kind: 'operator', name: 'admin' },
        nowMs: systemClock.nowMs(),
      });
      const tls = { authorities: [door.authority.certificate], ...operator };
      const admin = connectAdmin(door.server.address, ADMIN_TOKEN, { tls: () => tls });
      assert.deepEqual(
        (await admin.listRuns()).map(({ run }) => run),
        ['r'],
      );
      await until(() => sockets.every(({ closed }) => closed));
      admin.close();
    });
  });

  it('is told apart from what an operator does, which has a line with the name of the account and the outcome', async () => {
    const operator = await issue(door.authority, {
      subject: { kind: 'operator', name: 'admin' },
      nowMs: systemClock.nowMs(),
    });
    const tls = { authorities: [door.authority.certificate], ...operator };
    await inMidRound(async () => undefined);
    const admin = connectAdmin(door.server.address, ADMIN_TOKEN, { tls: () => tls });
    await admin.createToken({ name: 'charite', uses: 2, expiresMs: 60_000 });
    await assert.rejects(admin.stopRun('nothing', 'a mistake'), /not known/);
    await admin.listRuns();
    admin.close();
    const entries = (await log()).slice(before);
    const actions = entries.flatMap((entry) => (entry.event === 'action' ? [entry] : []));
    assert.deepEqual(
      actions.map(({ account, action, about, outcome }) => ({ account, action, about, outcome })),
      [
        {
          account: 'admin',
          action: 'CreateToken',
          about: { name: 'charite', uses: 2, isPending: false },
          outcome: 'ok',
        },
        {
          ...{ account: 'admin', action: 'StopRun', about: { run: 'nothing', reason: 'a mistake' } },
          outcome: 'run "nothing" is not known here',
        },
      ],
    );
    const plans = entries.flatMap((entry) => (entry.event === 'plan' ? [`${entry.kind} ${entry.round}`] : []));
    assert.deepEqual(
      plans.filter((plan) => /^train/.test(plan)),
      ['train 1', 'train 2', 'train 3'],
    );
  });
});
