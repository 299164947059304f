/** Certificates are renewed while everything goes on: nobody is restarted, no connection breaks, no round is lost. */
import assert from 'node:assert/strict';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import { CERTIFICATE_FILE, type Renewal, renewalIn } from '../../client/certificate.js';
import type { ClientTls } from '../../client/grpc/tls.js';
import { joinClient } from '../../client/join.js';
import { retireAuthority, rollAuthority } from '../../server/tls/authority.js';
import { openCertificates } from '../../server/tls/certificates.js';
import { systemClock } from '../../shared/clock.js';
import { decodeJoinToken, encodeJoinToken } from '../../shared/join-token.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { issueFor } from '../../shared/tls/certificate.js';
import { certificatesIn, fingerprintOf, validityOf } from '../../shared/tls/subject.js';
import { FakeClock } from '../support/fake-clock.js';
import { UPDATE } from '../transport/fake-coordinator.js';
import { Door, NAMES } from './door.js';
import { seedOf } from './hostile-coordinator.js';

const DAY_MS = 86_400_000;
const turn = () => new Promise((resolve) => setImmediate(resolve));

describe('a certificate', () => {
  let door: Door;
  let renewals: Renewal[] = [];
  beforeEach(async () => {
    door = await Door.open();
  });
  afterEach(async () => {
    for (const renewal of renewals) renewal.stop();
    renewals = [];
    await door.close();
  });

  /** As the lab's machine has had it for so long. */
  async function aged(client: string, days: number): Promise<string> {
    const { directory, identity } = door.homes.get(client)!;
    const about = { subject: { kind: 'client', name: client } as const, publicKey: identity.publicKey };
    const certificate = await issueFor(door.authority, { ...about, nowMs: systemClock.nowMs() - days * DAY_MS });
    await writeFile(join(directory, CERTIFICATE_FILE), certificate + door.authority.certificate);
    return fingerprintOf(certificate);
  }

  async function renewalOf(client: string, clock = new FakeClock(systemClock.nowMs())): Promise<Renewal> {
    const { directory, seed } = door.homes.get(client)!;
    const coordinatorKey = identityFromSeed(seedOf('coordinator')).publicKey;
    const notice = (message: string, fields: object) =>
      void door.notices.push(`${client}: ${message} ${JSON.stringify(fields)}`);
    const renewal = (await renewalIn(directory, { seed, client, coordinatorKey, clock, notice }))!;
    renewals.push(renewal);
    return renewal;
  }

  const noticed = async (what: RegExp, count = 1) => {
    while (door.notices.filter((notice) => what.test(notice)).length < count) await turn();
  };
  const onDisk = async (client: string) =>
    certificatesIn(await readFile(join(door.homes.get(client)!.directory, CERTIFICATE_FILE), 'utf8'))[0];

  it('of a client is renewed after two thirds of its life, in mid-stream, and shown on the next stream', async () => {
    const old = await aged('c-1', 61);
    const renewal = await renewalOf('c-1');
    const service = door.dial(renewal.current);
    await door.start('c-1', service);
    await noticed(/c-1: connected/);
    assert.equal(service.channel, old);
    renewal.start(service);
    await noticed(/c-1: certificate renewed/);
    const renewed = await onDisk('c-1');
    assert.ok(validityOf(renewed).toMs > systemClock.nowMs() + 89 * DAY_MS);
    assert.deepEqual(renewed, renewal.current().certificate);
    assert.deepEqual(await door.online(), ['c-1'], 'nothing broke');
    assert.equal(service.channel, old, 'and its session goes on');
    door.cut();
    await noticed(/c-1: connected/, 2);
    assert.equal(service.channel, fingerprintOf(renewed));
    assert.equal(door.sessions.get('c-1')!.service.channel, fingerprintOf(renewed));
  });

  it('of a client that was away until it expired is renewed by the key, and lets it in then', async () => {
    await aged('c-1', 200);
    const renewal = await renewalOf('c-1');
    const service = door.dial(renewal.current);
    await door.start('c-1', service);
    await noticed(/c-1: disconnected .*has expired: renew it/);
    renewal.start(service);
    await noticed(/c-1: certificate renewed/);
    await noticed(/c-1: connected/);
    assert.deepEqual(await door.online(), ['c-1']);
  });

  it('of a client that runs for months is renewed in its time, and not before', async () => {
    const clock = new FakeClock(systemClock.nowMs());
    const renewal = await renewalOf('c-1', clock);
    let asked = 0;
    renewal.start({
      renew: async (request) => {
        asked++;
        if (asked === 1) throw new Error('away');
        return door.coordinator.renew(request);
      },
    });
    clock.advance(59 * DAY_MS);
    await turn();
    assert.equal(asked, 0);
    for (let hours = 0; asked < 2; hours++) {
      assert.ok(hours < 48, 'within two days');
      clock.advance(3_600_000);
      await turn();
    }
    await noticed(/c-1: certificate renewed/);
    assert.ok(
      door.notices.some((notice) => /c-1: certificate not renewed .*away/.test(notice)),
      'a try that fails is not the last',
    );
  });

  it('is for nobody but the client that is enrolled by its key', async () => {
    const service = door.dial({ authorities: [door.authority.certificate] });
    const [own, other] = ['c-1', 'c-2'].map((name) => door.homes.get(name)!);
    const renewal = await renewalOf('c-1');
    let signature = new Uint8Array(0);
    renewal.start({ renew: async (request) => Promise.reject(new Error(String(request.client))) });
    await aged('c-1', 61);
    const due = await renewalOf('c-1');
    due.start({
      renew: async (request) => {
        signature = Uint8Array.from(request.signature);
        return service.renew!(request);
      },
    });
    await noticed(/c-1: certificate renewed/);
    const refused = { code: 'permission-denied' };
    await assert.rejects(service.renew!({ client: 'c-2', signature }), refused, 'in another name');
    await assert.rejects(service.renew!({ client: 'nobody', signature }), refused);
    const replayed = await service.renew!({ client: 'c-1', signature });
    const { publicKey } = new X509Certificate(replayed.certificate);
    const { x } = publicKey.export({ format: 'jwk' });
    assert.equal(x, Buffer.from(own.identity.publicKey).toString('base64url'), 'repeated: of use to c-1 alone');
    assert.notDeepEqual(own.seed, other.seed);
  });

  it('of the coordinator is renewed while it runs: new connections see it, old ones go on', async () => {
    const clock = new FakeClock(systemClock.nowMs() - 61 * DAY_MS);
    const onFault = (thrown: unknown) => assert.fail(String(thrown));
    const certificates = await openCertificates({ dataDir: door.directory, hosts: ['127.0.0.1'], clock, onFault });
    const seen = async () => {
      const options = {
        port: door.server.port,
        host: '127.0.0.1',
        ca: [door.authority.certificate],
        ALPNProtocols: ['h2'],
      };
      const socket = connectTls(options);
      await once(socket, 'data');
      const { raw } = socket.getPeerX509Certificate()!;
      socket.end();
      return fingerprintOf(new X509Certificate(raw).toString());
    };
    await door.serve(certificates);
    const models = door.run();
    await noticed(/connected/, NAMES.length);
    const first = await seen();
    assert.equal(first, fingerprintOf(certificates.current().certificate));
    const changed = new Promise<void>((resolve) => certificates.onChange(resolve));
    clock.advance(61 * DAY_MS);
    await changed;
    assert.notEqual(await seen(), first);
    assert.equal(await seen(), fingerprintOf(certificates.current().certificate));
    assert.equal((await models).length, 3);
    assert.deepEqual(
      door.notices.filter((notice) => /disconnected/.test(notice)),
      [],
    );
    certificates.close();
  });

  it('of the authority follows an older one: both are believed until the old one is retired', async () => {
    const dataDir = door.directory;
    const serveAgain = async () => {
      const onFault = (thrown: unknown) => assert.fail(String(thrown));
      const certificates = await openCertificates({ dataDir, hosts: ['127.0.0.1'], clock: systemClock, onFault });
      await door.serve(certificates);
      certificates.close(); // it renews nothing in this test
      door.issueBy(certificates);
    };
    const ask = (tls: ClientTls) => door.dial(tls).uploadStatus(new Uint8Array(32), UPDATE);
    const letIn = /^FlError: session: not known/; // by its certificate
    const { tls: away } = door.homes.get('c-1')!;
    const early = await door.token('early'); // pins the old one

    const { current, trusted } = await rollAuthority(dataDir, systemClock.nowMs());
    await serveAgain();
    assert.deepEqual(trusted.slice(1), [door.authority.certificate]);
    await assert.rejects(ask(away), letIn, 'who knows the old one alone');
    const tokens = [early, await door.token('late')].map((token) => ({
      ...decodeJoinToken(token),
      address: door.server.address,
    }));
    for (const [i, token] of tokens.entries()) {
      const { client } = await joinClient({ token: encodeJoinToken(token), clientsDir: join(dataDir, 'clients') });
      const { tls } = await door.homeOf(client);
      assert.deepEqual(tls.authorities, trusted, `token ${i}`);
      assert.ok(new X509Certificate(tls.certificate!).verify(new X509Certificate(current.certificate).publicKey));
      await assert.rejects(ask(tls), letIn);
      await assert.rejects(ask({ ...tls, authorities: [current.certificate] }), letIn, 'who knows the new one alone');
    }
    await aged('c-2', 61);
    const renewal = await renewalOf('c-2');
    renewal.start(door.dial(renewal.current));
    await noticed(/c-2: certificate renewed/);

    await retireAuthority(dataDir);
    await serveAgain();
    await assert.rejects(ask(renewal.current()), letIn, 'who has renewed');
    await assert.rejects(ask(away), {
      code: 'unavailable',
      message: /self-signed certificate in certificate chain/,
    });
    const believing = { ...away, authorities: [current.certificate] };
    await assert.rejects(ask(believing), /got one of an authority that is not trusted here/);
  });
});
