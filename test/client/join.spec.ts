/** A lab's machine that is killed while it joins: it joins again with the same token, and is a client whole or not at all. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectAdmin, type GrpcAdmin } from '../../client/grpc/admin.js';
import { joinClient, membershipDirectory } from '../../client/join.js';
import { ADMIN_TOKEN_FILE } from '../../server/data-dir.js';
import { type CoordinatorProcess, startCoordinator } from '../../server/main.js';
import { toHex } from '../../shared/hex.js';
import { identityFromSeed } from '../../shared/signing/identity.js';
import { DyingFiles } from '../support/dying-files.js';

describe('starling client join', () => {
  let folder: string;
  let coordinator: CoordinatorProcess;
  let admin: GrpcAdmin;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-join-'));
    const dataDir = join(folder, 'coordinator');
    coordinator = await startCoordinator({ dataDir, listen: '127.0.0.1:0', logLevel: 'silent' });
    admin = connectAdmin(coordinator.address, await readFile(join(dataDir, ADMIN_TOKEN_FILE), 'utf8'));
  });

  after(async () => {
    admin.close();
    await coordinator.stop();
    await rm(folder, { recursive: true });
  });

  const tokenFor = (name: string) => admin.createToken({ name, uses: 1, expiresMs: 60_000 });

  /** What is on the disk is what the coordinator knows. */
  async function assertWhole(clientsDir: string, name: string): Promise<void> {
    const directory = await membershipDirectory({ clientsDir });
    assert.equal(directory, join(clientsDir, name));
    const { publicKey } = (await admin.listClients()).find((client) => client.name === name)!;
    const seed = await readFile(join(directory, 'identity.key'));
    assert.equal(toHex(identityFromSeed(seed).publicKey), toHex(publicKey));
    assert.equal(JSON.parse(await readFile(join(directory, 'client.json'), 'utf8')).client, name);
  }

  for (const there of ['nothing', 'a policy']) {
    it(`survives a kill at every single change of the disk, where ${there} was before`, async () => {
      let kills = 0;
      let later = 0;
      for (let isKilled = true; isKilled; kills++) {
        const name = `${there.slice(-1)}${kills}`;
        const clientsDir = join(folder, `of-${name}`);
        if (there === 'a policy') {
          await mkdir(join(clientsDir, name), { recursive: true });
          await writeFile(join(clientsDir, name, 'policy.yaml'), 'min-cohort: 3\n');
        }
        const token = await tokenFor(name);
        const files = new DyingFiles(kills);
        const joined = joinClient({ token, clientsDir, files }).then(() => false);
        isKilled = await Promise.race([joined, files.died.then(() => true)]);
        // the process that held it is dead, though it is this one
        for (const entry of await readdir(clientsDir).catch((): string[] => []))
          await rm(join(clientsDir, entry, 'lock'), { force: true });
        const isWhole = (await readdir(join(clientsDir, name)).catch((): string[] => [])).includes('identity.key');
        if (isWhole) await assertWhole(clientsDir, name);
        else {
          later++;
          assert.equal((await joinClient({ token, clientsDir })).client, name, `killed at change ${kills}`);
          await assertWhole(clientsDir, name);
        }
        if (!isWhole) assert.deepEqual(await readdir(clientsDir), [name], 'nothing else is left');
      }
      assert.ok(kills > 12 && later > 9 && later < kills, `${kills} kills, ${later} of them joined again`);
    });
  }

  it('takes the place of no other client of that name, and goes on with its token when that has been moved away', async () => {
    const token = await tokenFor('twin');
    const clientsDir = join(folder, 'twins');
    await mkdir(join(clientsDir, 'twin'), { recursive: true });
    await writeFile(join(clientsDir, 'twin', 'identity.key'), 'of another');
    const words = /twin holds the key of another client of that name; next: move it away/;
    await assert.rejects(joinClient({ token, clientsDir }), { code: 'already-exists', message: words });
    assert.equal(await readFile(join(clientsDir, 'twin', 'identity.key'), 'utf8'), 'of another');
    await rm(join(clientsDir, 'twin'), { recursive: true });
    await joinClient({ token, clientsDir });
    await assertWhole(clientsDir, 'twin');
  });

  it('makes as many clients as join at a time with one token, in one folder', async () => {
    const token = await admin.createToken({ name: 'many', uses: 3, expiresMs: 60_000 });
    const clientsDir = join(folder, 'many');
    const joined = await Promise.all([1, 2, 3].map(() => joinClient({ token, clientsDir })));
    const names = ['many-1', 'many-2', 'many-3'];
    assert.deepEqual(joined.map(({ client }) => client).sort(), names);
    assert.deepEqual((await readdir(clientsDir)).sort(), names);
    for (const name of names) {
      assert.deepEqual((await readdir(join(clientsDir, name))).sort(), [
        'client.json',
        'identity.key',
        'public-keys.json',
      ]);
    }
  });

  it('keeps no key that the coordinator did not take', async () => {
    const token = await tokenFor('once');
    await joinClient({ token, clientsDir: join(folder, 'first') });
    const clientsDir = join(folder, 'second');
    await assert.rejects(joinClient({ token, clientsDir }), { code: 'permission-denied', message: /used up/ });
    assert.deepEqual(await readdir(clientsDir), []);
  });
});
