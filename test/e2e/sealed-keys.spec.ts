/** Keys that are sealed at rest are nowhere in the clear, and processes say in words what they miss. */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { useKeyFile } from '../../shared/disk/secrets.js';
import { toHex } from '../../shared/hex.js';
import { keyPemOf } from '../../shared/signing/identity.js';
import { loginBy, portOf, withSite } from './key-site.js';
import { type Ended, starling } from './support.js';

describe('keys that are sealed at rest', function () {
  this.timeout(900_000);

  it('of coordinator and lab: sealed when they are next read, in the clear nowhere, and refused in words without the key file', () =>
    withSite(async ({ folder, dataDir, coordinator, run, tried }) => {
      const home = join(folder, 'home');
      const keyFile = join(folder, 'key');
      await writeFile(keyFile, 'a passphrase that is long enough\n', { mode: 0o600 });
      const plain = coordinator('0.0.0.0:0');
      const port = portOf(await plain.line(/listens on/));
      const token = join(folder, 'token');
      await writeFile(token, await run(folder, 'token', 'create', '--name', 'lab', '--data-dir', dataDir));
      await run(home, 'client', 'join', '--token-file', token);
      await plain.end();
      const secrets: Uint8Array[] = [];
      const clientDir = join(home, 'clients', 'lab');
      for (const directory of [dataDir, clientDir]) {
        const seed = await readFile(join(directory, 'identity.key'));
        secrets.push(seed, Buffer.from(toHex(seed)), bodyOf(keyPemOf(seed)));
      }
      secrets.push(await readFile(join(dataDir, 'admin.token')));
      secrets.push(bodyOf(await readFile(join(dataDir, 'authority.pem'), 'utf8')));
      // what a kill has left of a key that was being written
      await cp(join(dataDir, 'identity.key'), join(dataDir, 'identity.key.0.tmp'));

      const sealed = coordinator(`0.0.0.0:${port}`, '--key-file', keyFile);
      await sealed.line(/listens on/);
      useKeyFile(keyFile);
      assert.equal(await loginBy(clientDir), 'connected');
      assert.match(await run(folder, 'client', 'list', '--data-dir', dataDir, '--key-file', keyFile), /lab +offline/);
      await sealed.end();
      for (const directory of [dataDir, clientDir]) {
        for (const [name, bytes] of await filesIn(directory)) {
          assert.ok(!secrets.some((secret) => bytes.includes(Buffer.from(secret))), `${name} has a key in the clear`);
          if (/\.key$|\.token$|^authority|^operator/.test(name))
            assert.match(bytes.toString('latin1'), /^starling-sealed\/1\n/);
        }
      }

      const wrong = join(folder, 'wrong');
      await writeFile(wrong, 'another', { mode: 0o600 });
      const refused = ({ code, stderr }: Ended, message: RegExp, expected = 2) => {
        assert.equal(code, expected, stderr);
        assert.match(stderr, message);
        assert.doesNotMatch(stderr, /\n {4}at /);
      };
      const serving = ['coordinator', '--data-dir', dataDir, '--listen', '127.0.0.1:0', '--log-level', 'silent'];
      const service = (...args: string[]) => starling(args, { cwd: folder }); // it ends with its process
      refused(await service(...serving), /is sealed by, got none; next: --key-file FILE/);
      refused(await service('client', 'run'), /identity\.key is sealed by, got none/);
      refused(await tried(home, 'client', 'log', '--key-file', wrong), /identity\.key is sealed by, got another/);
      refused(await tried(home, 'client', 'rotate-key'), /identity\.key is sealed by, got none/);
      refused(await tried(folder, 'token', 'list', '--data-dir', dataDir), /admin\.token is sealed by, got none/);

      const by = ['--key-file', keyFile];
      await run(folder, 'key', 'rotate', '--data-dir', dataDir, ...by);
      await run(folder, 'key', 'reseal', '--data-dir', dataDir, ...by, '--new-key-file', wrong);
      await run(home, 'key', 'reseal', '--client', 'lab', ...by, '--plain');
      useKeyFile(undefined);
      assert.deepEqual(await readFile(join(clientDir, 'identity.key')), Buffer.from(secrets[3]));
      const both = coordinator(`0.0.0.0:${port}`, '--key-file', wrong);
      await both.line(/listens on/);
      assert.match(await loginBy(clientDir), /^the coordinator has the key [0-9a-f]{64}$/);
      await both.end();
      const whole = await readFile(join(dataDir, 'identity.key'));
      await writeFile(join(dataDir, 'identity.key'), whole.subarray(0, 60));
      refused(
        await service(...serving, '--key-file', wrong),
        /identity\.key: expected a sealed file .*cut short or changed/,
        1,
      );
    }));
});

/** What a PEM holds, in one line of its base64. */
function bodyOf(pem: string): Buffer {
  return Buffer.from(/-----BEGIN PRIVATE KEY-----\n([^\n]+)/.exec(pem)![1]);
}

async function filesIn(directory: string): Promise<[string, Buffer][]> {
  const found: [string, Buffer][] = [];
  for (const name of await readdir(directory, { recursive: true })) {
    const path = join(directory, name);
    if ((await stat(path)).isFile()) found.push([name, await readFile(path)]);
  }
  return found;
}
