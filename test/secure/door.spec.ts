/**
 * The door of a coordinator over the network: whoever has no certificate that holds, or another's, is told so in words at
 * both ends, in the middle of a round, and the models of the run are those of a simulation that nobody disturbed.
 */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { connect as connectHttp2, type Settings } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls, createServer as createTlsServer } from 'node:tls';
import { connectAdmin } from '../../client/grpc/admin.js';
import type { ClientTls } from '../../client/grpc/tls.js';
import { joinClient } from '../../client/join.js';
import { systemClock } from '../../shared/clock.js';
import { decodeJoinToken, encodeJoinToken } from '../../shared/join-token.js';
import type { CoordinatorFrame } from '../../shared/service.js';
import { identityFromSeed, keyPemOf, newIdentitySeed } from '../../shared/signing/identity.js';
import { issue, issueFor, type KeyPair, newAuthority } from '../../shared/tls/certificate.js';
import { MAX_METADATA_BYTES, WINDOW_BYTES } from '../../shared/wire/tuning.js';
import { ADMIN_TOKEN, UPDATE } from '../transport/fake-coordinator.js';
import { Door, NAMES } from './door.js';
import { Relay } from './relay.js';
import { undisturbed } from './undisturbed.js';

const DAY_MS = 86_400_000;
const turn = () => new Promise((resolve) => setImmediate(resolve));
const SESSION = new Uint8Array(32);

