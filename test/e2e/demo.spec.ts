/** `starling demo`: the README's first command, whole, interrupted and killed. Not a process stays behind. */
import assert from 'node:assert/strict';
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Report } from '../../shared/run/report.js';
import { CLI } from '../../simulations/local-process.js';
import { allGone, outcome, processesIn, spawnStarling, withFolder } from './support.js';

describe('starling demo', function () {
  this.timeout(120_000);

  it('trains on MNIST in processes of its own and ends with a report', () =>
    withFolder(async (folder) => {
      const demo = spawnStarling(['demo', '--rounds', '2', '--clients', '3'], { cwd: folder });
      const { code, stdout, stderr } = await outcome(demo);
      assert.equal(code, 0, stderr);
      assert.equal(stderr, '');
      const html = join(folder, /^report +(\S+)$/m.exec(stdout)![1]);
      assert.match(await readFile(html, 'utf8'), /^<!doctype html>/i);
      const directory = dirname(html);
      const report = JSON.parse(await readFile(join(directory, 'report.json'), 'utf8')) as Report;
      assert.equal(report.status, 'completed');
      assert.deepEqual(
        report.rounds.map(({ round, cohort, survivors }) => ({ round, cohort, survivors })),
        [1, 2].map((round) => ({ round, cohort: 3, survivors: 3 })),
      );
      // noise is the clients' own, and differs from run to run: two rounds reach 75 to 85 % here, chance is 10 %
      assert.ok(report.final.metrics['test.accuracy'] > 0.6, JSON.stringify(report.final.metrics));
      const { mode, epsilon, delta, budget } = report.privacy!;
      assert.deepEqual([mode, delta, budget], ['example', 1e-5, 8]);
      assert.ok(epsilon > 0 && epsilon < 8, String(epsilon));
      assert.match(stdout, /^privacy +epsilon \S+ of 8 at delta 0\.00001 for one example of any client/m);
      assert.deepEqual(
        report.artefacts.map(({ path }) => path),
        (await readdir(join(directory, 'artefacts'))).map((name) => `artefacts/${name}`),
      );
      assert.deepEqual(
        await readdir(join(directory, 'models')).then((names) => names.includes(`${report.modelSha256}.safetensors`)),
        true,
      );
      assert.deepEqual(await processesIn(folder), []);
    }));

  it('leaves no process behind and ends with 1 after Ctrl-C, which reaches all of its processes', () =>
    withFolder(async (folder) => {
      const demo = await inTheMiddle(folder);
      process.kill(-demo.pid!, 'SIGINT');
      const { code, stderr } = await demo.ended;
      assert.equal(code, 1);
      assert.match(stderr, /^starling: /);
      assert.deepEqual(await processesIn(folder), []);
    }));

  it('leaves no process behind and ends with 1 when it alone is interrupted', () =>
    withFolder(async (folder) => {
      const demo = await inTheMiddle(folder);
      process.kill(demo.pid!, 'SIGINT');
      const { code, stderr } = await demo.ended;
      assert.equal(code, 1);
      assert.equal(stderr, 'starling: interrupted\n');
      assert.deepEqual(await processesIn(folder), []);
    }));

  it('takes its processes along when it is killed', () =>
    withFolder(async (folder) => {
      const demo = await inTheMiddle(folder);
      assert.equal((await processesIn(folder)).length, 5); // itself, a coordinator, three clients
      process.kill(demo.pid!, 'SIGKILL');
      await allGone(folder);
    }));

  it('takes along a process that was only just starting', () =>
    withFolder(async (folder) => {
      const args = ['coordinator', '--data-dir', join(folder, 'coordinator'), '--listen', '127.0.0.1:0'];
      const coordinator = fork(CLI, args, { stdio: 'ignore' });
      coordinator.disconnect(); // what it sees of its parent's death, before it has looked
      const [code] = await once(coordinator, 'exit');
      assert.equal(code, 0);
    }));
});

/** A demo whose first round has ended, with three clients. */
async function inTheMiddle(folder: string) {
  const demo = spawnStarling(['demo', '--rounds', '100', '--clients', '3'], { cwd: folder });
  const ended = outcome(demo);
  await new Promise<void>((resolve, reject) => {
    demo.stdout!.on('data', (text: string) => text.includes('round 1/100') && resolve());
    void ended.then(({ stderr }) => reject(new Error(stderr)));
  });
  return { pid: demo.pid, ended };
}
