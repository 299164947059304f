/** Keys at rest: sealed under a passphrase, and never in the clear beside it, wherever a process is killed. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { readSecret, reseal, sealerIn, writeSecret } from '../../../shared/disk/secrets.js';
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

  it('opens in a copy of its directory by the same key file, and there by no other', async () => {
    await writeSecret(path, secret, { sealer });
    const copy = join(folder, 'copy');
    await mkdir(copy);
    await cp(path, join(copy, 'identity.key'));
    assert.deepEqual(await readSecret(join(copy, 'identity.key'), { sealer }), secret);
    await assert.rejects(readSecret(join(copy, 'identity.key'), { sealer: other }), /is sealed by, got another/);
  });
});

describe('a key file', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-key-file-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  /** A sealer of a file that holds this, and what was said of it. */
  async function opened(content: string | Uint8Array, mode = 0o600) {
    const path = join(folder, 'key');
    await writeFile(path, content);
    await chmod(path, mode);
    const { write } = process.stderr;
    let said = '';
    process.stderr.write = (text: string | Uint8Array) => {
      said += text;
      return true;
    };
    try {
      return { sealer: sealerIn(path), said };
    } finally {
      process.stderr.write = write;
    }
  }

  it('that is empty, a line end, too long, a directory or not there is refused in words', async () => {
    const wrong = (message: RegExp) => ({ code: 'invalid-argument', message });
    for (const [content, got] of [
      ['', 0],
      ['\n', 0],
      ['\r\n', 0],
      ['x'.repeat(4097), 4097],
    ] as const) {
      await assert.rejects(
        opened(content),
        wrong(new RegExp(`^key-file: expected 1 to 4096 bytes in .*key, got ${got}$`)),
      );
    }
    assert.throws(
      () => sealerIn(folder),
      wrong(/^key-file: expected a file with the key of keys at rest, got "EISDIR"$/),
    );
    assert.throws(() => sealerIn(join(folder, 'none')), wrong(/got "ENOENT"$/));
  });

  it('is the same with and without a line end, and another once it was changed', async () => {
    const [first, same, changed] = [await opened('words'), await opened('words\n'), await opened('words ')];
    const sealed = first.sealer.seal('identity.key', new Uint8Array(32));
    assert.deepEqual(same.sealer.open('identity.key', sealed), new Uint8Array(32));
    assert.equal(changed.sealer.open('identity.key', sealed), 'another-key');
  });

  it('that any user of the machine may read is taken, and told', async () => {
    assert.match((await opened('words', 0o644)).said, /any user of this machine may read .*key; next: chmod 600/);
    assert.equal((await opened('words', 0o640)).said, '');
  });
});