describe('the door of a coordinator', () => {
  let door: Door;
  beforeEach(async () => {
    door = await Door.open();
  });
  afterEach(() => door.close());

  const clientOf = (name: string) => ({ kind: 'client', name }) as const;
  const shown = ({ certificate, key }: KeyPair): ClientTls => ({
    authorities: [door.authority.certificate],
    certificate,
    key,
  });
  const now = () => systemClock.nowMs();

  /** What a call says by which a client asks how much of an update is there. */
  async function knock(tls: ClientTls | undefined): Promise<string> {
    const error = await door
      .dial(tls)
      .uploadStatus(SESSION, UPDATE)
      .then(
        () => 'let in',
        ({ code, message }) => `${code}: ${message}`,
      );
    return error;
  }

  /** How a control stream in the name of `client` ends, and what came over it. */
  function greet(
    tls: ClientTls,
    client: string,
  ): Promise<{ readonly frames: CoordinatorFrame[]; readonly reason: string }> {
    const service = door.dial(tls);
    const frames: CoordinatorFrame[] = [];
    return new Promise((resolve) => {
      const stream = service.connect({
        send: (frame) => void frames.push(frame),
        close: (reason) => resolve({ frames, reason }),
      });
      const { dialled: address = '' } = service;
      stream.send({ kind: 'hello', client, version: '0', address, nonce: new Uint8Array(32) });
    });
  }

  /** In the middle of the first round of a run; whose models are then the undisturbed ones. */
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

  it('makes the same models as a simulation, over TLS', () => inMidRound(async () => undefined));

  it('keeps every key where its owner alone can read it', async () => {
    const modes: Record<string, number> = {};
    for (const entry of await readdir(door.directory, { recursive: true, withFileTypes: true })) {
      const path = join(entry.parentPath, entry.name);
      if (entry.isFile()) modes[path.slice(door.directory.length + 1)] = (await stat(path)).mode & 0o777;
    }
    for (const secret of ['authority.pem', 'operator.pem', 'clients/c-1/identity.key'])
      assert.equal(modes[secret], 0o600);
  });

  it('is shut for who shows no certificate: every call but those of joining', () =>
    inMidRound(async () => {
      const tls = { authorities: [door.authority.certificate] };
      const words = 'permission-denied: certificate: expected a valid one of a client, got none';
      assert.equal(await knock(tls), words);
      assert.match((await greet(tls, 'c-1')).reason, /certificate: expected a valid one of a client, got none/);
      const service = door.dial(tls);
      await assert.rejects(
        service
          .download(SESSION, { run: 'r', sha256: 'ab'.repeat(32), offset: 0 })
          [Symbol.asyncIterator]()
          .next(),
        /got none/,
      );
      const signed = { header: { ...UPDATE, sizeBytes: 4, weights: [1], metrics: {} }, signature: new Uint8Array(64) };
      const chunks = async function* () {
        yield new Uint8Array(4);
      };
      await assert.rejects(service.upload(SESSION, signed, 0, chunks()), /got none/);
      assert.deepEqual(new Set(door.refusals), new Set(['certificate: expected a valid one of a client, got none']));
      assert.equal(door.refusals.length, 4);
    }));

  const untrusted: [string, () => Promise<KeyPair>, RegExp][] = [
    [
      'of a foreign authority',
      async () => issue(await newAuthority(now()), { subject: clientOf('c-1'), nowMs: now() }),
      /not trusted here/,
    ],
    [
      'that has expired',
      () => issue(door.authority, { subject: clientOf('c-1'), nowMs: now() - 91 * DAY_MS }),
      /has expired: renew it/,
    ],
    [
      'that is not valid yet',
      () => issue(door.authority, { subject: clientOf('c-1'), nowMs: now() + DAY_MS }),
      /not valid yet/,
    ],
    [
      'of the coordinator itself',
      () => issue(door.authority, { subject: { kind: 'server', hosts: ['127.0.0.1'] }, nowMs: now() }),
      /not for clients/,
    ],
    [
      'of an operator',
      () => issue(door.authority, { subject: { kind: 'operator', name: 'admin' }, nowMs: now() }),
      /one of the operator "admin"/,
    ],
  ];
  for (const [which, make, why] of untrusted) {
    it(`is shut for a certificate ${which}`, () =>
      inMidRound(async () => {
        const tls = shown(await make());
        assert.match(
          await knock(tls),
          new RegExp(`^permission-denied: certificate: expected a valid one of a client, got.*${why.source}`),
        );
        assert.match((await greet(tls, 'c-1')).reason, why);
        assert.equal(door.refusals.length, 2, door.refusals.join(' | '));
        for (const refusal of door.refusals) assert.match(refusal, why);
      }));
  }

  it('is shut for a certificate that is forged: signed by another key in the name of the authority', () =>
    inMidRound(async () => {
      const { key } = await newAuthority(now());
      const forged = await issue(
        { certificate: door.authority.certificate, key },
        { subject: clientOf('c-1'), nowMs: now() },
      );
      assert.match(await knock(shown(forged)), /^unavailable: /);
      assert.deepEqual(
        [...new Set(door.refusals)],
        ['TLS: expected HTTP/2 and a certificate that holds, got a certificate with a forged signature'],
      );
    }));

  it('speaks no TLS below 1.3, and nothing to who speaks in plaintext', () =>
    inMidRound(async () => {
      const { port } = door.server;
      const { certificate: cert, key } = door.homes.get('c-1')!.tls;
      const older = connectTls({
        port,
        host: '127.0.0.1',
        maxVersion: 'TLSv1.2',
        rejectUnauthorized: false,
        cert,
        key,
      });
      const [error] = (await once(older, 'error')) as [Error];
      assert.match(error.message, /alert protocol version/);
      assert.deepEqual(door.refusals.splice(0), ['TLS: expected version 1.3, got an older one']);
      assert.match(await knock(undefined), /^unavailable: /);
      assert.deepEqual([...new Set(door.refusals)], ['TLS: expected a handshake, got plaintext or something else']);
    }));

  it('has the raised windows over TLS, of the stream and of the connection, and the limit of headers', async () => {
    const { certificate: cert, key } = door.homes.get('c-1')!.tls;
    const session = connectHttp2(`https://${door.server.address}`, { ca: door.authority.certificate, cert, key });
    const [settings] = (await once(session, 'remoteSettings')) as [Settings];
    assert.equal(settings.initialWindowSize, WINDOW_BYTES);
    assert.equal(settings.maxHeaderListSize, MAX_METADATA_BYTES);
    while (session.state.remoteWindowSize !== WINDOW_BYTES) await turn(); // its update is a frame of its own
    session.close();
  });

  it('is no door to a client when somebody else stands there: another authority, another name, plaintext', async () => {
    const subject = { kind: 'server', hosts: ['127.0.0.1'] } as const;
    const foreign = await newAuthority(now());
    const elsewhere = { kind: 'server', hosts: ['10.0.0.1', 'hub.example'] } as const;
    const impostors: [KeyPair, RegExp][] = [
      [await issue(foreign, { subject, nowMs: now() }), /unable to verify the first certificate/],
      [
        await issue(door.authority, { subject: elsewhere, nowMs: now() }),
        /IP: 127.0.0.1 is not in the cert's list: 10.0.0.1/,
      ],
      [
        await issue(door.authority, { subject: clientOf('c-2'), nowMs: now() }),
        /unsuitable certificate purpose|not in the cert's list/,
      ],
      [await issue(door.authority, { subject, nowMs: now() - 91 * DAY_MS }), /certificate has expired/],
    ];
    for (const [{ certificate: cert, key }, why] of impostors) {
      let heard = 0;
      const impostor = createTlsServer({ cert, key, ALPNProtocols: ['h2'] }, (socket) => {
        socket.on('error', () => {}).on('data', () => heard++);
      }).on('tlsClientError', () => {});
      impostor.listen(0, '127.0.0.1');
      await once(impostor, 'listening');
      const address = `127.0.0.1:${(impostor.address() as AddressInfo).port}`;
      const { tls } = door.homes.get('c-1')!;
      await assert.rejects(door.dial(tls, address).uploadStatus(SESSION, UPDATE), (error: Error) =>
        why.test(error.message),
      );
      const token = encodeJoinToken({ ...decodeJoinToken(await door.token('other')), address, others: [] });
      await assert.rejects(
        joinClient({ token, clientsDir: join(door.directory, 'others') }),
        /is not the one that made this token|unavailable/,
      );
      assert.equal(heard, 0, 'not one byte');
      impostor.close();
    }
  });

  it('lets nobody in by the certificate of another client, or by one for another key', () =>
    inMidRound(async () => {
      const other = await greet(door.homes.get('c-2')!.tls, 'c-1');
      assert.deepEqual(
        other.frames.map(({ kind }) => kind),
        ['goodbye'],
      );
      assert.match(other.reason, /^certificate: expected that of client "c-1", got that of "c-2"/);
      // as the authority would issue for a key that is enrolled no more
      const seed = newIdentitySeed();
      const { publicKey } = identityFromSeed(seed);
      const certificate = await issueFor(door.authority, { subject: clientOf('c-1'), publicKey, nowMs: now() });
      const service = door.dial({ authorities: [door.authority.certificate], certificate, key: keyPemOf(seed) });
      const seen = door.notices.length;
      const late = await door.start('c-1', service); // with the enrolled key, over another's channel
      await assert.rejects(
        late.done,
        /expected one for the key by which client "c-1" is enrolled, got one for another/,
      );
      assert.ok(door.notices.slice(seen).every((notice) => !/c-1: connected/.test(notice)));
    }));

  it('is shut for an operator without the certificate of one, even with the secret', () =>
    inMidRound(async () => {
      for (const tls of [{ authorities: [door.authority.certificate] }, door.homes.get('c-1')!.tls]) {
        const admin = connectAdmin(door.server.address, ADMIN_TOKEN, { tls: () => tls });
        await assert.rejects(
          admin.stopRun('r', 'attack'),
          /^FlError: certificate: expected a valid one of an operator, got (none|one of the client "c-1")$/,
        );
        admin.close();
      }
      const operator = await issue(door.authority, { subject: { kind: 'operator', name: 'admin' }, nowMs: now() });
      const wrong = connectAdmin(door.server.address, 'guessed', { tls: () => shown(operator) });
      await assert.rejects(wrong.stopRun('r', 'attack'), /expected the admin token/);
      wrong.close();
      const right = connectAdmin(door.server.address, ADMIN_TOKEN, { tls: () => shown(operator) });
      assert.deepEqual(
        (await right.listRuns()).map(({ run }) => run),
        ['r'],
      );
      right.close();
    }));

  it('gives no session to a relay that has the key of the coordinator and passes on what both sides say', () =>
    inMidRound(async () => {
      const inItsName = { subject: clientOf('c-1'), nowMs: now() };
      const seed = newIdentitySeed();
      const { publicKey } = identityFromSeed(seed);
      const issued = { certificate: await issueFor(door.authority, { ...inItsName, publicKey }), key: keyPemOf(seed) };
      const ways: [ClientTls, RegExp, string[]][] = [
        // the relay is a lab of the federation itself
        [
          door.homes.get('c-2')!.tls,
          /certificate: expected that of client \\"c-1\\", got that of \\"c-2\\"/,
          ['hello'],
        ],
        // the authority has been talked into a certificate for the lab's name
        [shown(issued), /challenge: expected .* and the certificate that it has shown, got another/, ['hello']],
      ];
      for (const [behind, why, heard] of ways) {
        const relay = await Relay.start(door.server.address, { front: door.certificates.current(), behind });
        door.addresses.push(relay.address); // no old address, as far as the coordinator knows
        const seen = door.notices.length;
        try {
          const victim = await door.start('c-1', door.dial(door.homes.get('c-1')!.tls, relay.address));
          while (!door.notices.slice(seen).some((notice) => /c-1: disconnected/.test(notice))) await turn();
          victim.stop();
          assert.ok(
            door.notices.slice(seen).some((notice) => why.test(notice)),
            door.notices.slice(seen).join('\n'),
          );
          assert.deepEqual(
            relay.fromClient.map(({ kind }) => kind),
            heard,
          );
          assert.ok(!relay.fromCoordinator.some(({ kind }) => kind === 'welcome'));
        } finally {
          await relay.close();
        }
      }
    }));

  it('takes no session beside another certificate than the one that opened it', () =>
    inMidRound(async () => {
      const { session, service } = door.sessions.get('c-1')!;
      const unknown = { ...UPDATE, run: 'other' };
      await assert.rejects(door.dial(door.homes.get('c-2')!.tls).uploadStatus(session, unknown), {
        code: 'permission-denied',
        message: 'session: expected the certificate that it was opened by, got another',
      });
      assert.equal(await service.uploadStatus(session, unknown), 0, 'and is good beside its own');
    }));
});
