/**
 * `starling coordinator`: opens the data directory, listens, serves until it is told to stop. What a kill -9 leaves
 * behind is what the next start goes on from.
 */
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from '../shared/clock.js';
import { entriesOf, removeTemporaries } from '../shared/disk/aside.js';
import { systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { lockDirectory } from '../shared/disk/lock.js';
import { corrupt, FlError, inFile } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import { rngFromEntropy } from '../shared/rng.js';
import { type Identity, identityFromSeed, newIdentitySeed } from '../shared/signing/identity.js';
import { formatAddress, parseLoopback } from '../shared/wire/address.js';
import { Coordinator } from './coordinator.js';
import { ADDRESS_FILE, ADMIN_TOKEN_FILE } from './data-dir.js';
import { refusals, reserveDescriptors } from './descriptors.js';
import { type GrpcServer, serveGrpc } from './grpc/server.js';
import { type HealthPort, serveHealth } from './health.js';
import { type Journal, openJournal } from './journal/journal.js';
import type { Logger } from './log.js';
import { readinessOf } from './readiness.js';
import { Registry } from './registry.js';
import { writeReport } from './report/build.js';
import { reportOf } from './report/run-report.js';
import type { Run } from './run/run.js';
import { DISK_RESERVE_BYTES, spaceOf } from './space.js';

export interface CoordinatorProcess {
  readonly address: string;
  /** HOST:PORT */
  readonly healthAddress: string | undefined;
  /** Resolves when it was stopped; rejects when its disk failed or a bug struck: then nothing is left but `stop`. */
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

export async function startCoordinator(options: {
  readonly dataDir: string;
  readonly listen: string;
  /** Other addresses that lead here, HOST:PORT: a tunnel's, or a proxy's. */
  readonly addresses?: readonly string[];
  readonly logLevel: string;
  /** PORT or HOST:PORT of the health port; none without it. */
  readonly healthPort?: string;
  /** Free space below which no round begins. */
  readonly diskReserveBytes?: number;
}): Promise<CoordinatorProcess> {
  const { dataDir } = options;
  const alsoAt = (options.addresses ?? []).map((address) => formatAddress(parseLoopback('address', address)));
  const log = pino({ level: options.logLevel, base: null }, pino.destination({ fd: 2, sync: true }));
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const unlock = lockDirectory(dataDir);
  for (const name of await removeTemporaries(dataDir)) log.info({ file: join(dataDir, name) }, 'removed: half written');
  let coordinator: Coordinator | undefined;
  let server: GrpcServer | undefined;
  const health =
    options.healthPort === undefined
      ? undefined
      : await serveHealth(options.healthPort, () => readinessOf(dataDir, { coordinator, server }));
  let end: (error?: FlError) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error));
  });
  done.catch(() => undefined); // it may fail before anybody listens
  const { registry, journal, isEmpty } = await openRegistry(dataDir, end);
  const isFirstStart = isEmpty && (await entriesOf(join(dataDir, 'runs'))).length === 0;
  coordinator = await Coordinator.open({
    dataDir,
    identity: await identityIn(dataDir, !isFirstStart),
    registry,
    clock: systemClock,
    rng: rngFromEntropy(),
    log,
    space: spaceOf(dataDir, options.diskReserveBytes ?? DISK_RESERVE_BYTES),
    addresses: () => [...(server === undefined ? [] : [server.address]), ...alsoAt],
    onRunEnded: (run) => writeRunReport(run, log),
    fatal: (error) => end(error),
  });
  server = await serveGrpc({
    participant: coordinator,
    admin: coordinator.admin,
    adminToken: await secretIn(join(dataDir, ADMIN_TOKEN_FILE)),
    listen: options.listen,
    onFault: (fault) => log.warn({ reason: FlError.from(fault).message }, 'a call failed inside'),
    onRefused: refusals(systemClock, log),
  });
  const stopReserve = await reserveDescriptors(server, systemClock);
  await writeFileDurably(join(dataDir, ADDRESS_FILE), new TextEncoder().encode(server.address));
  const parts = { coordinator, server, journal, health, stopReserve, unlock };
  return { address: server.address, healthAddress: health?.address, done, stop: () => stop(parts).then(() => end()) };
}

async function stop(parts: {
  coordinator: Coordinator;
  server: GrpcServer;
  journal: Journal;
  health: HealthPort | undefined;
  stopReserve: () => void;
  unlock: () => void;
}): Promise<void> {
  parts.stopReserve();
  await parts.coordinator.close();
  await parts.server.close();
  await parts.health?.close();
  await parts.journal.close();
  parts.unlock();
}

/** `fail` hears that an enrolment could not be kept. */
async function openRegistry(dataDir: string, fail: (error: FlError) => void) {
  const path = join(dataDir, 'clients.log');
  const { records, journal } = await inFile(path, () => openJournal(path)).catch((thrown) => {
    throw thrown.code !== 'corrupt'
      ? thrown
      : new FlError('corrupt', `${thrown.message}; next: put it back from a backup`, { cause: thrown });
  });
  const append = (record: unknown) =>
    journal.append(record).catch((error) => {
      const fault = FlError.from(error); // it names the file
      fail(fault);
      throw fault;
    });
  return { registry: new Registry({ append }, records), journal, isEmpty: records.length === 0 };
}

async function writeRunReport(run: Run, log: Logger): Promise<void> {
  try {
    await writeReport(run.directory, reportOf(run), { plannedRounds: run.spec.work.rounds });
  } catch (error) {
    log.warn({ run: run.id, reason: FlError.from(error).message }, 'the report could not be written');
  }
}

/** Every client knows this coordinator by its key: one that has been shown to anybody is never replaced by a new one. */
async function identityIn(dataDir: string, isKnown: boolean): Promise<Identity> {
  const path = join(dataDir, 'identity.key');
  const publicPath = join(dataDir, 'identity.pub');
  const stored = await systemFiles.read(path);
  const shown = await systemFiles.read(publicPath);
  const restore = `restore ${path} from a backup; to begin anew, with clients that join again, take another data directory`;
  if (stored === undefined && (isKnown || shown !== undefined)) {
    throw new FlError(
      'not-found',
      `${path}: expected the key that clients know this coordinator by, got none; ${restore}`,
    );
  }
  const seed = stored ?? newIdentitySeed();
  if (seed.length !== 32) throw corrupt(path, '32 bytes', `${seed.length}; ${restore}`);
  const identity = identityFromSeed(seed);
  const publicKey = toHex(identity.publicKey);
  const shownKey = shown && new TextDecoder().decode(shown);
  if (shownKey !== undefined && shownKey !== publicKey) {
    throw corrupt(path, `the key of ${publicPath}`, `another; ${restore}`);
  }
  if (stored === undefined) await writeFileDurably(path, seed);
  if (shown === undefined) await writeFileDurably(publicPath, new TextEncoder().encode(publicKey));
  return identity;
}

async function secretIn(path: string): Promise<string> {
  const stored = await systemFiles.read(path);
  if (stored !== undefined) return (await readFile(path, 'utf8')).trim();
  const secret = toHex(rngFromEntropy().bytes(32));
  await writeFileDurably(path, new TextEncoder().encode(secret));
  return secret;
}
