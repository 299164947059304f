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
      // As it is built now; `prepare` would build it anew below the tests that are running.
      await run(ROOT, process.execPath, 'dist/cli/finish-build.js');
      const packed = await run(ROOT, 'npm', 'pack', '--ignore-scripts', '--json', '--pack-destination', folder);
      const tarball = join(folder, (JSON.parse(packed) as { filename: string }[])[0].filename);
      await run(folder, process.execPath, join(ROOT, 'dist/cli/main.js'), 'init', 'our-study');

      const project = join(folder, 'our-study');
      const npm = ['--prefer-offline', '--no-audit', '--no-fund', '--loglevel', 'error'];
      await run(project, 'npm', 'install', ...npm, tarball);
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
});
