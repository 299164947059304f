/** A coordinator and a lab as services, in a folder that is their home: started, followed, stopped, and how each ended. */
import assert from 'node:assert/strict';
import type { ChildProcess } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GrpcAdmin } from '../../client/grpc/admin.js';
import { openAdmin } from '../../simulations/open-admin.js';
import { allGone, type Ended, outcome, spawnStarling, succeed, type Where, withFolder } from './support.js';

/** A run of one lab, in the clear: equal runs end with equal models. */
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

/** A process at work, and how it ended. */
export interface Service {
  readonly process: ChildProcess;
  readonly ended: Promise<Ended>;
  /** Its standard output so far. */
  said(): string;
}

/** A service that has said `ready`. */
async function serviceOf(args: readonly string[], where: Where, ready: RegExp): Promise<Service> {
  const process = spawnStarling(args, where);
  const ended = outcome(process);
  let said = '';
  const isReady = new Promise<void>((resolve) =>
    process.stdout!.on('data', (text: string) => {
      said += text;
      if (ready.test(said)) resolve();
    }),
  );
  await Promise.race([isReady, ended.then(({ stderr }) => assert.fail(stderr))]);
  return { process, ended, said: () => said };
}

/** Of the coordinator in `folder`. */
export const dataDirOf = (folder: string) => join(folder, 'home', 'coordinator');
/** The state of the lab in `folder`. */
export const labOf = (folder: string) => join(folder, 'home', 'clients', 'tum');

/** How a service is started, beside what each is. */
export interface How extends Omit<Where, 'cwd'> {
  readonly args?: readonly string[];
  /** What it says when it is there. */
  readonly ready?: RegExp;
}

/** The command of {@link startCoordinator}: where it was before, so that its clients find it again. */
export async function coordinatorArgs(folder: string, { args = [] }: How = {}): Promise<string[]> {
  const address = await readFile(join(dataDirOf(folder), 'address'), 'utf8').catch(() => '127.0.0.1:0');
  return ['coordinator', '--log-level', 'warn', '--listen', address, ...args];
}

/** It listens when this resolves. */
export async function startCoordinator(folder: string, how: How = {}): Promise<Service> {
  return serviceOf(await coordinatorArgs(folder, how), { cwd: folder, ...how }, how.ready ?? /listens on/);
}

/** It is connected when this resolves. */
export function startLab(folder: string, how: How = {}): Promise<Service> {
  return serviceOf(['client', 'run', '--policy', 'policy.yaml'], { cwd: folder, ...how }, /connected/);
}

/** As a supervisor does. */
export async function stop({ process, ended }: Service): Promise<void> {
  process.kill('SIGTERM');
  assert.equal((await ended).code, 0);
}

/** With a coordinator, and a lab that has joined; whatever a failed test leaves is killed. */
export async function withSite(use: (folder: string, coordinator: Service) => Promise<void>): Promise<void> {
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

/** SIGKILL, if it is still there. */
export function killed(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {} // it had ended, and left its lock as a kill does
}

/** For the operator of the coordinator in `folder`. */
export async function withAdmin<Result>(folder: string, use: (admin: GrpcAdmin) => Promise<Result>): Promise<Result> {
  const admin = await openAdmin({ dataDir: dataDirOf(folder) });
  try {
    return await use(admin);
  } finally {
    admin.close();
  }
}

/** Its id. */
export async function createRun(folder: string): Promise<string> {
  return JSON.parse(await succeed(['run', 'start', 'run.yaml', '--json'], { cwd: folder })).run;
}

/** Follows the run to the end of its first round, or to its own end; its id. */
export async function startRun(folder: string): Promise<string> {
  const run = await createRun(folder);
  await follow(folder, run, 'round-ended');
  return run;
}

/** Until the first event of that kind. */
export async function follow(folder: string, run: string, kind: string): Promise<void> {
  await withAdmin(folder, async (admin) => {
    for await (const line of admin.watchRun(run)) if (JSON.parse(line).kind === kind) break;
  });
}

/** Of a run that completes: the hash of its last model. */
export async function modelOf(folder: string, run: string): Promise<string> {
  const { info, report } = await withAdmin(folder, async (admin) => {
    for await (const _ of admin.watchRun(run)); // to its last end: it may have been stopped and resumed
    return admin.getRun(run);
  });
  assert.equal(info.status, 'completed', info.reason);
  return JSON.parse(report).modelSha256;
}

/** With code 1, and a last line for a person that matches each. */
export function assertEnded({ code, stderr }: Ended, ...says: readonly RegExp[]): void {
  assert.equal(code, 1, stderr);
  const last = stderr.trimEnd().split('\n').at(-1)!;
  for (const one of [/^starling: /, ...says]) assert.match(last, one);
}
