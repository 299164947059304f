/**
 * `starling coordinator`: opens the data directory, listens, serves until it is told to stop. What a kill -9 leaves
 * behind is what the next start goes on from.
 */
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { steadyClock, systemClock } from '../shared/clock.js';
import { entriesOf, removeTemporaries } from '../shared/disk/aside.js';
import { writeFileDurably } from '../shared/disk/files.js';
import { lockDirectory } from '../shared/disk/lock.js';
import { writeSecret } from '../shared/disk/secrets.js';
import { FlError, inFile } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import { rngFromEntropy } from '../shared/rng.js';
import { VERSION } from '../shared/version.js';
import { Accounts } from './accounts.js';
import { type Audit, openAudit } from './audit/audit.js';
import { Coordinator } from './coordinator.js';
import { ADDRESS_FILE, ADMIN_TOKEN_FILE, OPERATOR_FILE } from './data-dir.js';
import { refusals, reserveDescriptors } from './descriptors.js';
import { type GrpcServer, serveGrpc } from './grpc/server.js';
import { type HealthPort, serveHealth } from './health.js';
import { type Journal, openJournal } from './journal/journal.js';
import { identityIn, secretIn } from './keys.js';
import type { Logger } from './log.js';
import { metricsOf } from './metrics.js';
import { reachOf } from './reach.js';
import { readinessOf } from './readiness.js';
import { Registry } from './registry.js';
import { isReported, writeReport } from './report/build.js';
import { settingsOf } from './report/facts.js';
import { readReport } from './report/run-report.js';
import type { Retention } from './retention.js';
import type { Run } from './run/run.js';
import { DISK_RESERVE_BYTES, spaceOf } from './space.js';
import { type Certificates, openCertificates } from './tls/certificates.js';
import { openSiteCertificates, type SiteFiles } from './tls/site.js';

export interface CoordinatorProcess {
  /** HOST:PORT, on this machine. */
  readonly address: string;
  /** HOST:PORT of the health port. */
  readonly healthAddress: string | undefined;
  /** By TLS; otherwise in plaintext, on loopback. */
  readonly isSecure: boolean;
  /** Where clients reach it; the first is what a join token says. */
  readonly addresses: readonly string[];
  /** Resolves when it was stopped; rejects when its disk failed or a bug struck: then nothing is left but `stop`. */
  readonly done: Promise<void>;
  stop(): Promise<void>;
}

