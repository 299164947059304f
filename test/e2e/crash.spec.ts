/**
 * kill -9 of the coordinator, and of clients, at seeded moments of a five-round run with four client processes: each time
 * the run goes on by itself and ends in the model of the undisturbed run, to the bit.
 *
 * A moment is a position in the run's own event feed and a few milliseconds after it, drawn by seed, so that kills land
 * before, in and after training, uploads, commits and evaluations alike.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { GrpcAdmin } from '../../client/grpc/admin.js';
import { ACCOUNT_FILE } from '../../client/store/privacy-account.js';
import { loadWorkload } from '../../client/workloads/index.js';
import { decodeLedger } from '../../shared/privacy/index.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { WorkSpec } from '../../shared/run/plan.js';
import { costOf, epsilonAfter } from '../../shared/run/privacy-cost.js';
import type { Report } from '../../shared/run/report.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { checkConfig, resolve } from '../../simulations/config/resolve.js';
import { type Child, startChild } from '../../simulations/local-process.js';
import { openAdmin } from '../../simulations/open-admin.js';

const CLIENTS = 4;
const KILLS = 20;
/** Events of an undisturbed run: per round one start, four arrivals, one end; and the end of the run. */
const EVENTS = 5 * (1 + CLIENTS + 1);

describe('kill -9', function () {
  this.timeout(600_000);
  let directory: string;
  let coordinator: Child;
  let clients: Child[];
  let listen: string;
  let token: string;
  let expected: string;

  const dataDir = () => join(directory, 'coordinator');
  const startCoordinator = async () => {
    coordinator = startChild(
      ['coordinator', '--data-dir', dataDir(), '--listen', listen, '--log-level', 'warn'],
      directory,
    );
    await coordinator.line(/listens on/);
  };
  const startClient = (i: number) => {
    const joined = clients[i] === undefined ? ['--join', token] : [];
    clients[i] = startChild(
      ['client', 'run', ...joined, '--slice', `${i + 1}/${CLIENTS}`],
      join(directory, `lab-${i}`),
    );
  };

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-crash-'));
    listen = `127.0.0.1:${await freePort()}`;
    clients = [];
    await startCoordinator();
    const admin = await openAdmin({ dataDir: dataDir() });
    token = await admin.createToken({ name: 'lab', uses: CLIENTS, expiresMs: 60_000 });
    for (let i = 0; i < CLIENTS; i++) {
      startClient(i);
      await clients[i].line(/connected/); // so that lab-1 is the client of slice 1, in every run
    }
    expected = (await finish(admin, await start(admin))).modelSha256;
    admin.close();
  });

  after(async () => {
    await Promise.all([coordinator, ...clients].map((child) => child.end()));
    await rm(directory, { recursive: true, force: true });
  });

  for (let kill = 0; kill < KILLS; kill++) {
    const rng = rngFromSeed(kill).split('crash');
    const after = { events: rng.below(EVENTS), ms: rng.below(40) };

    it(`of the coordinator, ${after.ms} ms after event ${after.events}, does not change the model`, async () => {
      const admin = await openAdmin({ dataDir: dataDir() });
      const run = await start(admin);
      await moment(admin, run, after);
      admin.close();
      await coordinator.kill();
      await startCoordinator();
      await assertSameModel(run);
    });

    it(`of a client, ${after.ms} ms after event ${after.events}, does not change the model`, async () => {
      const victim = rng.below(CLIENTS);
      const admin = await openAdmin({ dataDir: dataDir() });
      const run = await start(admin);
      await moment(admin, run, after);
      admin.close();
      await clients[victim].kill();
      startClient(victim);
      await assertSameModel(run);
    });
  }

  it('at moments around the end of a budget does not change what is spent, here or on the clients', async () => {
    const rng = rngFromSeed(1).split('budget');
    const runs = 6;
    for (let kill = 0; kill < runs; kill++) {
      const admin = await openAdmin({ dataDir: dataDir() });
      const run = await start(admin, PRIVATE);
      // the first is undisturbed; the others are struck between the second round and the end
      if (kill > 0) await moment(admin, run, { events: CLIENTS + 2 + rng.below(2 * CLIENTS + 4), ms: rng.below(40) });
      admin.close();
      if (kill > 0 && kill % 2 === 0) {
        const victim = rng.below(CLIENTS);
        await clients[victim].kill();
        startClient(victim);
      } else if (kill > 0) {
        await coordinator.kill();
        await startCoordinator();
      }
      const again = await openAdmin({ dataDir: dataDir() });
      const report = await finish(again, run);
      again.close();
      assert.equal(report.status, 'budget-exhausted', report.reason ?? '');
      const cost = costOf(await workOf(PRIVATE))!;
      assert.deepEqual(
        report.rounds.map(({ epsilon }) => epsilon),
        [1, 2, 3].map((rounds) => epsilonAfter(cost, rounds)),
      );
    }
    for (const [i] of clients.entries()) {
      const records = decodeLedger(await readFile(await accountOf(join(directory, `lab-${i}`))));
      assert.equal(records.length, 3 * runs, `records of lab ${i + 1}`);
      assert.equal(new Set(records.map(({ entry }) => entry.runId)).size, 3 * runs);
    }
  });

  async function assertSameModel(run: string): Promise<void> {
    const admin = await openAdmin({ dataDir: dataDir() });
    const report = await finish(admin, run);
    admin.close();
    assert.equal(report.status, 'completed');
    assert.deepEqual(
      report.rounds.map(({ survivors }) => survivors),
      Array(5).fill(CLIENTS),
    );
    assert.equal(report.modelSha256, expected);
  }
});

/** A budget for three rounds and not for four. */
const PRIVATE = {
  ...{ privacy: 'example', 'noise-multiplier': 2, 'sampling-rate': 0.25, 'local-steps': 4 },
  'epsilon-budget': 2.4,
};

async function resolved(more: object) {
  const common = { workload: 'cnn', scale: 'smoke', clients: CLIENTS, cohort: CLIENTS, rounds: 5, seed: 3 };
  return resolve(checkConfig({ ...common, ...more }, 'test'), await loadWorkload('cnn'));
}

async function start(admin: GrpcAdmin, more: object = {}): Promise<string> {
  const { spec, model } = await resolved(more);
  return admin.startRun(spec, encode(model));
}

async function workOf(more: object): Promise<WorkSpec> {
  return (await resolved(more)).spec.work;
}

/** The account of the only client that a home folder has. */
async function accountOf(home: string): Promise<string> {
  const found = await readdir(home, { recursive: true });
  return join(home, found.find((name) => name.endsWith(ACCOUNT_FILE))!);
}

/** Resolves `ms` after the `events`-th event of the run. */
async function moment(admin: GrpcAdmin, run: string, { events, ms }: { events: number; ms: number }): Promise<void> {
  let seen = 0;
  for await (const line of admin.watchRun(run)) {
    const { kind } = JSON.parse(line) as RunEvent;
    if (kind === 'progress' || kind === 'waiting') continue;
    if (++seen > events) break;
  }
  await new Promise((resolve) => setTimeout(resolve, ms));
}

async function finish(admin: GrpcAdmin, run: string): Promise<Report> {
  for await (const _ of admin.watchRun(run));
  return JSON.parse((await admin.getRun(run)).report) as Report;
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as { port: number };
  await new Promise((resolve) => server.close(resolve));
  return port;
}
