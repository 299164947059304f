/**
 * The life of keys between processes: a lab and its coordinator change theirs in the middle of a run by TLS, which goes on;
 * whoever stole the old ones is refused; and keys that are sealed at rest are nowhere in the clear.
 */
import assert from 'node:assert/strict';
import { cp, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { toHex } from '../../shared/hex.js';
import { identityFromSeed, keyPemOf, sha256Hex } from '../../shared/signing/identity.js';
import { type Child, startChild } from '../../simulations/local-process.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { type Ended, starling, succeed, withFolder } from './support.js';

const RUN = {
  ...{ workload: 'cnn', scale: 'smoke', rounds: 4, cohort: 3, 'min-clients': 3, seed: 1, 'secure-aggregation': true },
  ...{ 'evaluate-every': 4 },
};
const POLICY = 'min-cohort: 2\nmax-rounds: 1000\n';

/** Processes of one folder, all of which are gone when `use` is done. */
async function withProcesses(use: (site: Site) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    const children: Child[] = [];
    const dataDir = join(folder, 'coordinator');
    const start = (args: readonly string[], home = folder) => {
      const child = startChild(args, home);
      children.push(child);
      return child;
    };
    const where = { cwd: folder };
    try {
      await use({
        ...{ folder, dataDir, start },
        coordinator: (listen, ...more) =>
          start(['coordinator', '--data-dir', dataDir, '--listen', listen, '--log-level', 'warn', ...more]),
        operator: (...args) => succeed([...args, '--data-dir', dataDir], where),
        run: (...args) => succeed(args, where),
        tried: (...args) => starling(args, where),
      });
    } finally {
      await Promise.all(children.map((child) => child.end()));
    }
  });
}

interface Site {
  readonly folder: string;
  readonly dataDir: string;
  start(args: readonly string[], home?: string): Child;
  coordinator(listen: string, ...more: string[]): Child;
  operator(...args: string[]): Promise<string>;
  run(...args: string[]): Promise<string>;
  tried(...args: string[]): Promise<Ended>;
}

/** Follows a run until it has committed this round, or to its end. */
async function rounds(dataDir: string, run: string, round: number): Promise<void> {
  const admin = await openAdmin({ dataDir });
  try {
    for await (const line of admin.watchRun(run)) {
      const { kind, summary } = JSON.parse(line);
      if (kind === 'ended' || (kind === 'round-ended' && summary.round >= round)) return;
    }
  } finally {
    admin.close();
  }
}

const portOf = (line: string) => /:(\d+) by TLS/.exec(line)![1];

