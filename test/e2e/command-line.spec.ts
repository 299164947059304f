/** The command line's contract: exit codes, what a refusal says, and what machines read. */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Command } from 'commander';
import { createProgram } from '../../cli/program.js';
import type { Report } from '../../shared/run/report.js';
import { VERSION } from '../../shared/version.js';
import { Deployment, type Ended, outcome, ROOT, spawnStarling, starling, succeed } from './support.js';

/** CONTRACT: the keys of report.json, in order. */
const REPORT_KEYS =
  'schema run workload scale seed backend status reason rounds final baselines privacy headline evaluated modelSha256 artefacts'.split(
    ' ',
  );
const ROUND_KEYS =
  'round cohort survivors dropped metrics epsilon durationMs overheadMs bytesUp bytesDown evaluated'.split(' ');

const INFO_KEYS = 'run workload status reason round rounds createdAtMs directory activity'.split(' ');

const FILES: Readonly<Record<string, string>> = {
  'unknown-key.yaml': 'workload: cnn\nround: 3\n',
  'wrong-type.yaml': 'workload: cnn\nrounds: many\n',
  'no-yaml.yaml': 'workload: [cnn\n',
  'list.yaml': '- workload\n',
  'policy.yaml': 'workload: [cnn]\n',
  'small.yaml': 'workload: cnn\nscale: smoke\ncohort: 3\nmin-survivors: 2\n',
  'not-here.yaml': 'workload: cnn\nscale: smoke\ndropout: 0.1\n',
};

