/**
 * A disk that takes no more and descriptors that run out, on real processes by prlimit(1): each ends with code 1 and a last
 * line that says what to do; started again, the run ends as an undisturbed one. Keys that are lost are not made anew.
 */
import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CLI } from '../../simulations/local-process.js';
import {
  assertEnded,
  dataDirOf,
  labOf,
  modelOf,
  startCoordinator,
  startLab,
  startRun,
  stop,
  withSite,
} from './services.js';
import { outcome, spawnStarling, starling, succeed, withFolder } from './support.js';

/** By what prlimit(1) is told of a process, what that ends with. */
const LIMITS = [
  ['--fsize=1:1', /EFBIG: .*; next: raise the limit of file sizes \(ulimit -f\), then start it again$/],
  ['--nofile=3:3', /EMFILE: .*; next: raise the limit of open files \(ulimit -n\), then start it again$/],
] as const;

describe('a service whose machine fails', function () {
  this.timeout(240_000);

  it('ends in words, coordinator or client, and started again ends with the same model', async () => {
    await withSite(async (folder, first) => {
      let coordinator = first;
      let lab = await startLab(folder);
      const models = [await modelOf(folder, await startRun(folder))];
      for (const [limit, advice] of LIMITS) {
        const run = await startRun(folder);
        execFileSync('prlimit', ['--pid', String(coordinator.process.pid), limit]);
        assertEnded(
          await coordinator.ended,
          advice,
          new RegExp(`the coordinator of ${dataDirOf(folder)} .* run ${run}: `),
        );
        coordinator = await startCoordinator(folder);
        models.push(await modelOf(folder, run));
      }
      for (const [limit, advice] of LIMITS) {
        const run = await startRun(folder);
        execFileSync('prlimit', ['--pid', String(lab.process.pid), limit]);
        assertEnded(await lab.ended, advice, new RegExp(`the client in ${labOf(folder)} `));
        lab = await startLab(folder);
        models.push(await modelOf(folder, run));
      }
      assert.deepEqual(models, Array(5).fill(models[0]));
      await stop(lab);
      await stop(coordinator);
    });
  });

  it('does not start without descriptors, and says so', async () => {
    await withFolder(async (folder) => {
      for (const args of [
        ['coordinator', '--listen', '127.0.0.1:0'],
        ['client', 'run'],
      ]) {
        const child = spawn('prlimit', ['--nofile=30:30', process.execPath, CLI, ...args], {
          env: { ...process.env, STARLING_HOME: folder },
        });
        assertEnded(await outcome(child), /EMFILE: .*; next: raise the limit of open files \(ulimit -n\)/);
      }
    });
  });

  it('takes no new key for one that is lost or damaged', async () => {
    await withSite(async (folder, coordinator) => {
      await stop(coordinator);
      const start = ['coordinator', '--listen', '127.0.0.1:0'];
      const key = join(dataDirOf(folder), 'identity.key');
      const kept = await readFile(key);
      await rm(key);
      assertEnded(await starling(start, { cwd: folder }), /identity\.key: expected the key .* got none; restore /);
      assert.ok(!(await readdir(dataDirOf(folder))).includes('identity.key'));
      await rm(join(dataDirOf(folder), 'identity.pub')); // who has joined is enough
      assertEnded(await starling(start, { cwd: folder }), /identity\.key: expected the key .* got none; restore /);
      await writeFile(key, kept.subarray(1));
      assertEnded(await starling(start, { cwd: folder }), /identity\.key: expected 32 bytes, got 31; restore /);
      await writeFile(key, kept);
      await stop(await startCoordinator(folder));
      await writeFile(
        key,
        kept.map((byte, i) => (i === 7 ? byte ^ 1 : byte)),
      );
      assertEnded(
        await starling(start, { cwd: folder }),
        /identity\.key: expected the key of .*identity\.pub, got another/,
      );

      const own = join(labOf(folder), 'identity.key');
      await writeFile(own, (await readFile(own)).subarray(1));
      assertEnded(await starling(['client', 'run'], { cwd: folder }), /identity\.key: expected .* got 31; restore /);
      await rm(own);
      assertEnded(await starling(['client', 'run'], { cwd: folder }), /identity\.key: expected .* got none; restore /);
      await writeFile(join(labOf(folder), 'client.json'), '{');
      assertEnded(
        await starling(['client', 'run'], { cwd: folder }),
        /client\.json: expected .* got no JSON; restore /,
      );
    });
  });

  it('is well, or not, by starling health', async () => {
    await withSite(async (folder, coordinator) => {
      const where = { cwd: folder };
      assert.match(
        await succeed(['health'], where),
        /^healthy: .* answers, its disk can be written; runs at work: 0\n$/,
      );
      const { healthy, running } = JSON.parse(await succeed(['health', '--json'], where));
      assert.deepEqual({ healthy, running }, { healthy: true, running: 0 });
      const probe = spawnStarling(['health'], where);
      execFileSync('prlimit', ['--pid', String(probe.pid), '--fsize=1:1']);
      assertEnded(await outcome(probe), /EFBIG: .*; next: raise the limit of file sizes/);
      assert.deepEqual(
        (await readdir(dataDirOf(folder))).filter((name) => name.startsWith('health')),
        [],
      );
      await stop(coordinator);
      const after = await starling(['health', '--json'], where);
      assertEnded(after, /does not answer/);
      assert.equal(JSON.parse(after.stdout).healthy, false);
    });
  });
});
