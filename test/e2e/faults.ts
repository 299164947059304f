/**
 * What a machine does to a coordinator, on real processes: each fault ends in words that name the run and the file, with the
 * right code; the other run is unharmed; and after the mend each run ends with the model of an undisturbed one.
 */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import type { Report } from '../../shared/run/report.js';
import {
  assertEnded,
  coordinatorArgs,
  createRun,
  dataDirOf,
  follow,
  type How,
  modelOf,
  type Service,
  startCoordinator,
  startLab,
  startRun,
  stop,
  withAdmin,
  withSite,
} from './services.js';
import { starling, succeed } from './support.js';

const PRELOAD = (name: string) => `--import=${new URL(`../support/${name}.js`, import.meta.url).href}`;

/** Two runs in the middle, whose lab stands still until it is told to go on. */
export interface Scene {
  readonly folder: string;
  readonly runs: readonly string[];
  readonly coordinator: Service;
  /** The lab works again: what comes next is written. */
  goOn(): void;
  /** The lab is killed, and another process of it comes when that is done. */
  labAgain(meanwhile: () => Promise<void>): Promise<void>;
  /** The coordinator again, as a supervisor starts it. */
  again(how?: How): Promise<Service>;
}

/**
 * An undisturbed run, then two of which `disturb` makes what it will: each must end with the same model. `prepare` sees to the
 * folder while nobody is at work, and gives what undoes it. What `disturb` gives is the coordinator at work in the end.
 */
export async function disturbed(
  disturb: (scene: Scene) => Promise<Service>,
  how: How = {},
  prepare: (folder: string) => Promise<() => void> = async () => () => {},
): Promise<void> {
  await withSite(async (folder, first) => {
    const services = [await startLab(folder)];
    const kill = (signal: NodeJS.Signals) => services[0].process.kill(signal);
    const model = await modelOf(folder, await startRun(folder));
    await stop(first);
    const undo = await prepare(folder);
    const again = async (more: How = {}) => {
      services.push(await startCoordinator(folder, { ...how, ...more }));
      return services.at(-1)!;
    };
    const labAgain = async (meanwhile: () => Promise<void>) => {
      kill('SIGKILL');
      await services[0].ended;
      await meanwhile();
      services[0] = await startLab(folder);
    };
    try {
      const coordinator = await again();
      kill('SIGSTOP');
      const runs = await Promise.all([createRun(folder), createRun(folder)]);
      kill('SIGCONT');
      await Promise.all(runs.map((run) => follow(folder, run, 'round-ended')));
      kill('SIGSTOP');
      const listed = await withAdmin(folder, (admin) => admin.listRuns());
      for (const run of runs) assert.equal(listed.find((one) => one.run === run)?.status, 'running', 'in the middle');
      const last = await disturb({ folder, runs, coordinator, goOn: () => void kill('SIGCONT'), labAgain, again });
      for (const run of runs) assert.equal(await modelOf(folder, run), model);
      await stop(services[0]);
      await stop(last);
    } finally {
      for (const service of services) service.process.kill('SIGKILL'); // whatever a failed test leaves
      undo();
    }
  });
}

/** What a write or a sync fails with, by the file that it is of. */
export function badDisk(files: string, { code, calls }: { code: string; calls: readonly string[] }) {
  return async (): Promise<void> => {
    await disturbed(
      async ({ folder, coordinator, again, runs, goOn }) => {
        const fault = join(folder, 'fault');
        await writeFile(`${fault}.new`, JSON.stringify({ files, calls, code }));
        await rename(`${fault}.new`, fault);
        goOn();
        const ended = await coordinator.ended;
        const [, run] = /: run (\S+): /.exec(ended.stderr) ?? [];
        assert.ok(runs.includes(run), ended.stderr);
        assertEnded(ended, new RegExp(`the coordinator of ${dataDirOf(folder)} cannot go on: run ${run}: `));
        assertEnded(ended, new RegExp(`/runs/${run}/${files}.*: ${code}: .*; next: .*, then start it again$`));
        await rm(fault);
        return again();
      },
      { env: { NODE_OPTIONS: PRELOAD('bad-disk'), BAD_DISK: 'fault' } },
    );
  };
}

/** A folder of the data directory that cannot be written any more, for whoever opens a file in it. */
export async function readOnly(): Promise<void> {
  await disturbed(async ({ folder, coordinator, again, runs, goOn }) => {
    const dataDir = dataDirOf(folder);
    execFileSync('mount', ['--bind', dataDir, dataDir]);
    try {
      execFileSync('mount', ['-o', 'remount,bind,ro', dataDir]);
      goOn();
      const ended = await coordinator.ended;
      const advice = /EROFS: .*; next: mount the disk so that it can be written, then start it again$/;
      assertEnded(ended, advice, new RegExp(`the coordinator of ${dataDir} cannot go on: run (${runs.join('|')}): `));
      assertEnded(await starling(await coordinatorArgs(folder), { cwd: folder }), advice, new RegExp(dataDir));
    } finally {
      execFileSync('umount', ['--lazy', dataDir]);
    }
    return again();
  });
}

const BALLAST = 'ballast';

