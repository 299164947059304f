/** The operator's commands about clients and tokens, and a lab's that join by a file: the whole way, in this process. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createProgram } from '../../../cli/program.js';
import { type CoordinatorProcess, startCoordinator } from '../../../server/main.js';

describe('the people of a coordinator', () => {
  let folder: string;
  let dataDir: string;
  let coordinator: CoordinatorProcess;
  const home = process.env.STARLING_HOME;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-people-'));
    dataDir = join(folder, 'coordinator');
    process.env.STARLING_HOME = join(folder, 'lab');
    coordinator = await startCoordinator({ dataDir, listen: '127.0.0.1:0', logLevel: 'silent' });
  });

  after(async () => {
    if (home === undefined) delete process.env.STARLING_HOME;
    else process.env.STARLING_HOME = home;
    await coordinator.stop();
    await rm(folder, { recursive: true });
  });

  /** What the command prints. */
  async function starling(...words: string[]): Promise<string> {
    const write = process.stdout.write;
    let text = '';
    process.stdout.write = ((piece: string) => {
      text += piece;
      return true;
    }) as typeof write;
    try {
      await (await createProgram()).parseAsync(words, { from: 'user' });
    } finally {
      process.stdout.write = write;
    }
    return text;
  }
  const operator = (...words: string[]) => starling(...words, '--data-dir', dataDir);

  it('join by a file, wait for an approval, and are suspended, resumed, revoked and enrolled again', async () => {
    const file = join(folder, 'token');
    await writeFile(file, await operator('token', 'create', '--name', 'tum', '--approve'));
    assert.match(await operator('token', 'list'), /^[0-9a-f]{12} {2}tum +0\/1 {3}\S+ +good, to be approved$/m);
    assert.equal(
      await starling('client', 'join', '--token-file', file),
      'joined as tum; now: starling client run --name tum\n',
    );
    assert.match(await operator('client', 'list'), /^tum +offline .* pending$/m);
    assert.equal(await operator('token', 'enrolled'), '{}\n', 'nobody is to pin the key of one that is not approved');
    assert.equal(await operator('client', 'approve', 'tum'), 'tum takes part from now on\n');
    assert.deepEqual(Object.keys(JSON.parse(await operator('token', 'enrolled'))), ['tum']);
    await operator('client', 'suspend', 'tum', '--reason', 'moving');
    await operator('client', 'resume', 'tum');
    await operator('client', 'revoke', 'tum', '--reason', 'laptop stolen');
    assert.match(await operator('client', 'list'), /^tum +offline .* revoked +laptop stolen$/m);
    await assert.rejects(
      operator('client', 'resume', 'tum'),
      /"tum", which is revoked; next: starling client re-enrol tum/,
    );
    const token = (await operator('client', 're-enrol', 'tum')).trim();
    assert.match(token, /^starling1\./);
  });

  it('are not let in by a token that was revoked', async () => {
    const file = join(folder, 'other');
    await writeFile(file, await operator('token', 'create', '--name', 'lab'));
    const tokens = JSON.parse(await operator('token', 'list', '--json')) as { id: string; name: string }[];
    await operator('token', 'revoke', tokens.find(({ name }) => name === 'lab')!.id);
    await assert.rejects(starling('client', 'join', '--token-file', file), /token: revoked, ask for a new one/);
    await assert.rejects(
      operator('token', 'revoke', '0123456789ab'),
      /an id of `starling token list`, got "0123456789ab"/,
    );
  });

  it('operate it by a credential, as far as their role goes, from anywhere', async () => {
    const file = join(folder, 'ada.json');
    const added = await operator('account', 'add', 'ada', '--role', 'viewer', '--out', file);
    assert.match(added, /^ada is viewer; its credential is in /);
    assert.equal((await stat(file)).mode & 0o777, 0o600);
    assert.match(await starling('run', 'list', '--credential', file), /^RUN/);
    await assert.rejects(
      starling('run', 'stop', 'cnn-1', '--credential', file),
      /StopRun: expected an account that is operator or admin, got "ada", which is viewer/,
    );
    await assert.rejects(operator('account', 'rotate', 'ada', '--out', file), /out: expected a new file/);
    await operator('account', 'rotate', 'ada', '--out', `${file}.2`);
    await assert.rejects(starling('run', 'list', '--credential', file), /got another/);
    process.env.STARLING_CREDENTIAL = `${file}.2`;
    try {
      assert.match(await starling('run', 'list'), /^RUN/);
    } finally {
      delete process.env.STARLING_CREDENTIAL;
    }
    await operator('account', 'rotate', 'admin', '--out', join(folder, 'admin.json'));
    await assert.rejects(
      starling('account', 'renew', '--credential', `${file}.2`),
      /ada\.json\.2: it has no certificate, connections are in plaintext/,
    );
    await assert.rejects(starling('account', 'renew'), /credential: expected --credential FILE/);
    const list = await operator('account', 'list');
    assert.match(list, /^ada +viewer .*\nadmin +admin /m, 'by the token that is new in its file');
    await operator('account', 'remove', 'ada');
    await assert.rejects(starling('run', 'list', '--credential', `${file}.2`), /got another/);
    await assert.rejects(starling('run', 'list', '--credential', join(folder, 'none')), /account add`, got ENOENT/);
  });

  it('are asked for a token that is there once and is one', async () => {
    const both = starling('client', 'join', 'starling1.x', '--token-file', 'x');
    await assert.rejects(both, /token: expected TOKEN or --token-file FILE, got "both"/);
    await assert.rejects(starling('client', 'join'), /token: expected TOKEN, or --token-file FILE/);
    await assert.rejects(starling('client', 'join', '--token-file', join(folder, 'none')), /got ENOENT for/);
    const long = join(folder, 'long');
    await writeFile(long, 'x'.repeat(5000));
    await assert.rejects(starling('client', 'join', '--token-file', long), /at most 4096 characters/);
  });
});
