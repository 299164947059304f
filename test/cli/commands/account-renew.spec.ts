/** `starling account renew`: who has an account gets another certificate for it, by itself, and its token stays. */
import assert from 'node:assert/strict';
import { cp, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CoordinatorProcess, startCoordinator } from '../../../server/main.js';
import type { AccountKey } from '../../../shared/people.js';
import { certificatesIn, fingerprintOf, validityOf } from '../../../shared/tls/subject.js';
import { inProcess } from '../../support/in-process.js';

describe('starling account renew', () => {
  let folder: string;
  let dataDir: string;
  let coordinator: CoordinatorProcess;
  let ada: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-renew-'));
    dataDir = join(folder, 'coordinator');
    ada = join(folder, 'ada.json');
    const about = { dataDir, listen: '127.0.0.1:0', publicAddresses: ['127.0.0.1'], logLevel: 'silent' };
    coordinator = await startCoordinator(about);
    await succeed('account', 'add', 'ada', '--role', 'viewer', '--out', ada, '--data-dir', dataDir);
  });

  after(async () => {
    await coordinator.stop();
    await rm(folder, { recursive: true });
  });

  async function succeed(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await inProcess(args);
    assert.equal(code, 0, stderr);
    return stdout;
  }
  const read = async (path: string): Promise<AccountKey> => JSON.parse(await readFile(path, 'utf8'));

  it('writes another certificate into the file, which stays its owner\u2019s alone; what it had before is good until it expires', async () => {
    const before = await read(ada);
    const old = join(folder, 'before.json');
    await cp(ada, old);
    const { name, until } = JSON.parse(await succeed('account', 'renew', '--credential', ada, '--json'));
    const { tls, ...after } = await read(ada);
    const { tls: tlsBefore, ...rest } = before;
    assert.deepEqual(after, rest, 'token, role and address stay');
    const [now, then] = [tls, tlsBefore].map((text) => certificatesIn(text)[0]);
    assert.notEqual(fingerprintOf(now), fingerprintOf(then));
    assert.equal(name, 'ada');
    assert.equal(until, new Date(validityOf(now).toMs).toISOString());
    assert.equal((await stat(ada)).mode & 0o777, 0o600);
    for (const credential of [ada, old]) assert.match(await succeed('run', 'list', '--credential', credential), /^RUN/);
    assert.match(
      await succeed('account', 'renew', '--credential', ada),
      /^ada: the certificate in .* is good until \d{4}-/,
    );
  });

  it('is for the holder of an account: not by the file of another, of one that is removed, or none', async () => {
    const eve = join(folder, 'eve.json');
    await succeed('account', 'add', 'eve', '--role', 'operator', '--out', eve, '--data-dir', dataDir);
    const posing = join(folder, 'posing.json');
    await writeFile(posing, JSON.stringify({ ...(await read(eve)), name: 'admin' }));
    await succeed('account', 'renew', '--credential', posing);
    const [certificate] = certificatesIn((await read(posing)).tls);
    const asAdmin = join(folder, 'as-admin.json');
    await writeFile(asAdmin, JSON.stringify(await read(posing)));
    const refused = await inProcess(['account', 'list', '--credential', asAdmin]);
    assert.equal(refused.code, 1, 'it is eve\u2019s still, whoever the file says it is');
    assert.match(refused.stderr, /got "eve", which is operator/);
    assert.ok(certificate.length > 0);
    await succeed('account', 'remove', 'eve', '--data-dir', dataDir);
    const before = await readFile(eve);
    const removed = await inProcess(['account', 'renew', '--credential', eve]);
    assert.deepEqual([removed.code, /got another/.test(removed.stderr)], [1, true], removed.stderr);
    assert.deepEqual(await readFile(eve), before, 'the file is as it was');
    const { code, stderr } = await inProcess(['account', 'renew', '--credential', join(folder, 'none')]);
    assert.equal(code, 2, stderr);
    assert.match(stderr, /account add`, got ENOENT/);
  });
});
