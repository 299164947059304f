/**
 * A disk that takes no more and descriptors that run out, on real processes by prlimit(1): each ends with code 1 and a last
 * line that says what to do; started again, the run ends as an undisturbed one. Keys that are lost are not made anew.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { CLI } from '../../simulations/local-process.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { allGone, type Ended, outcome, spawnStarling, starling, succeed, withFolder } from './support.js';

const RUN = {
  workload: 'cnn',
  scale: 'smoke',
  rounds: 20,
  seed: 1,
  clients: 1,
  cohort: 1,
  'secure-aggregation': false,
};
const POLICY = 'require-secure-aggregation: false\nmin-cohort: 1\nmax-rounds: 100000\n';

/** By what prlimit(1) is told of a process, what that ends with. */
const LIMITS = [
  ['--fsize=1:1', /EFBIG: .*; next: raise the limit of file sizes \(ulimit -f\), then start it again$/],
  ['--nofile=3:3', /EMFILE: .*; next: raise the limit of open files \(ulimit -n\), then start it again$/],
] as const;

interface Service {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** A service that has said `ready`. */
async function serviceOf(args: readonly string[], cwd: string, ready: RegExp): Promise<Service> {
  const process = spawnStarling(args, { cwd });
  const ended = outcome(process);
  let said = '';
  const isReady = new Promise<void>((resolve) =>
    process.stdout!.on('data', (text: string) => {
      said += text;
      if (ready.test(said)) resolve();
    }),
  );
  await Promise.race([isReady, ended.then(({ stderr }) => assert.fail(stderr))]);
  return { process, ended };
}

const dataDirOf = (folder: string) => join(folder, 'home', 'coordinator');
const labOf = (folder: string) => join(folder, 'home', 'clients', 'tum');

/** Where it was before, so that its clients find it again. */
async function startCoordinator(folder: string): Promise<Service> {
  const address = await readFile(join(dataDirOf(folder), 'address'), 'utf8').catch(() => '127.0.0.1:0');
  return serviceOf(['coordinator', '--log-level', 'warn', '--listen', address], folder, /listens on/);
}

function startLab(folder: string): Promise<Service> {
  return serviceOf(['client', 'run', '--policy', 'policy.yaml'], folder, /connected/);
}

async function stop({ process, ended }: Service): Promise<void> {
  process.kill('SIGTERM');
  assert.equal((await ended).code, 0);
}

/** With a coordinator, and a lab that has joined; whatever a failed test leaves is killed. */
async function withSite(use: (folder: string, coordinator: Service) => Promise<void>): Promise<void> {
  await withFolder(async (folder) => {
    await writeFile(join(folder, 'run.yaml'), JSON.stringify(RUN));
    await writeFile(join(folder, 'policy.yaml'), POLICY);
    const coordinator = await startCoordinator(folder);
    try {
      await succeed(['client', 'join', (await succeed(['token', 'create', '--name', 'tum'], { cwd: folder })).trim()], {
        cwd: folder,
      });
      await use(folder, coordinator);
    } finally {
      for (const directory of [dataDirOf(folder), labOf(folder)]) {
        const lock = await readFile(join(directory, 'lock'), 'utf8').catch(() => undefined);
        if (lock !== undefined) killed((JSON.parse(lock) as { pid: number }).pid);
      }
      await allGone(folder);
    }
  });
}

function killed(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {} // it had ended, and left its lock as a kill does
}

/** Follows the run to the end of its first round, or to its own end; its id. */
async function startRun(folder: string): Promise<string> {
  const { run } = JSON.parse(await succeed(['run', 'start', 'run.yaml', '--json'], { cwd: folder }));
  await follow(folder, run, 'round-ended');
  return run;
}

async function follow(folder: string, run: string, kind: string): Promise<void> {
  const admin = await openAdmin({ dataDir: dataDirOf(folder) });
  try {
    for await (const line of admin.watchRun(run)) if (JSON.parse(line).kind === kind) break;
  } finally {
    admin.close();
  }
}

async function modelOf(folder: string, run: string): Promise<string> {
  await follow(folder, run, 'ended');
  const { report } = JSON.parse(await succeed(['run', 'show', run, '--json'], { cwd: folder }));
  assert.equal(report.status, 'completed');
  return report.modelSha256;
}

function assertEnded({ code, stderr }: Ended, ...says: readonly RegExp[]): void {
  assert.equal(code, 1, stderr);
  const last = stderr.trimEnd().split('\n').at(-1)!;
  for (const one of [/^starling: /, ...says]) assert.match(last, one);
}

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
