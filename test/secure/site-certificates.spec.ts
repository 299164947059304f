/** A site's own certificates in place of ours: P-256, by an authority that knows nothing of us, with a name and no URI. */
import 'reflect-metadata';
import assert from 'node:assert/strict';
import { createPrivateKey, webcrypto, X509Certificate } from 'node:crypto';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as x509 from '@peculiar/x509';
import { connectGrpc } from '../../client/grpc/participant.js';
import { joinClient, type Membership } from '../../client/join.js';
import { Participant } from '../../client/round/participant.js';
import { siteTls } from '../../client/site-certificates.js';
import { memoryStore } from '../../client/store/updates.js';
import { type CoordinatorProcess, startCoordinator } from '../../server/main.js';
import { openSiteCertificates } from '../../server/tls/site.js';
import { systemClock } from '../../shared/clock.js';
import { fromHex } from '../../shared/hex.js';
import { rngFromEntropy } from '../../shared/rng.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { fingerprintOf } from '../../shared/tls/subject.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { FakeClock } from '../support/fake-clock.js';
import { toyModel, toySpec, toyTrainer } from '../support/toy.js';
import { UPDATE } from '../transport/fake-coordinator.js';

const P256 = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' };
const HOUR_MS = 3_600_000;

/** The hospital's. */
class Authority {
  readonly #keys: webcrypto.CryptoKeyPair;
  readonly #root: x509.X509Certificate;

  private constructor(keys: webcrypto.CryptoKeyPair, root: x509.X509Certificate) {
    this.#keys = keys;
    this.#root = root;
  }

