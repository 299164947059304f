/** Keys at rest: sealed under a passphrase, and never in the clear beside it, wherever a process is killed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSecret, reseal, writeSecret } from '../../../shared/disk/secrets.js';
import { isSealed, sealerOf } from '../../../shared/signing/sealed.js';
import { DyingFiles } from '../../support/dying-files.js';

const sealer = sealerOf(Buffer.from('correct horse battery staple'));
const other = sealerOf(Buffer.from('another'));

describe('a secret at rest', () => {
  let folder: string;
  let path: string;
  const secret = new Uint8Array(randomBytes(32));

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-secrets-'));
    path = join(folder, 'identity.key');
  });

  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** Files of the folder in which the secret, or half of it, stands as it is. */
  async function inTheClear(): Promise<string[]> {
    const names = await readdir(folder);
    const read = await Promise.all(names.map((name) => readFile(join(folder, name))));
    return names.filter((_, i) =>
      [secret.subarray(0, 16), secret.subarray(16)].some((half) => read[i].includes(Buffer.from(half))),
    );
  }

  it('opens by its passphrase, and nowhere stands in the clear', async () => {
    await writeSecret(path, secret, { sealer });
    assert.deepEqual(await readSecret(path, { sealer: sealerOf(Buffer.from('correct horse battery staple')) }), secret);
    assert.deepEqual(await inTheClear(), []);
    assert.ok(isSealed(await readFile(path)));
  });

  it('that was in the clear is sealed when it is read with a passphrase; killed anywhere, it is one or the other, whole', async () => {
    let isDone = false;
    for (let changes = 0; !isDone; changes++) {
      await writeFile(path, secret);
      const files = new DyingFiles(changes);
      const read = readSecret(path, { files, sealer });
      isDone = await Promise.race([files.died.then(() => false), read.then(() => true)]);
      const stored = new Uint8Array(await readFile(path));
      const now = isSealed(stored) ? sealer.open('identity.key', stored) : stored;
      assert.deepEqual(now, secret);
      const left = (await inTheClear()).filter((name) => name !== 'identity.key');
      assert.deepEqual(left, [], 'nothing that is written on the way holds it');
      for (const name of await readdir(folder)) if (name !== 'identity.key') await rm(join(folder, name));
    }
    assert.deepEqual(await inTheClear(), []);
  });

  it('is refused in words without a passphrase, and by another', async () => {
    await writeSecret(path, secret, { sealer });
    const wrong = (message: RegExp) => ({ code: 'invalid-argument', message });
    await assert.rejects(readSecret(path), wrong(/identity\.key is sealed by, got none; next: --key-file FILE/));
    await assert.rejects(readSecret(path, { sealer: other }), wrong(/identity\.key is sealed by, got another/));
  });

  it('that is cut short anywhere, or changed in any byte, does not open, and says so', async () => {
    await writeSecret(path, secret, { sealer });
    const whole = await readFile(path);
    for (let sizeBytes = whole.length - 1; sizeBytes > 0; sizeBytes--) {
      await truncate(path, sizeBytes);
      await assert.rejects(readSecret(path, { sealer }), { code: 'corrupt', message: /cut short or changed/ });
    }
    const sealedAt = whole.length - 32 - 16 - 12; // what comes before says under which passphrase
    for (let at = sealedAt; at < whole.length; at++) {
      const changed = Buffer.from(whole);
      changed[at] ^= 1;
      await writeFile(path, changed);
      await assert.rejects(readSecret(path, { sealer }), { code: 'corrupt' });
    }
  });

  it('does not pass for another one', async () => {
    await writeSecret(path, secret, { sealer });
    const token = join(folder, 'admin.token');
    await writeFile(token, await readFile(path));
    await assert.rejects(readSecret(token, { sealer }), { code: 'corrupt' });
  });

  it('gets another passphrase, or none, and says whether there was something to do', async () => {
    await writeFile(path, secret);
    assert.equal(await reseal(path, sealer), true);
    assert.equal(await reseal(path, sealer), false);
    await assert.rejects(reseal(path, other), { code: 'invalid-argument' }, 'without the old one');
    await assert.rejects(reseal(path, undefined), { code: 'invalid-argument' });
    assert.equal(await reseal(join(folder, 'none'), sealer), false);
    assert.deepEqual(await readSecret(path, { sealer }), secret);
  });
});
