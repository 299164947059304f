/** A lab that has lost its key is the same lab with another one: its charges, its log and its ledger heads go on. */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { keysIn, noteKey } from '../../client/former-keys.js';
import { connectAdmin, type GrpcAdmin } from '../../client/grpc/admin.js';
import { joinClient } from '../../client/join.js';
import { openAccount } from '../../client/store/privacy-account.js';
import { openSiteLog, readSiteLog } from '../../client/store/site-log.js';
import { ADMIN_TOKEN_FILE } from '../../server/data-dir.js';
import { type CoordinatorProcess, startCoordinator } from '../../server/main.js';
import { type Identity, identityFromSeed } from '../../shared/signing/identity.js';
import { FakeClock } from '../support/fake-clock.js';
import { privatePlan } from '../support/private-plan.js';

describe('a lab that has lost its key', () => {
  let folder: string;
  let coordinator: CoordinatorProcess;
  let admin: GrpcAdmin;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-again-'));
    const dataDir = join(folder, 'coordinator');
    coordinator = await startCoordinator({ dataDir, listen: '127.0.0.1:0', logLevel: 'silent' });
    admin = connectAdmin(coordinator.address, await readFile(join(dataDir, ADMIN_TOKEN_FILE), 'utf8'));
  });

  after(async () => {
    admin.close();
    await coordinator.stop();
    await rm(folder, { recursive: true });
  });

  it('joins where it was, by a token for its name, with another key; what it was charged stays, and goes on', async () => {
    const clientsDir = join(folder, 'clients');
    const directory = join(clientsDir, 'tum');
    const identity = async (): Promise<Identity> =>
      identityFromSeed(new Uint8Array(await readFile(join(directory, 'identity.key'))));
    const site = async () => {
      const own = await identity();
      const keys = await keysIn(directory, own.publicKey);
      const account = await openAccount(directory, { identity: own, keys, delta: 1e-5 });
      return { own, keys, account, log: await openSiteLog(directory, { identity: own, clock: new FakeClock() }) };
    };

    await joinClient({ token: await admin.createToken({ name: 'tum', uses: 1, expiresMs: 60_000 }), clientsDir });
    const before = await site();
    await before.account.charge(privatePlan(1));
    await before.log.add({ event: 'noticed', message: 'before', fields: {} });
    const charged = before.account.epsilon;
    assert.ok(charged > 0);

    const token = await admin.reEnrol({ client: 'tum', expiresMs: 60_000 });
    await assert.rejects(joinClient({ token, clientsDir }), /if that key was revoked, remove identity.key there/);
    await rm(join(directory, 'identity.key'));
    assert.equal((await joinClient({ token, clientsDir })).client, 'tum');

    const after = await site();
    assert.notDeepEqual(after.own.publicKey, before.own.publicKey);
    const { publicKey } = (await admin.listClients()).find(({ name }) => name === 'tum')!;
    assert.deepEqual(publicKey, after.own.publicKey);
    assert.equal(after.account.epsilon, charged);
    await after.account.charge(privatePlan(2));
    await after.log.add({ event: 'noticed', message: 'after', fields: {} });
    const { epsilon } = after.account;
    assert.ok(epsilon > charged);
    assert.equal((await site()).account.epsilon, epsilon, 'and after the next start');
    const said: string[] = [];
    for await (const entry of readSiteLog(directory, after.keys))
      if (entry.event === 'noticed') said.push(entry.message);
    assert.deepEqual(said, ['before', 'after']);
    const alone = openAccount(directory, { identity: after.own, delta: 1e-5 });
    await assert.rejects(alone, { code: 'corrupt' }, 'without the keys before it nobody would know the first charge');
  });

  it('notes a key once, the newest first', async () => {
    const [one, two] = [1, 2].map((n) => identityFromSeed(new Uint8Array(32).fill(n)).publicKey);
    const directory = await mkdtemp(join(folder, 'keys-'));
    for (const key of [one, one, two, two]) await noteKey(directory, key);
    assert.deepEqual(await keysIn(directory, two), [two, one]);
    assert.deepEqual(await keysIn(directory, one), [one, two]);
  });
});