export async function startCoordinator(options: {
  readonly dataDir: string;
  readonly listen: string;
  /** By which clients reach it over TLS: HOST, or HOST:PORT where the port is another one out there. */
  readonly publicAddresses?: readonly string[];
  /** A site's own certificates, in place of those of an authority that is made here. */
  readonly siteFiles?: SiteFiles;
  /** Other addresses that lead here, HOST:PORT: a tunnel's, or a proxy's. */
  readonly addresses?: readonly string[];
  readonly logLevel: string;
  /** PORT or HOST:PORT of the health port; none without it. */
  readonly healthPort?: string;
  /** Free space below which no round begins. */
  readonly diskReserveBytes?: number;
  /** Which finished runs are kept whole; absent: all. */
  readonly retention?: Retention;
}): Promise<CoordinatorProcess> {
  const { dataDir } = options;
  const reach = reachOf(options);
  const log = pino({ level: options.logLevel, base: null }, pino.destination({ fd: 2, sync: true }));
  await makeDirectory(dataDir);
  const unlock = lockDirectory(dataDir);
  for (const name of await removeTemporaries(dataDir)) log.info({ file: join(dataDir, name) }, 'removed: half written');
  let coordinator: Coordinator | undefined;
  let server: GrpcServer | undefined;
  const metrics = options.healthPort === undefined ? undefined : metricsOf(() => coordinator?.admin);
  const health =
    options.healthPort === undefined
      ? undefined
      : await serveHealth(options.healthPort, () => readinessOf(dataDir, { coordinator, server }), metrics);
  const { done, end } = ending();
  const { registry, accounts, adminToken, journal, isEmpty } = await openRegistry(dataDir, end);
  const isFirstStart = isEmpty && (await entriesOf(join(dataDir, 'runs'))).length === 0;
  const warn = (thrown: unknown, message: string) => log.warn({ reason: FlError.from(thrown).message }, message);
  const onFault = (thrown: unknown) => warn(thrown, 'certificates could not be renewed; another try follows');
  const wanted = { dataDir, hosts: reach.hosts, clock: systemClock, onFault };
  const { siteFiles } = options;
  const open = () => (siteFiles === undefined ? openCertificates(wanted) : openSiteCertificates(siteFiles, wanted));
  const certificates = reach.isSecure ? await open() : undefined;
  if (certificates === undefined) await rm(join(dataDir, OPERATOR_FILE), { force: true });
  const [identity, startedAtMs] = [await identityIn(dataDir, !isFirstStart), systemClock.nowMs()];
  const audit = await openAudit(dataDir, { identity, clock: steadyClock, log });
  coordinator = await Coordinator.open({
    ...{ dataDir, accounts, identity, registry },
    clock: steadyClock,
    rng: rngFromEntropy(),
    log,
    space: spaceOf(dataDir, options.diskReserveBytes ?? DISK_RESERVE_BYTES),
    retention: options.retention,
    addresses: () => (server === undefined ? [] : reach.addresses(server)),
    issuer: certificates,
    notice: () => server && reach.notice(server, identity, startedAtMs),
    onRunEnded: (run) => writeRunReport(run, log),
    onEvent: ({ id, spec }, event) => metrics?.heed({ id, workload: spec.work.workload }, event),
    fatal: (error) => end(error),
  });
  server = await serveGrpc({
    participant: coordinator,
    admin: coordinator.admin,
    ...{ adminToken, accounts },
    listen: options.listen,
    tls: certificates,
    isTokenGood: (token) => registry.isTokenGood(token, systemClock.nowMs()),
    onFault: (fault) => warn(fault, 'a call failed inside'),
    ...{ onRefusal: audit.refused, witness: audit },
    onRefused: refusals(steadyClock, log),
  });
  const stopReserve = await reserveDescriptors(server, steadyClock);
  await writeFileDurably(join(dataDir, ADDRESS_FILE), new TextEncoder().encode(server.address));
  const key = toHex(identity.publicKey);
  await audit.add({ event: 'started', program: VERSION, address: server.address, secure: reach.isSecure, key });
  const parts = { coordinator, certificates, server, journal, health, audit, stopReserve, unlock };
  return {
    address: server.address,
    healthAddress: health?.address,
    isSecure: reach.isSecure,
    addresses: reach.addresses(server),
    done,
    stop: () => stop(parts).then(() => end()),
  };
}

/** @throws FlError invalid-argument: there is something else of that name, or no right to make it */
async function makeDirectory(dataDir: string): Promise<void> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 }).catch((cause: NodeJS.ErrnoException) => {
    throw new FlError('invalid-argument', `data-dir: ${dataDir}: expected a folder or a new name, got ${cause.code}`, {
      cause,
    });
  });
}

/** Of a process: when it is over, and by which fault. */
function ending(): { readonly done: Promise<void>; readonly end: (error?: FlError) => void } {
  let end: (error?: FlError) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error));
  });
  done.catch(() => undefined); // it may fail before anybody listens
  return { done, end };
}

async function stop(parts: {
  coordinator: Coordinator;
  certificates: Certificates | undefined;
  server: GrpcServer;
  journal: Journal;
  health: HealthPort | undefined;
  audit: Audit;
  stopReserve: () => void;
  unlock: () => void;
}): Promise<void> {
  parts.stopReserve();
  await parts.coordinator.close();
  parts.certificates?.close();
  await parts.server.close();
  await parts.health?.close();
  await parts.audit.close();
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
  const adminTokenFile = join(dataDir, ADMIN_TOKEN_FILE);
  const adminToken = await secretIn(adminTokenFile);
  const keep = (token: string) => writeSecret(adminTokenFile, new TextEncoder().encode(token));
  const accounts = new Accounts({ append }, records, { token: adminToken, keep });
  return { registry: new Registry({ append }, records), accounts, adminToken, journal, isEmpty: records.length === 0 };
}

async function writeRunReport(run: Run, log: Logger): Promise<void> {
  try {
    if (await isReported(run)) return;
    await writeReport(run.directory, await readReport(run), {
      plannedRounds: run.spec.work.rounds,
      settings: settingsOf(run.spec),
    });
  } catch (error) {
    log.warn({ run: run.id, reason: FlError.from(error).message }, 'the report could not be written');
  }
}