  static async make(name: string): Promise<Authority> {
    const keys = (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
    const extensions = [new x509.BasicConstraintsExtension(true, 0, true)];
    const about = { name: `CN=${name}`, keys, signingAlgorithm: P256, extensions, ...Authority.#validity() };
    return new Authority(keys, await x509.X509CertificateGenerator.createSelfSigned(about, webcrypto as never));
  }

  static #validity() {
    return { notBefore: new Date(Date.now() - HOUR_MS), notAfter: new Date(Date.now() + HOUR_MS) };
  }

  /** Writes NAME.crt, NAME.key and ca.crt into a folder; their paths. */
  async issue(folder: string, name: string) {
    const keys = (await webcrypto.subtle.generateKey(P256, true, ['sign', 'verify'])) as webcrypto.CryptoKeyPair;
    const extensions = [new x509.SubjectAlternativeNameExtension([{ type: 'ip', value: '127.0.0.1' }])];
    const about = { subject: `CN=${name}`, issuer: this.#root.subject, publicKey: keys.publicKey, extensions };
    const signing = { signingKey: this.#keys.privateKey, signingAlgorithm: P256, ...Authority.#validity() };
    const certificate = await x509.X509CertificateGenerator.create({ ...about, ...signing }, webcrypto as never);
    const der = Buffer.from(await webcrypto.subtle.exportKey('pkcs8', keys.privateKey));
    const key = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }).export({ format: 'pem', type: 'pkcs8' });
    const paths = { certificate: `${name}.crt`, key: `${name}.key`, authorities: 'ca.crt' };
    const files = Object.fromEntries(
      Object.entries(paths).map(([kind, file]) => [kind, join(folder, file)]),
    ) as typeof paths;
    await writeFile(files.certificate, certificate.toString('pem'));
    await writeFile(files.key, key);
    await writeFile(files.authorities, this.#root.toString('pem'));
    return files;
  }
}

describe("a site's own certificates", () => {
  let folder: string;
  let hospital: Authority;
  let coordinator: CoordinatorProcess;
  let dataDir: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-site-'));
    dataDir = join(folder, 'coordinator');
    hospital = await Authority.make('Hospital');
    const siteFiles = await hospital.issue(folder, 'hub');
    coordinator = await startCoordinator({ dataDir, listen: '127.0.0.1:0', siteFiles, logLevel: 'silent' });
  });

  after(async () => {
    await coordinator.stop();
    await rm(folder, { recursive: true });
  });

  it('carry a run of labs that their hospital vouches for, by P-256 and a common name', async () => {
    const admin = await openAdmin({ dataDir });
    const clients = ['lab-1', 'lab-2', 'lab-3', 'lab-4'];
    const participants: Participant[] = [];
    const services: { close(): void }[] = [];
    for (const name of clients) {
      const clientsDir = join(folder, name);
      const token = await admin.createToken({ name, uses: 1, expiresMs: 60_000 });
      const siteFiles = await hospital.issue(folder, name);
      await assert.rejects(
        joinClient({ token, clientsDir }),
        /--tls-cert, --tls-key, --tls-ca: expected those of your site/,
      );
      const membership = await joinClient({ token, clientsDir, siteFiles });
      assert.deepEqual(membership.siteFiles, siteFiles);
      const service = connectGrpc(membership.address, { tls: siteTls(membership.siteFiles!) });
      services.push(service);
      participants.push(await start(membership, clientsDir, service));
    }
    const run = await admin.startRun(toySpec({ rounds: 2 }), encode(toyModel()));
    const statuses: string[] = [];
    for await (const line of admin.watchRun(run)) {
      const event = JSON.parse(line);
      if (event.kind === 'ended') statuses.push(event.status);
    }
    assert.deepEqual(statuses, ['completed']);
    for (const participant of participants) participant.stop();
    for (const service of services) service.close();
    admin.close();
  });

  async function start(
    { client, coordinatorKey }: Membership,
    clientsDir: string,
    service: ReturnType<typeof connectGrpc>,
  ) {
    const seed = new Uint8Array(await readFile(join(clientsDir, client, 'identity.key')));
    return Participant.start({
      ...{ service, client, identity: identityFromSeed(seed), coordinatorKey: fromHex(coordinatorKey), version: '0' },
      ...{ store: memoryStore(), trainer: toyTrainer(), clock: systemClock, rng: rngFromEntropy(), notice: () => {} },
    });
  }

  it('let nobody in by those of another hospital, which fools no lab either', async () => {
    const ask = async (files: Awaited<ReturnType<Authority['issue']>>, authorities = files.authorities) => {
      const service = connectGrpc(coordinator.address, { tls: siteTls({ ...files, authorities }) });
      const { message } = (await service
        .uploadStatus(new Uint8Array(32), UPDATE)
        .catch((error: Error) => error)) as Error;
      service.close();
      return message;
    };
    const other = join(folder, 'other');
    await mkdir(other);
    const foreign = await (await Authority.make('Other hospital')).issue(other, 'lab-1');
    assert.match(await ask(foreign), /certificate/); // by who trusts the other one
    const own = await hospital.issue(folder, 'lab-9');
    assert.match(
      await ask(foreign, own.authorities),
      /certificate: expected a valid one of a client, got one of an authority that is not trusted/,
    );
    assert.match(await ask(own), /^client "lab-9" is not enrolled here$/);
  });

  it('are read again while the coordinator runs, and not while they are half written', async () => {
    const files = await hospital.issue(folder, 'again');
    const clock = new FakeClock(Date.now());
    const faults: unknown[] = [];
    const options = {
      dataDir: join(folder, 'coordinator'),
      hosts: ['127.0.0.1'],
      clock,
      onFault: (fault: unknown) => void faults.push(fault),
    };
    const certificates = await openSiteCertificates(files, options);
    const shown = () => fingerprintOf(certificates.current().certificate);
    let changes = 0;
    let changed = () => {};
    certificates.onChange(() => {
      changes++;
      changed();
    });
    const first = shown();
    await writeFile(files.certificate, '-----BEGIN');
    clock.advance(60_000);
    while (faults.length === 0) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(shown(), first);
    assert.match(String(faults[0]), /again\.key: expected the private key of .*again\.crt, both PEM, got another/);
    await hospital.issue(folder, 'again');
    const change = new Promise<void>((resolve) => {
      changed = resolve;
    });
    while (clock.waiting < 2) await new Promise((resolve) => setImmediate(resolve)); // both watches are set again
    clock.advance(60_000);
    await change;
    assert.equal(changes, 1);
    assert.equal(shown(), fingerprintOf(new X509Certificate(await readFile(files.certificate)).toString()));
    certificates.close();
  });
});