/** Command · what it says on standard error, as one line after `starling: ` or commander's `error: `. */
const WRONG_USE: readonly (readonly [command: string, says: RegExp])[] = [
  ['flap', /^error: unknown command 'flap'$/],
  ['run flap', /^error: unknown command 'flap'$/],
  ['simulate --fast', /^error: unknown option '--fast'$/],
  ['simulate', /workload: expected string, got nothing$/],
  ['simulate unknown-key.yaml', /^starling: unknown-key\.yaml: unknown key "round"; known are workload, scale, /],
  ['simulate wrong-type.yaml', /^starling: wrong-type\.yaml: rounds: expected number, got "many"$/],
  ['simulate no-yaml.yaml', /^starling: no-yaml\.yaml: not YAML: .* at line 2/],
  ['simulate list.yaml', /^starling: list\.yaml: expected keys and values, got a list$/],
  ['simulate no-file.yaml', /^starling: no-file\.yaml: expected a readable file, got ENOENT$/],
  ['run start unknown-key.yaml', /^starling: unknown-key\.yaml: unknown key "round"/],
  ['run start no-file.yaml', /^starling: no-file\.yaml: expected a readable file, got ENOENT$/],
  [
    'coordinator --config unknown-key.yaml',
    /^starling: unknown-key\.yaml: unknown key "workload"; known are data-dir, listen, public-addresses, tls-cert, tls-key, tls-ca, addresses, log-level, health-port, key-file, disk-reserve, keep-runs, keep-days$/,
  ],
  ['coordinator --config no-file.yaml', /^starling: no-file\.yaml: expected a readable file, got ENOENT$/],
  [
    'coordinator --log-level loud',
    /--log-level <LEVEL>' argument 'loud' is invalid\. Allowed choices are debug, info, warn, silent\.$/,
  ],
  ['coordinator --listen here', /^starling: listen: expected HOST:PORT, got "here"$/],
  ['simulate --workload cnn --rounds 1.5', /--rounds <N>' argument '1\.5' is invalid\. expected an integer\.$/],
  ['simulate --workload cnn --rounds 0', /^starling: options: rounds: .*>=1, got 0$/],
  [
    'simulate --workload cnn --scale huge',
    /^starling: options: scale: expected one of "smoke"\|"demo"\|"full", got "huge"$/,
  ],
  ['simulate --workload cnn --clients 2 --cohort 3', /^starling: cohort: expected at most clients \(2\), got 3$/],
  [
    'simulate --workload cnn --local-epochs 1 --local-steps 1',
    /^starling: local-epochs and local-steps: expected one of the two, got "both"$/,
  ],
  ['simulate --workload cnn --hyper colour=red', /^starling: hyper\.colour: expected a key of cnn: data, /],
  ['simulate --workload cnn --hyper filters=red', /^starling: hyper\.filters: expected a number, got "red"$/],
  ['simulate --workload cnn --partition thirds', /expected iid, dirichlet:A, shards:K or natural, got "thirds"$/],
  ['simulate --workload cnn --strategy best', /^starling: strategy: expected one of .*, got "best"$/],
  ['simulate --workload cnn --strategy fedadam:speed=1', /expected one of lr, beta1, beta2, tau, got "speed"$/],
  [
    'simulate --workload cnn --backend abacus',
    /^starling: options: backend: expected one of "tfjs-node-gpu"\|.*, got "abacus"$/,
  ],
  [
    'simulate --workload cnn --scale smoke --clients 3 --cohort 3 --secure-aggregation --min-survivors 2 --out refused',
    /^starling: min-survivors: expected at least 3 .*, got 2: a cohort of 3 with adversary-fraction 0\.05 tolerates 0 drop-outs; for 1 take a cohort of 4$/,
  ],
  [
    'simulate --workload cnn --scale smoke --clients 3 --cohort 3 --secure-aggregation --drop-fraction 0.34 --out refused',
    /^starling: drop-fraction: .* tolerates 0 drop-outs; for 1 take a cohort \(and min-clients\) of 4, /,
  ],
  [
    'simulate --workload cnn --scale smoke --partition shards:100000 --out refused',
    /^starling: shards:100000: expected clients \* 100000 of at most \d+ examples, got \d+ clients$/,
  ],
  [
    'run start small.yaml',
    /^starling: min-survivors: .*, got 2: a cohort of 3 with adversary-fraction 0\.05 tolerates 0 drop-outs; for 1 take a cohort of 4$/,
  ],
  [
    'run start not-here.yaml',
    /^starling: not-here\.yaml: dropout: expected no such key in a run of labs, got one; labs drop out by themselves$/,
  ],
  ['simulate --workload cnn --workers 1000', /^starling: workers: expected an integer from 1 to 256, got 1000$/],
  ['simulate --workload mlp', /^starling: workload: expected one of cnn.* or a path, got "mlp"$/],
  ['simulate --workload ./mlp.ts', /^starling: workload: expected a file, got none: \S+mlp\.ts$/],
  ['workloads mlp', /^starling: workload: expected one of cnn.* or a path, got "mlp"$/],
  ['data get cifar', /^starling: data set: expected one of mnist, .*, got "cifar"$/],
  ['bench speed', /^starling: bench: expected one of aggregation, .*, got "speed"$/],
  ['token create', /^error: required option '--name <NAME>' not specified$/],
  ['token create --name x --expires soon', /expected a number and s, m, h or d, as in 24h\.$/],
  [
    'client join nonsense',
    /^starling: token: expected a token from `starling token create` \(starling1\.…\), got another text$/,
  ],
  ['client join starling1.e30', /^starling: token: expected a token from .*, got one without address$/],
  [
    'coordinator --listen 0.0.0.0:7437',
    /^starling: listen: expected --public-address HOST beside 0\.0\.0\.0, where clients reach it, got undefined$/,
  ],
  [
    'coordinator --data-dir small.yaml',
    /^starling: data-dir: small\.yaml: expected a folder or a new name, got EEXIST$/,
  ],
  ['client run --slice 3/2', /expected I\/N with 1 <= I <= N\.$/],
];

const FAILURES: typeof WRONG_USE = [
  ['run list', /^starling: no coordinator has been started in \S+; first: starling coordinator --data-dir \S+$/],
  ['client run', /^starling: this machine is no client yet; first: starling client join TOKEN$/],
  ['client run --name tum', /^starling: no client "tum" here; first: starling client join TOKEN$/],
  ['report .', /^starling: \. is no run directory: journal\.log: expected the journal of a run, got no file$/],
];

/** All commands. */
const PROGRAM = await createProgram();
const MANY = fileURLToPath(new URL('many-commands.js', import.meta.url));

/** A coordinator has its data directory locked until its process ends, be it because of its own arguments. */
const isAlone = (command: string) => command.startsWith('coordinator ');

describe('the command line', function () {
  this.timeout(60_000);
  let cwd: string;
  /** What each command of the two tables ended with, but for those that are to be alone. */
  let ended: ReadonlyMap<string, Ended>;

  before(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'starling-cli-'));
    for (const [name, text] of Object.entries(FILES)) await writeFile(join(cwd, name), text);
    const commands = [...WRONG_USE, ...FAILURES].map(([command]) => command).filter((command) => !isAlone(command));
    const all = JSON.stringify(commands.map((command) => command.split(' ')));
    const results = JSON.parse(await succeed([all], { cwd, cli: MANY })) as Ended[];
    ended = new Map(commands.map((command, i) => [command, results[i]]));
  });

  after(() => rm(cwd, { recursive: true, force: true }));

  for (const command of everyCommand(PROGRAM)) {
    it(`${command.path} --help ends with an example of itself`, () => {
      const help: string[] = [];
      command.command.configureOutput({ writeOut: (text) => void help.push(text) }).outputHelp();
      assert.match(help.join(''), new RegExp(`\\nExample:\\n  \\$ ${command.path}( .*)?\\n$`));
    });
  }

  it('prints help and version, and succeeds', async () => {
    assert.match(
      await succeed(['simulate', '--help'], { cwd }),
      /^Usage: starling simulate .*\n\nExample:\n {2}\$ starling simulate /s,
    );
    assert.equal(await succeed(['--version'], { cwd }), `${VERSION}\n`);
  });

  it('can be run by its file, whatever the compiler has made anew', async () => {
    const { stdout } = await promisify(execFile)(join(ROOT, 'bin', 'starling.js'), ['--version']);
    assert.equal(stdout, `${VERSION}\n`);
  });

  for (const [code, cases] of [
    [2, WRONG_USE],
    [1, FAILURES],
  ] as const) {
    for (const [command, says] of cases) {
      it(`starling ${command}: ends with ${code}`, async () => {
        const { code: got, stdout, stderr } = ended.get(command) ?? (await starling(command.split(' '), { cwd }));
        assert.match(stderr.trimEnd().split('\n')[0], says);
        assert.deepEqual({ code: got, stdout }, { code, stdout: '' });
      });
    }
  }

  it('leaves no directory of a simulation that was refused', async () => {
    await assert.rejects(readdir(join(cwd, 'refused')), { code: 'ENOENT' });
  });

  // One of each kind: refused by commander, by us, and a failure.
  for (const command of ['flap', 'simulate list.yaml', 'client run']) {
    it(`starling ${command}: ends alike in a process of its own`, async () => {
      assert.deepEqual(await starling(command.split(' '), { cwd }), ended.get(command));
    });
  }

  it('is quiet when its reader has seen enough', async () => {
    const command = spawnStarling(['workloads', 'cnn'], { cwd });
    command.stdout!.destroy();
    const { code, stderr } = await outcome(command);
    assert.deepEqual({ code, stderr }, { code: 0, stderr: '' });
  });
});