/** A disk of its own for the data directory, which fills up, and has space again. */
export async function fullDisk(): Promise<void> {
  const how = { args: ['--health-port', '0', '--disk-reserve', '16'], ready: /health on \S+\/live/ };
  await disturbed(
    async ({ folder, runs, coordinator, goOn, again }) => {
      const ballast = join(dataDirOf(folder), BALLAST);
      const health = /health on (\S+)\/live/.exec(coordinator.said())![1];
      execFileSync('fallocate', ['-l', '52M', ballast]);
      await until(health, ({ paused }) => paused.length === 2);
      goOn(); // the round that both are in has room to end
      const isPaused = async () =>
        (await succeed(['run', 'list'], { cwd: folder })).match(/ running .* paused: /g)?.length;
      while ((await isPaused()) !== 2);
      const { ready, reason, damaged } = await until(health, () => true);
      assert.deepEqual({ ready, damaged }, { ready: false, damaged: [] });
      assert.match(
        reason,
        /^2 of 2 runs are paused: disk of .*: expected \d+ MiB free .*, got \d+ MiB; next: free space/,
      );
      const refused = await starling(['run', 'start', 'run.yaml'], { cwd: folder });
      assertEnded(refused, /run not started: disk of .*next: free space$/);
      await succeed(['run', 'stop', runs[0]], { cwd: folder });
      await stop(coordinator); // every journal is closed whole
      const next = await again();
      await succeed(['run', 'resume', runs[0]], { cwd: folder });
      await rm(ballast);
      return next;
    },
    how,
    async (folder) => {
      const [dataDir, disk] = [dataDirOf(folder), join(folder, 'disk')];
      await mkdir(disk);
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64m', 'none', disk]);
      execFileSync('cp', ['-a', `${dataDir}/.`, disk]);
      execFileSync('mount', ['--bind', disk, dataDir]);
      return () => {
        for (const directory of [dataDir, disk]) execFileSync('umount', ['--lazy', directory]);
      };
    },
  );
}

interface Said {
  readonly ready: boolean;
  readonly reason: string;
  readonly paused: readonly string[];
  readonly damaged: readonly string[];
}

/** Asks the health port until it says so; the test's timeout is what fails. */
async function until(health: string, isSo: (said: Said) => boolean): Promise<Said> {
  for (;;) {
    const said = (await (await fetch(`${health}/ready`)).json()) as Said;
    if (isSo(said)) return said;
    await new Promise((resolve) => setTimeout(resolve, 50)); // nothing tells when a disk was looked at
  }
}

/** More connections than there are descriptors. */
export async function noDescriptors(): Promise<void> {
  const sockets: Socket[] = [];
  try {
    await disturbed(
      async ({ folder, runs, coordinator, goOn }) => {
        const ended = runs.map((run) => follow(folder, run, 'ended')); // an operator who comes later is refused, too
        await withAdmin(folder, (admin) => admin.listRuns()); // those are in
        const [host, port] = (await readFile(join(dataDirOf(folder), 'address'), 'utf8')).split(':');
        let refused = 0;
        const settled = Array.from({ length: 700 }, () => {
          const socket = connect({ host, port: Number(port) });
          sockets.push(socket);
          return new Promise<void>((resolve) => {
            socket.on('error', () => {});
            socket.once('close', () => resolve(void refused++));
            socket.once('data', () => resolve()); // the settings frame of HTTP/2: it is in
          });
        });
        await Promise.all(settled);
        assert.ok(refused > 250 && refused < 500, `${refused} of 700 refused`);
        goOn();
        await Promise.all(ended);
        for (const socket of sockets) socket.destroy();
        return coordinator;
      },
      { via: ['prlimit', '--nofile=512:512'] },
    );
  } finally {
    for (const socket of sockets) socket.destroy();
  }
}

/** A second process on the same data directory. */
export async function twoCoordinators(): Promise<void> {
  await disturbed(async ({ folder, coordinator, goOn }) => {
    const second = await starling(['coordinator', '--listen', '127.0.0.1:0'], { cwd: folder });
    assertEnded(
      second,
      new RegExp(`^starling: ${dataDirOf(folder)}/lock: process ${coordinator.process.pid} holds it$`),
    );
    goOn();
    return coordinator;
  });
}

const DAY_MS = 86_400_000;

/** The wall clock of the coordinator jumps while its lab is away in the middle of a round; and a restart finds it where it was. */
export async function clockJumps(): Promise<void> {
  await disturbed(
    async ({ folder, runs, coordinator, again, labAgain }) => {
      for (const [index, days] of [400, -400, 1].entries()) {
        await labAgain(async () => {
          await writeFile(join(folder, 'clock.new'), String(days * DAY_MS));
          await rename(join(folder, 'clock.new'), join(folder, 'clock'));
        });
        for (const run of runs) await roundsOf(folder, run, index + 2); // the round in which it was, too
      }
      await stop(coordinator);
      await rm(join(folder, 'clock'));
      const last = await again();
      for (const run of runs) {
        await modelOf(folder, run);
        const { report } = await withAdmin(folder, (admin) => admin.getRun(run));
        for (const { round, durationMs } of (JSON.parse(report) as Report).rounds)
          assert.ok(durationMs >= 0 && durationMs < DAY_MS, `round ${round} of ${run} took ${durationMs} ms`);
      }
      return last;
    },
    { env: { NODE_OPTIONS: PRELOAD('shifted-clock'), SHIFTED_CLOCK: 'clock' } },
  );
}

/** Until so many rounds of the run have ended. */
async function roundsOf(folder: string, run: string, rounds: number): Promise<void> {
  let ended = 0;
  await withAdmin(folder, async (admin) => {
    for await (const line of admin.watchRun(run))
      if (JSON.parse(line).kind === 'round-ended' && ++ended === rounds) break;
  });
}
