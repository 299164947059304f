/** The coordinator's process: at which addresses it answers. */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { connectGrpc } from '../../client/grpc/participant.js';
import { startCoordinator } from '../../server/main.js';
import { isIdentification } from '../../shared/signing/login.js';

describe('a coordinator process', () => {
  it('answers to where it listens and to the addresses that its operator has named, and to no other', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'starling-addresses-'));
    const about = { dataDir, listen: 'localhost:0', logLevel: 'silent' };
    const coordinator = await startCoordinator({ ...about, addresses: ['localhost:7', '[::1]:8'] });
    const service = connectGrpc(coordinator.address);
    try {
      const nonce = new Uint8Array(32).fill(1);
      for (const address of [coordinator.address, '127.0.0.1:7', '[::1]:8']) {
        const { coordinatorKey, signature } = await service.identify({ address, nonce });
        assert.ok(isIdentification({ address, coordinatorKey, clientNonce: nonce }, signature));
        assert.equal(isIdentification({ address, coordinatorKey, clientNonce: nonce.map(() => 2) }, signature), false);
      }
      for (const address of ['', 'in-process', 'localhost:7', '127.0.0.1:8', '127.0.0.2:7'])
        await assert.rejects(service.identify({ address, nonce }), {
          code: 'permission-denied',
          message: /^address: /,
        });
    } finally {
      service.close();
      await coordinator.stop();
      await rm(dataDir, { recursive: true });
    }
  });

  it('does not begin with an address that leaves the machine', async () => {
    const about = { dataDir: '/nowhere', listen: '127.0.0.1:0', logLevel: 'silent' };
    await assert.rejects(startCoordinator({ ...about, addresses: ['10.0.0.1:7'] }), { code: 'failed-precondition' });
  });

  it('starts where an earlier one was killed at any file of its first start, and clears what that one half wrote', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'starling-first-'));
    const about = { dataDir, listen: '127.0.0.1:0', logLevel: 'silent' };
    const made = ['clients.log', 'identity.key', 'identity.pub', 'security-log.jsonl', 'admin.token', 'address'];
    for (let count = 0; count <= made.length; count++) {
      for (const name of made.slice(count)) {
        await rm(join(dataDir, name), { force: true });
        await writeFile(join(dataDir, `${name}.${process.pid}.0.tmp`), 'ab'); // by the same process number, as in a container
      }
      await (await startCoordinator(about)).stop();
      assert.deepEqual((await readdir(dataDir)).sort(), [...made].sort());
    }
    await rm(dataDir, { recursive: true });
  });

  it('makes no new key where clients know the old one', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'starling-key-'));
    const about = { dataDir, listen: '127.0.0.1:0', logLevel: 'silent' };
    await (await startCoordinator(about)).stop();
    await mkdir(join(dataDir, 'runs', 'some-run'), { recursive: true });
    for (const name of ['identity.key', 'identity.pub']) await rm(join(dataDir, name)); // a run is enough to know it by
    const words =
      /identity\.key: expected the key that clients know this coordinator by, got none; restore .* from a backup/;
    await assert.rejects(startCoordinator(about), { code: 'not-found', message: words });
    assert.ok(!(await readdir(dataDir)).includes('identity.key'), 'or the next start would have another');
    await rm(dataDir, { recursive: true });
  });
});