describe('a simulation on the command line', function () {
  this.timeout(60_000);
  let cwd: string;
  let stdout: string;
  const args = ['simulate', '--workload', 'cnn', '--scale', 'smoke', '--rounds', '2', '--out', 'out'];

  before(async () => {
    cwd = await mkdtemp(join(tmpdir(), 'starling-cli-'));
    stdout = await succeed([...args, '--json', '-'], { cwd });
  });

  after(() => rm(cwd, { recursive: true, force: true }));

  it("prints with --json - the report and nothing else, with the contract's fields", async () => {
    const report = JSON.parse(stdout) as Report;
    assert.deepEqual(Object.keys(report), [...REPORT_KEYS, 'command']);
    for (const round of report.rounds) assert.deepEqual(Object.keys(round), ROUND_KEYS);
    const { schema, workload, scale, seed, status, reason, privacy } = report;
    assert.deepEqual(
      { schema, workload, scale, seed, status, reason, privacy },
      {
        schema: 'starling.report/1',
        workload: 'cnn',
        scale: 'smoke',
        seed: 1,
        status: 'completed',
        reason: null,
        privacy: null,
      },
    );
    assert.deepEqual(report, JSON.parse(await readFile(join(cwd, 'out', 'report.json'), 'utf8')));
  });

  it('does not overwrite a run', async () => {
    const { code, stderr } = await starling([...args, '--seed', '3'], { cwd });
    assert.equal(code, 2);
    assert.match(
      stderr,
      /^starling: out holds another simulation: seed: expected 1, got 3; next: --resume out, or another/,
    );
    const again = await starling(args, { cwd });
    assert.equal(again.code, 0, again.stderr);
    assert.match(again.stdout, /^out is complete: completed, model \w{64}; nothing is left to do\n$/);
    assert.deepEqual(JSON.parse(await readFile(join(cwd, 'out', 'report.json'), 'utf8')), JSON.parse(stdout));
  });

  it('has a page that can be written again, from its report or, without one, its journal', async () => {
    const page = join(cwd, 'out', 'report.html');
    const first = await readFile(page, 'utf8');
    for (const file of ['report.html', 'report.json']) {
      await rm(join(cwd, 'out', file));
      assert.equal(await succeed(['report', 'out'], { cwd }), 'out/report.html\n');
      const again = await readFile(page, 'utf8');
      for (const html of [first, again]) assert.ok(html.includes((JSON.parse(stdout) as Report).modelSha256));
    }
  });

  it('names the command that gets the data, and ends with 1, when a data set is missing', async () => {
    const example = await readFile(join(ROOT, 'docs', 'examples', 'my-workload.ts'), 'utf8');
    const needy = example
      .replace(/^import /m, `import { findData } from 'starling-fl/client';\nimport `)
      .replace('load: async ({ hyper, rng }) => {', `$&\n    findData('spot');`);
    await writeFile(join(cwd, 'needy.ts'), needy);
    const needs = ['simulate', '--workload', './needy.ts', '--scale', 'smoke'];
    const { code, stderr } = await starling(needs, { cwd, env: { STARLING_DATA_DIR: '' } });
    assert.equal(code, 1);
    assert.match(stderr, /^starling: data set spot is not on this machine: run `starling data get spot`/);
  });

  it('that is interrupted ends with 1 and a report of the rounds so far', async () => {
    const simulation = spawnStarling([...args, '--rounds', '100000', '--out', 'cut'], { cwd });
    const ended = outcome(simulation);
    simulation.stdout!.on('data', (text: string) => text.includes('round 1/') && simulation.kill('SIGINT'));
    const { code, stderr } = await ended;
    assert.equal(code, 1);
    assert.equal(stderr, 'starling: the run was stopped: interrupted\n');
    const report = JSON.parse(await readFile(join(cwd, 'cut', 'report.json'), 'utf8')) as Report;
    assert.equal(report.status, 'stopped');
    assert.ok(report.rounds.length >= 1);
  });
});