describe('keys that are rotated in the middle of a run', function () {
  this.timeout(900_000);

  it('of a lab and of the coordinator: the run goes on, the old keys are refused and noted, all that was signed verifies', () =>
    withProcesses(async ({ folder, dataDir, start, coordinator, operator, run: command, tried }) => {
      const serve = ['--public-address', '127.0.0.2'];
      const first = coordinator('0.0.0.0:0', ...serve);
      const port = portOf(await first.line(/listens on/));
      const policy = join(folder, 'policy.yaml');
      await writeFile(policy, POLICY);
      const home = (lab: string) => join(folder, `home-${lab}`);
      const takePart = (lab: string, at = home(lab)) => start(['client', 'run', '--name', lab, '--policy', policy], at);
      const labs = ['lab-1', 'lab-2', 'lab-3'];
      const running: Record<string, Child> = {};
      for (const lab of labs) {
        const token = join(folder, lab);
        await writeFile(token, await operator('token', 'create', '--name', lab));
        await succeed(['client', 'join', '--token-file', token], { cwd: folder, env: { STARLING_HOME: home(lab) } });
        running[lab] = takePart(lab);
        await running[lab].line(/connected/);
      }
      const config = join(folder, 'run.yaml');
      await writeFile(config, JSON.stringify(RUN));
      const { run } = JSON.parse(await operator('run', 'start', config, '--json'));
      await rounds(dataDir, run, 1);

      // the lab
      await running['lab-1'].end();
      const stolen = join(folder, 'stolen');
      await cp(home('lab-1'), stolen, { recursive: true });
      const rotate = ['client', 'rotate-key', '--name', 'lab-1', '--json'];
      const env = { STARLING_HOME: home('lab-1') };
      const { from, to } = JSON.parse(await succeed(rotate, { cwd: folder, env }));
      assert.notEqual(from, to);
      const listed = JSON.parse(await operator('token', 'enrolled'));
      assert.deepEqual(listed['lab-1'], [to, from]);
      const thief = takePart('lab-1', stolen);
      await assert.rejects(thief.line(/connected/), /expected one for the key by which client "lab-1" is enrolled/);
      const again = await starling(rotate, { cwd: folder, env: { STARLING_HOME: stolen } });
      assert.equal(again.code, 1);
      assert.match(
        again.stderr,
        /client "lab-1" is not enrolled by the key that gives any more; the key stays as it was/,
      );
      running['lab-1'] = takePart('lab-1');
      await running['lab-1'].line(/connected/);
      await rounds(dataDir, run, 2);

      // the coordinator; lab-3 is away meanwhile, and is behind by two keys
      await running['lab-3'].end();
      const oldDirectory = join(folder, 'old-coordinator');
      await first.end();
      await cp(dataDir, oldDirectory, { recursive: true });
      const keys: string[] = [];
      for (let i = 0; i < 2; i++) {
        const { before, now } = JSON.parse(await command('key', 'rotate', '--data-dir', dataDir, '--json'));
        if (i === 0) keys.push(before);
        keys.push(now);
      }
      const second = coordinator(`0.0.0.0:${port}`, ...serve);
      await second.line(/listens on/);
      running['lab-3'] = takePart('lab-3');
      await Promise.all(labs.map((lab) => running[lab].line(/the coordinator has another key|connected/)));
      await rounds(dataDir, run, RUN.rounds);
      for (const lab of labs) {
        const { coordinatorKey } = JSON.parse(await readFile(join(home(lab), 'clients', lab, 'client.json'), 'utf8'));
        assert.equal(sha256Hex(Buffer.from(coordinatorKey, 'hex')), keys[2]);
        await succeed(['client', 'log', '--name', lab], { cwd: folder, env: { STARLING_HOME: home(lab) } });
      }

      const enrolment = join(folder, 'enrolment.json');
      await writeFile(enrolment, await operator('token', 'enrolled'));
      const directory = join(dataDir, 'runs', run);
      const heads = join(home('lab-2'), 'clients', 'lab-2', 'ledger-heads.jsonl');
      for (const fingerprint of keys) {
        const trust = ['--coordinator', fingerprint, '--enrolment', enrolment, '--against', heads];
        assert.match(await command('verify', directory, ...trust), /the ledger holds: 4 rounds/);
      }
      const { status } = JSON.parse(await operator('run', 'show', run, '--json'));
      assert.equal(status, 'completed');
      const said = await command('audit', 'show', dataDir);
      assert.match(
        said,
        new RegExp(`rotated: client lab-1, from .*: key ${from.slice(0, 16)}… gave to ${to.slice(0, 16)}…`),
      );
      assert.equal(said.match(/rotated: the coordinator: key /g)?.length, 2);
      assert.match(said, /refused: .*rotate-key: client "lab-1" is not enrolled by the key that gives any more/);
      assert.match(said, /refused: .*expected one for the key by which client "lab-1" is enrolled/);
      assert.match(await command('audit', 'verify', dataDir, '--coordinator', keys[0]), /the security log holds/);

      // who has stolen the old key of the coordinator has all of its data, and no lab that believes them
      await second.end();
      const false1 = start(['coordinator', '--data-dir', oldDirectory, '--listen', `0.0.0.0:${port}`, ...serve]);
      await false1.line(/listens on/);
      await running['lab-1'].line(/who is there is not believed/);
      assert.equal((await tried('verify', directory)).code, 0);
    }));
});

