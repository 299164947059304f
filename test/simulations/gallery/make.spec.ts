import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { loadWorkload } from '../../../client/workloads/index.js';
import { finalValue, formatMetric } from '../../../server/report/metrics.js';
import type { Report } from '../../../shared/run/report.js';
import { keyOf } from '../../../simulations/gallery/key.js';
import { outcome, ROOT, withFolder } from '../../e2e/support.js';

const MAIN = join(ROOT, 'dist', 'cli', 'gallery.js');

describe('what a run of the gallery follows from', () => {
  it('is its settings, its code and its data', async () => {
    const name = 'cnn';
    const workload = await loadWorkload(name);
    const asked = { name, workload, scale: 'smoke', seed: 1, args: ['--seed', '1'] };
    const key = await keyOf(asked);
    assert.equal(await keyOf(asked), key);
    const other = { ...workload, load: async () => 'other data' };
    const keys = await Promise.all([
      keyOf({ ...asked, args: ['--seed', '1', '--rounds', '2'] }),
      keyOf({ ...asked, workload: other }),
      keyOf({ ...asked, seed: 2 }), // whose drawn digits are others
    ]);
    assert.equal(new Set([key, ...keys]).size, 4);
  });
});

describe('npm run gallery', function () {
  this.timeout(400_000);

  const gallery = async (cwd: string, ...args: string[]) =>
    outcome(spawn(process.execPath, [MAIN, ...args], { cwd, stdio: ['ignore', 'pipe', 'pipe'] }));

  it('runs a workload with several seeds and writes its page with the figures of their reports', () =>
    withFolder(async (cwd) => {
      const more = ['--', '--rounds', '1', '--local-epochs', '1'];
      const asked = ['cnn', '--scale', 'smoke', '--seeds', '1,2', '--out', 'pages', '--resume', ...more];
      const made = await gallery(cwd, ...asked);
      assert.equal(made.code, 0, made.stdout + made.stderr);
      const directories = made.stdout.match(/^runs: (.*)$/m)![1].split(' ');
      const reports = await Promise.all(
        directories.map(async (dir) => JSON.parse(await readFile(join(cwd, dir, 'report.json'), 'utf8')) as Report),
      );
      assert.deepEqual(
        reports.map(({ seed }) => seed),
        [1, 2],
      );
      const page = await readFile(join(cwd, 'pages', 'cnn.md'), 'utf8');
      const figure = (value: number) => formatMetric('test.accuracy', value);
      for (const [label, of] of [
        ['Each client alone', (report: Report) => report.baselines.local!.metrics['test.accuracy']],
        ['**Federated**', (report: Report) => finalValue(report, 'test.accuracy')!],
        [
          'Floor: the untrained network',
          (report: Report) => report.baselines.floors!.untrained.metrics['test.accuracy'],
        ],
        ['All data in one place', (report: Report) => report.baselines.centralised!.metrics['test.accuracy']],
      ] as const) {
        const [a, b] = reports.map(of);
        const cell = page.split(`\n| ${label} | `)[1]?.split(' |')[0] ?? '';
        assert.ok(cell.startsWith(`**${figure((a + b) / 2)}** ± `), `${label}: ${cell}`);
        assert.ok(cell.endsWith(` (${figure(a)}, ${figure(b)})`), `${label}: ${cell}`);
      }
      assert.ok(
        page.includes(
          'starling simulate --workload cnn --scale smoke --baselines tuned --seed 1 --validation-fraction 0.1 --rounds 1',
        ),
      );
      assert.deepEqual((await readdir(join(cwd, 'pages', 'cnn'))).sort(), [
        'confusion.svg',
        'mistakes.svg',
        'results.json',
      ]);
      const index = await readFile(join(cwd, 'pages', 'README.md'), 'utf8');
      assert.match(index, /\| \[cnn\]\(cnn\.md\) \|/);

      // what has not changed is not run again, and gives the same page
      const resumed = await gallery(cwd, ...asked);
      assert.equal(resumed.code, 0, resumed.stderr);
      assert.equal(resumed.stdout.match(/nothing is left to do/g)?.length, 2);
      assert.equal(await readFile(join(cwd, 'pages', 'cnn.md'), 'utf8'), page);

      const again = await gallery(cwd, 'cnn', '--out', 'again', '--from', ...directories);
      assert.equal(again.code, 0, again.stderr);
      assert.equal(await readFile(join(cwd, 'again', 'cnn.md'), 'utf8'), page);

      const twice = await gallery(cwd, 'cnn', '--out', 'again', '--from', directories[0], directories[0]);
      assert.deepEqual([twice.code, twice.stderr], [2, 'gallery: runs: seed 1 twice\n']);
      assert.equal(await readFile(join(cwd, 'again', 'cnn.md'), 'utf8'), page); // a refusal changes nothing
      assert.ok((await readdir(join(cwd, 'again', 'cnn'))).includes('results.json'));
    }));

  it('refuses what is no run directory', () =>
    withFolder(async (cwd) => {
      const { code, stderr } = await gallery(cwd, 'cnn', '--from', '.');
      assert.deepEqual([code, stderr], [2, 'gallery: .: expected a run directory, got no report.json\n']);
    }));
});