describe('a coordinator on the command line', function () {
  this.timeout(60_000);
  let site: Deployment;
  const fails = async (args: readonly string[]) => {
    const { code, stdout, stderr } = await starling(args, { cwd: site.folder });
    assert.deepEqual({ code, stdout }, { code: 1, stdout: '' });
    return stderr;
  };
  const token = async (...options: string[]) =>
    (JSON.parse(await site.operator('token', 'create', '--json', ...options)) as { token: string }).token;

  before(async () => {
    site = await Deployment.open();
  });

  after(() => site?.close());

  it('has its data directory to itself', async () => {
    const stderr = await fails(['coordinator', '--data-dir', site.dataDir, '--listen', '127.0.0.1:0']);
    assert.match(stderr, /^starling: \S+lock: process \d+ holds it\n$/);
  });

  it('says so when it does not run', async () => {
    const dataDir = join(site.folder, 'gone');
    await mkdir(dataDir);
    await writeFile(join(dataDir, 'address'), '127.0.0.1:1'); // tcpmux: nobody listens there
    await writeFile(join(dataDir, 'admin.token'), 'secret');
    assert.match(
      await fails(['run', 'list', '--data-dir', dataDir]),
      /^starling: the coordinator of \S+gone does not answer; is it running\?/,
    );
  });

  for (const command of ['show', 'watch', 'stop', 'resume']) {
    it(`does not know an unknown run: run ${command}`, async () => {
      const stderr = await fails(['run', command, 'cnn-1', '--data-dir', site.dataDir]);
      assert.equal(stderr, 'starling: run "cnn-1" is not known here\n');
    });
  }

  it('lets in once with a token, and not when it has expired or was changed', async () => {
    const good = await token('--name', 'once');
    const membership = JSON.parse(await succeed(['client', 'join', good, '--json'], { cwd: site.folder }));
    assert.deepEqual(Object.keys(membership), ['client', 'address', 'coordinatorKey']);
    assert.equal(await fails(['client', 'join', good]), 'starling: token: used up, ask for a new one\n');

    const { address, ...rest } = JSON.parse(Buffer.from(good.split('.')[1], 'base64url').toString());
    const forge = (part: object) =>
      `starling1.${Buffer.from(JSON.stringify({ address, ...rest, ...part })).toString('base64url')}`;
    const forged = forge({ secret: 'x'.repeat(rest.secret.length) });
    assert.equal(await fails(['client', 'join', forged]), 'starling: token: not known to this coordinator\n');
    const fresh = JSON.parse(Buffer.from((await token('--name', 'twice')).split('.')[1], 'base64url').toString());
    const elsewhere = forge({ ...fresh, fingerprint: '0'.repeat(64) });
    assert.match(await fails(['client', 'join', elsewhere]), /is not the one that made this token\n$/);
  });

  it('refuses an expired token', async () => {
    const expired = await site.withAdmin((admin) => admin.createToken({ name: 'late', uses: 1, expiresMs: 1 }));
    assert.equal(await fails(['client', 'join', expired]), 'starling: token: expired, ask for a new one\n');
  });

  it('prints what machines read with --json', async () => {
    const run = await site.run({ workload: 'cnn', scale: 'smoke', cohort: 2, seed: 4 });
    const { report, ...info } = await site.show(run);
    assert.deepEqual(JSON.parse(await site.operator('run', 'list', '--json')), [info]);
    assert.deepEqual(Object.keys(info), INFO_KEYS);
    const known = REPORT_KEYS.filter((key) => key !== 'evaluated'); // nobody has, yet
    assert.deepEqual(Object.keys(report), known);
    assert.equal(report.run, run);
    await site.operator('run', 'stop', run);
    const watched = await starling(['run', 'watch', run, '--json', '--data-dir', site.dataDir], { cwd: site.folder });
    const events = watched.stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    assert.deepEqual(events.at(-1).kind, 'ended');
    for (const args of [['workloads'], ['data', 'list']]) {
      const rows = JSON.parse(await succeed([...args, '--json'], { cwd: site.folder }));
      assert.ok(rows.every(({ name }: { name: unknown }) => typeof name === 'string') && rows.length > 0);
    }
    const { name, scales } = JSON.parse(await succeed(['workloads', 'cnn', '--json'], { cwd: site.folder }));
    assert.deepEqual([name, Object.keys(scales)], ['cnn', ['smoke', 'demo', 'full']]);
    const doctor = JSON.parse(await succeed(['doctor', '--json'], { cwd: site.folder }));
    assert.deepEqual(Object.keys(doctor), ['versions', 'machine', 'backends', 'data', 'broker']);
  });
});

/** All commands below one, and itself; the path as it is typed. */
function everyCommand(command: Command, above = ''): { path: string; command: Command }[] {
  const path = `${above}${command.name()}`;
  return [{ path, command }, ...command.commands.flatMap((child) => everyCommand(child, `${path} `))];
}
