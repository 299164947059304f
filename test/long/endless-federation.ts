/**
 * A federation that goes on and on: the real coordinator on a real data directory, and clients that answer at once, in one
 * process. What it takes is read at every so many rounds: memory after a collection, open descriptors, time, bytes on disk.
 */
import { readdirSync } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Participant } from '../../client/round/participant.js';
import { modelReader, planReader } from '../../client/round/verify-signed.js';
import { ledgerHeads } from '../../client/store/ledger-heads.js';
import { openSiteLog } from '../../client/store/site-log.js';
import { fileStore, memoryStore } from '../../client/store/updates.js';
import type { Task } from '../../client/training/task.js';
import { Coordinator } from '../../server/coordinator.js';
import { silent } from '../../server/log.js';
import { Registry } from '../../server/registry.js';
import { systemClock } from '../../shared/clock.js';
import { rngFromSeed } from '../../shared/rng.js';
import { receiptCheck } from '../../shared/signing/receipts.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { cpuMs } from '../../simulations/bench/rows.js';
import {
  benchIdentity,
  COORDINATOR,
  clientNames,
  tinyModel,
  tinySpec,
  tinyTrainer,
} from '../../simulations/bench/tiny.js';
import { memoryTransport } from '../../simulations/memory-transport.js';

/** What the federation takes after so many rounds. */
export interface Sample {
  readonly round: number;
  /** Of JavaScript and of buffers, after a collection. */
  readonly memoryBytes: number;
  readonly descriptors: number;
  /** Of processor time, coordinator and clients, a round since the last sample: other work on the machine does not count. */
  readonly roundCpuMs: number;
  /** Of the run's directory, and of the one client that has a home on disk. */
  readonly runBytes: number;
  readonly homeBytes: number;
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

/** A coordinator on `dataDir`. @param fail hears what ends it */
async function openCoordinator(dataDir: string, clients: number, fail: (error: Error) => void) {
  const registry = new Registry({ append: async () => undefined }, []);
  for (const client of clientNames(clients)) await registry.enrolTrusted(client, benchIdentity(client).publicKey, 0);
  return Coordinator.open({
    ...{ dataDir, registry, identity: benchIdentity(COORDINATOR), clock: systemClock, rng: rngFromSeed(1) },
    ...{ log: silent, fatal: fail },
  });
}

/** Runs `rounds` rounds in `root`, and calls back with a sample after every `every` of them, while the run stands still. */
export async function runRounds(
  { root, clients, rounds, every }: { root: string; clients: number; rounds: number; every: number },
  onSample: (sample: Sample) => Promise<void> | void,
): Promise<void> {
  const dataDir = join(root, 'coordinator');
  const directory = join(dataDir, 'runs', 'endless');
  const home = join(root, 'home');
  await mkdir(home, { recursive: true });
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  const coordinator = await openCoordinator(dataDir, clients, fail);
  let hold: Promise<void> | undefined;
  const participants = await enter(coordinator, { clients, home, wait: () => hold });
  const spec = tinySpec({ clients, rounds });
  const run = await coordinator.createRun(spec, encode(tinyModel()), { id: 'endless', directory });
  let last = cpuMs();
  const over = new Promise<void>((resolve) => {
    run.feed.subscribe((event) => {
      if (event.kind === 'ended') resolve();
      if (event.kind !== 'round-ended' || event.summary.round % every !== 0) return;
      const { round } = event.summary;
      const roundCpuMs = (cpuMs() - last) / every;
      const read = async () => {
        await run.idle();
        const [runBytes, homeBytes] = [await sizeOf(directory), await sizeOf(home)];
        await onSample({ round, ...(await taken()), roundCpuMs, runBytes, homeBytes });
        last = cpuMs();
      };
      hold = read().catch(fail);
    });
  });
  await Promise.race([over, failed]);
  await hold;
  for (const participant of participants) participant.stop();
  await coordinator.close();
}

/** The first client has a home on disk, as a lab's; the others keep what they keep in memory. */
async function enter(
  coordinator: Coordinator,
  { clients, home, wait }: { clients: number; home: string; wait: () => Promise<void> | undefined },
): Promise<Participant[]> {
  const coordinatorKey = benchIdentity(COORDINATOR).publicKey;
  const shared = {
    ...{ coordinatorKey, readPlan: planReader(coordinatorKey), checkReceipt: receiptCheck(coordinatorKey) },
    ...{ models: modelReader(), clock: systemClock, version: 'test' },
    trainer: {
      run: (async (task: Task) => {
        await wait();
        return tinyTrainer.run(task);
      }) as typeof tinyTrainer.run,
    },
  };
  return Promise.all(
    clientNames(clients).map(async (client, index) => {
      const identity = benchIdentity(client);
      const kept =
        index > 0
          ? { store: memoryStore() }
          : {
              store: await fileStore(home),
              keepHead: await ledgerHeads(home),
              siteLog: await openSiteLog(home, { identity, clock: systemClock }),
            };
      const rng = rngFromSeed(1).split(`jitter/${client}`);
      return Participant.start({ ...shared, ...kept, service: memoryTransport(coordinator), client, identity, rng });
    }),
  );
}

/** What a coordinator's start on `dataDir` takes of processor time; it is closed again. */
export async function startCpuMs(dataDir: string, clients: number): Promise<number> {
  const before = cpuMs();
  const coordinator = await openCoordinator(dataDir, clients, (error) => {
    throw error;
  });
  const tookMs = cpuMs() - before;
  await coordinator.close();
  return tookMs;
}

async function taken(): Promise<Pick<Sample, 'memoryBytes' | 'descriptors'>> {
  collect();
  await new Promise(setImmediate); // buffers are given back by another thread
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return { memoryBytes: heapUsed + external, descriptors: readdirSync('/proc/self/fd').length };
}

async function sizeOf(directory: string): Promise<number> {
  const names = await readdir(directory, { recursive: true });
  const sizes = names.map((name) =>
    stat(join(directory, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