describe('keys that are sealed at rest', function () {
  this.timeout(900_000);

  it('of coordinator and lab: sealed when they are next read, in the clear nowhere, and refused in words without the key file', () =>
    withProcesses(async ({ folder, dataDir, start, coordinator, run, tried }) => {
      const keyFile = join(folder, 'key');
      await writeFile(keyFile, 'a passphrase that is long enough\n');
      const serve = ['--public-address', '127.0.0.2'];
      const plain = coordinator('0.0.0.0:0', ...serve);
      const port = portOf(await plain.line(/listens on/));
      const token = join(folder, 'token');
      await writeFile(token, await run('token', 'create', '--name', 'lab', '--data-dir', dataDir));
      await run('client', 'join', '--token-file', token);
      await plain.end();
      const secrets: Uint8Array[] = [];
      const clientDir = join(folder, 'home', 'clients', 'lab');
      for (const directory of [dataDir, clientDir]) {
        const seed = await readFile(join(directory, 'identity.key'));
        secrets.push(seed, Buffer.from(toHex(seed)), bodyOf(keyPemOf(seed)));
      }
      secrets.push(await readFile(join(dataDir, 'admin.token')));
      secrets.push(bodyOf(await readFile(join(dataDir, 'authority.pem'), 'utf8')));
      const seeds = [secrets[0], secrets[3]].map((seed) => identityFromSeed(seed));

      const sealed = coordinator(`0.0.0.0:${port}`, ...serve, '--key-file', keyFile);
      await sealed.line(/listens on/);
      const lab = start(['client', 'run', '--key-file', keyFile], join(folder, 'home'));
      await lab.line(/connected/);
      assert.match(await run('client', 'list', '--data-dir', dataDir, '--key-file', keyFile), /lab +online/);
      await Promise.all([sealed.end(), lab.end()]);
      for (const directory of [dataDir, clientDir]) {
        for (const [name, bytes] of await filesIn(directory)) {
          assert.ok(!secrets.some((secret) => bytes.includes(Buffer.from(secret))), `${name} has a key in the clear`);
          if (/\.key$|\.token$|^authority|^operator/.test(name))
            assert.match(bytes.toString('latin1'), /^starling-sealed\/1\n/);
        }
      }

      const wrong = join(folder, 'wrong');
      await writeFile(wrong, 'another');
      const refused = async (args: string[], message: RegExp, code = 2) => {
        const ended = await tried(...args);
        assert.equal(ended.code, code, ended.stderr);
        assert.match(ended.stderr, message);
        assert.doesNotMatch(ended.stderr, /\n {4}at /);
      };
      const serving = [
        'coordinator',
        '--data-dir',
        dataDir,
        '--listen',
        '127.0.0.1:0',
        ...serve,
        '--log-level',
        'silent',
      ];
      await refused(serving, /is sealed by, got none; next: --key-file FILE/);
      await refused([...serving, '--key-file', wrong], /is sealed by, got another/);
      await refused([...serving, '--key-file', join(folder, 'none')], /key-file: expected a file .*ENOENT/);
      await refused(['client', 'run'], /identity\.key is sealed by, got none/);
      await refused(['client', 'log', '--key-file', wrong], /identity\.key is sealed by, got another/);
      await refused(['client', 'rotate-key'], /identity\.key is sealed by, got none/);
      await refused(['token', 'list', '--data-dir', dataDir], /admin\.token is sealed by, got none/);

      await run('key', 'rotate', '--data-dir', dataDir, '--key-file', keyFile);
      await run('key', 'reseal', '--data-dir', dataDir, '--key-file', keyFile, '--new-key-file', wrong);
      await run('key', 'reseal', '--client', 'lab', '--key-file', keyFile, '--plain');
      assert.deepEqual(await readFile(join(clientDir, 'identity.key')), Buffer.from(secrets[3]));
      const both = coordinator(`0.0.0.0:${port}`, ...serve, '--key-file', wrong);
      await both.line(/listens on/);
      const back = start(['client', 'run'], join(folder, 'home'));
      await back.line(/connected/);
      const { coordinatorKey } = JSON.parse(await readFile(join(clientDir, 'client.json'), 'utf8'));
      assert.notEqual(coordinatorKey, toHex(seeds[0].publicKey), 'it has followed');
      await Promise.all([both.end(), back.end()]);
      const whole = await readFile(join(dataDir, 'identity.key'));
      await writeFile(join(dataDir, 'identity.key'), whole.subarray(0, 60));
      await refused(
        [...serving, '--key-file', wrong],
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
