/**
 * `starling coordinator`: opens the data directory, listens, serves until it is told to stop. What a kill -9 leaves
 * behind is what the next start goes on from.
 */
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pino } from 'pino';
import { systemClock } from '../shared/clock.js';
import { entriesOf, removeTemporaries } from '../shared/disk/aside.js';
import { faultOf } from '../shared/disk/faults.js';
import { systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { lockDirectory } from '../shared/disk/lock.js';
import { corrupt, FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import { rngFromEntropy } from '../shared/rng.js';
import { type Identity, identityFromSeed, newIdentitySeed } from '../shared/signing/identity.js';
import { Accounts } from './accounts.js';
import { Coordinator } from './coordinator.js';
import { ADDRESS_FILE, ADMIN_TOKEN_FILE, OPERATOR_FILE } from './data-dir.js';
import type { AdminAction } from './grpc/operators.js';
import { type GrpcServer, serveGrpc } from './grpc/server.js';
import { openJournal } from './journal/journal.js';
import type { Logger } from './log.js';
import { reachOf } from './reach.js';
import { Registry } from './registry.js';
import { writeReport } from './report/build.js';
import { readReport } from './report/run-report.js';
import { isChange } from './roles.js';
import { type CertificateOptions, type Certificates, openCertificates } from './tls/certificates.js';
import { openSiteCertificates, type SiteFiles } from './tls/site.js';

export interface CoordinatorProcess {
  /** HOST:PORT, on this machine. */
  readonly address: string;
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
}): Promise<CoordinatorProcess> {
  const { dataDir } = options;
  const reach = reachOf(options);
  const log = pino({ level: options.logLevel, base: null }, pino.destination({ fd: 2, sync: true }));
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  const unlock = lockDirectory(dataDir);
  for (const name of await removeTemporaries(dataDir)) log.info({ file: join(dataDir, name) }, 'removed: half written');
  const { records, journal } = await openJournal(join(dataDir, 'clients.log'));
  const isFirstStart = records.length === 0 && (await entriesOf(join(dataDir, 'runs'))).length === 0;
  let end: (error?: FlError) => void = () => {};
  const done = new Promise<void>((resolve, reject) => {
    end = (error) => (error === undefined ? resolve() : reject(error));
  });
  done.catch(() => undefined); // it may fail before anybody listens
  const append = (record: unknown) =>
    journal.append(record).catch((error) => {
      const fault = faultOf(join(dataDir, 'clients.log'), error);
      end(fault);
      throw fault;
    });
  let server: GrpcServer | undefined;
  const warn = (thrown: unknown, message: string) => log.warn({ reason: FlError.from(thrown).message }, message);
  const onFault = (thrown: unknown) => warn(thrown, 'certificates could not be renewed; another try follows');
  const wanted = { dataDir, hosts: reach.hosts, clock: systemClock, onFault };
  const certificates = await certificatesOf(reach.isSecure ? wanted : undefined, options);
  const { adminToken, accounts } = await accountsIn(dataDir, { append, records });
  const coordinator = await Coordinator.open({
    dataDir,
    accounts,
    identity: await identityIn(dataDir, !isFirstStart),
    registry: new Registry({ append }, records),
    clock: systemClock,
    rng: rngFromEntropy(),
    log,
    addresses: () => (server === undefined ? [] : reach.addresses(server)),
    issuer: certificates,
    onRunEnded: (run) => {
      const facts = { plannedRounds: run.spec.work.rounds };
      const written = readReport(run).then((report) => writeReport(run.directory, report, facts));
      written.catch((error) =>
        log.warn({ run: run.id, reason: FlError.from(error).message }, 'the report could not be written'),
      );
    },
    fatal: (error) => end(error),
  });
  server = await serveGrpc({
    participant: coordinator,
    admin: coordinator.admin,
    adminToken,
    accounts,
    onAction: (action) => told(log, action),
    listen: options.listen,
    tls: certificates,
    onFault: (fault) => warn(fault, 'a call failed inside'),
    onRefusal: (peer, reason) => log.warn({ peer, reason }, 'a connection was refused'),
  });
  await writeFileDurably(join(dataDir, ADDRESS_FILE), new TextEncoder().encode(server.address));
  const stop = async () => {
    await coordinator.close();
    certificates?.close();
    await server.close();
    await journal.close();
    unlock();
    end();
  };
  return { address: server.address, isSecure: reach.isSecure, addresses: reach.addresses(server), done, stop };
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

/** By the site's files, if it has named some; undefined where connections are in plaintext: then no operator has any. */
async function certificatesOf(
  wanted: CertificateOptions | undefined,
  { dataDir, siteFiles }: { readonly dataDir: string; readonly siteFiles?: SiteFiles },
): Promise<Certificates | undefined> {
  if (wanted !== undefined) {
    return siteFiles === undefined ? openCertificates(wanted) : openSiteCertificates(siteFiles, wanted);
  }
  await rm(join(dataDir, OPERATOR_FILE), { force: true });
  return undefined;
}

/** Operators: `admin`, whose token is a file here, and who is in the log. */
async function accountsIn(
  dataDir: string,
  { append, records }: { append(record: unknown): Promise<void>; readonly records: readonly unknown[] },
): Promise<{ readonly adminToken: string; readonly accounts: Accounts }> {
  const path = join(dataDir, ADMIN_TOKEN_FILE);
  const adminToken = await secretIn(path);
  const keep = (token: string) => writeFileDurably(path, new TextEncoder().encode(token));
  return { adminToken, accounts: new Accounts({ append }, records, { token: adminToken, keep }) };
}

/** What changes something, or was refused, in the name of who asked for it. */
function told(log: Logger, action: AdminAction): void {
  const level = isChange(action.call) || action.outcome !== 'done' ? 'info' : 'debug';
  log[level](action, `operator: ${action.call} ${action.outcome}`);
}

async function secretIn(path: string): Promise<string> {
  const stored = await systemFiles.read(path);
  if (stored !== undefined) return (await readFile(path, 'utf8')).trim();
  const secret = toHex(rngFromEntropy().bytes(32));
  await writeFileDurably(path, new TextEncoder().encode(secret));
  return secret;
}
