/** A lab's machine that is killed while it rotates its key, or does not reach its coordinator: it has a key that is enrolled. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { certificateIn, isCertificateOf } from '../../client/certificate.js';
import { membershipIn, seedIn } from '../../client/directory.js';
import { keysIn } from '../../client/former-keys.js';
import type { GrpcAdmin } from '../../client/grpc/admin.js';
import { joinClient, keepMembership, membershipDirectory } from '../../client/join.js';
import { endRotation, rotateKey } from '../../client/rotate-key.js';
import { setAddress } from '../../client/set-address.js';
import { readSiteLog } from '../../client/store/site-log.js';
import { type CoordinatorProcess, startCoordinator } from '../../server/main.js';
import { toHex } from '../../shared/hex.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { DyingFiles } from '../support/dying-files.js';

describe('starling client rotate-key', () => {
  let folder: string;
  let coordinator: CoordinatorProcess;
  let admin: GrpcAdmin;
  let made = 0;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-rotate-'));
    const dataDir = join(folder, 'coordinator');
    const about = { dataDir, listen: '127.0.0.1:0', publicAddresses: ['127.0.0.1'], logLevel: 'silent' };
    coordinator = await startCoordinator(about);
    admin = await openAdmin({ dataDir });
  });

  after(async () => {
    admin.close();
    await coordinator.stop();
    await rm(folder, { recursive: true });
  });

  async function joined(): Promise<{ readonly clientsDir: string; readonly directory: string; readonly name: string }> {
    const name = `lab-${made++}`;
    const clientsDir = join(folder, `of-${name}`);
    await joinClient({ token: await admin.createToken({ name, uses: 1, expiresMs: 60_000 }), clientsDir });
    return { clientsDir, directory: await membershipDirectory({ clientsDir }), name };
  }
  const enrolledKey = async (name: string) =>
    toHex((await admin.listClients()).find((client) => client.name === name)!.publicKey);

  /** Key and certificate are one, enrolled, and open its coordinator; its log is signed by keys that it notes. */
  async function assertWhole({ clientsDir, directory, name }: Awaited<ReturnType<typeof joined>>): Promise<void> {
    const seed = await seedIn(directory);
    const { publicKey } = identityFromSeed(seed);
    assert.equal(toHex(publicKey), await enrolledKey(name));
    assert.ok(isCertificateOf((await certificateIn(directory, seed))!, publicKey));
    await setAddress({ clientsDir, address: (await membershipIn(directory)).address });
    const left = (await readdir(directory)).filter((entry) => /next|identity/.test(entry));
    assert.deepEqual(left, ['identity.key']);
  }

  it('killed at any change of the disk is ended by the next start, with one key that is enrolled, certified and noted', async () => {
    let kills = 0;
    let later = 0;
    for (let isKilled = true; isKilled; kills++) {
      const lab = await joined();
      const before = await enrolledKey(lab.name);
      const files = new DyingFiles(kills);
      const rotated = rotateKey({ clientsDir: lab.clientsDir, files }).then(() => false);
      isKilled = await Promise.race([rotated, files.died.then(() => true)]);
      await rm(join(lab.directory, 'lock'), { force: true }); // the process that held it is dead, though it is this one
      const ended = await endRotation(lab.directory, await membershipIn(lab.directory));
      if (ended !== undefined) later++;
      for (const entry of await readdir(lab.directory))
        if (/\.next\.|tmp/.test(entry)) await rm(join(lab.directory, entry)); // as the next start does
      await assertWhole(lab);
      const now = await enrolledKey(lab.name);
      if (!isKilled || ended !== undefined) assert.notEqual(now, before, `killed at change ${kills}`);
      const keys = await keysIn(lab.directory, identityFromSeed(await seedIn(lab.directory)).publicKey);
      assert.deepEqual(keys.map(toHex), now === before ? [before] : [now, before]);
      const said: string[] = [];
      if (now !== before)
        for await (const entry of readSiteLog(lab.directory, keys))
          if (entry.event === 'noticed') said.push(String(entry.fields.to));
      assert.deepEqual([...new Set(said)], now === before ? [] : [now]);
    }
    assert.ok(kills > 12 && later > 8, `${kills} kills, ${later} of them ended later`);
  });

  it('whose answer was lost keeps the key that is enrolled, whoever else answers at that address next', async () => {
    const lab = await joined();
    const membership = await membershipIn(lab.directory);
    const files = new DyingFiles(5); // after its word was heard
    await Promise.race([rotateKey({ clientsDir: lab.clientsDir, files }), files.died]);
    const next = await readFile(join(lab.directory, 'identity.key.next'));
    assert.equal(await enrolledKey(lab.name), toHex(identityFromSeed(next).publicKey), 'it has been heard');
    const dataDir = join(folder, 'another');
    const about = { dataDir, listen: '127.0.0.1:0', publicAddresses: ['127.0.0.1'], logLevel: 'silent' };
    const another = await startCoordinator(about);
    try {
      const moved = { ...membership, address: another.addresses[0] };
      await keepMembership(lab.directory, moved);
      await assert.rejects(endRotation(lab.directory, moved));
      const plain = await startCoordinator({
        dataDir: join(folder, 'plain'),
        listen: '127.0.0.1:0',
        logLevel: 'silent',
      });
      try {
        const certificate = join(lab.directory, 'certificate.pem');
        const text = await readFile(certificate);
        await rm(certificate);
        await assert.rejects(endRotation(lab.directory, { ...moved, address: plain.address }), {
          ...{ code: 'permission-denied', message: /is not the one that made this token/ },
        });
        await writeFile(certificate, text);
      } finally {
        await plain.stop();
      }
    } finally {
      await another.stop();
    }
    assert.deepEqual(await readFile(join(lab.directory, 'identity.key.next')), next);
    await keepMembership(lab.directory, membership);
    await endRotation(lab.directory, membership);
    await assertWhole(lab);
  });

  it('that is refused keeps its key, and says so', async () => {
    const lab = await joined();
    const before = await enrolledKey(lab.name);
    await admin.setStanding({ client: lab.name, change: 'revoke', reason: 'stolen' });
    await assert.rejects(rotateKey({ clientsDir: lab.clientsDir }), {
      ...{ code: 'permission-denied', message: /revoked.*stolen.*; the key stays as it was/ },
    });
    assert.equal(toHex(identityFromSeed(await seedIn(lab.directory)).publicKey), before);
    assert.ok(!(await readdir(lab.directory)).includes('identity.key.next'));
  });

  it('is for who is a client: names of others, and none, are told', async () => {
    const clientsDir = join(folder, 'nobody');
    await mkdir(clientsDir);
    await assert.rejects(rotateKey({ clientsDir }), /this machine is no client yet/);
    const lab = await joined();
    await assert.rejects(rotateKey({ clientsDir: lab.clientsDir, name: 'other' }), /no client "other" here/);
  });
});
