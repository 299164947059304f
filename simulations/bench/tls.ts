/**
 * What TLS costs a federation: rounds of some clients by mutual TLS, with many idle ones beside them, and the same rounds in
 * plaintext, by turns in one run; what an idle client takes of the coordinator's memory; and connections a second, each with
 * a certificate on both sides and one call. Every client is a connection and a login of its own, and they share a few
 * processes; coordinator and model as in round-overhead.ts.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { connectionLimit } from '../../server/descriptors.js';
import { openCertificates } from '../../server/tls/certificates.js';
import { systemClock } from '../../shared/clock.js';
import { FlError } from '../../shared/errors.js';
import { runRounds, type Setting, send, serve } from './round-overhead.js';
import type { FromPeer } from './round-peer.js';
import { type BenchRow, cpuMs, median, quantile } from './rows.js';
import { benchIdentity, clientNames } from './tiny.js';

/** By turns, so that what else the machine does falls on both. */
const TURNS = 3;
const AT_ONCE = 16;
/** Processes with idle clients. */
const IDLE_PEERS = 2;

/** How many clients there are, and how often what is done. */
export interface TlsBenchOptions {
  readonly active?: number;
  readonly idle?: number;
  readonly rounds?: number;
  readonly handshakes?: number;
}

/** Takes some minutes. @throws FlError invalid-argument: this machine's limit of open files is too low for it */
export async function benchTls(options: TlsBenchOptions = {}): Promise<BenchRow[]> {
  const { active = 300, idle = 2000, rounds = 20, handshakes = 400 } = options;
  await checkDescriptors(active + idle);
  const directory = await mkdtemp(join(tmpdir(), 'starling-bench-'));
  const onFault = (thrown: unknown) => {
    throw thrown;
  };
  const certificates = await openCertificates({
    dataDir: directory,
    hosts: ['127.0.0.1'],
    clock: systemClock,
    onFault,
  });
  try {
    const issued: Record<string, string> = {};
    for (const client of clientNames(active + idle)) {
      issued[client] = (await certificates.issueFor(client, benchIdentity(client).publicKey))!.certificate;
    }
    const peerTls = { authorities: certificates.current().trusted, certificates: issued };
    const tls = { server: certificates, peer: peerTls };
    const [plain, secure]: Rounds[][] = [[], []];
    for (let turn = 0; turn < TURNS; turn++) {
      // by TLS first: what a process has given back once, its allocator has at hand
      secure.push(await roundsOf(join(directory, `tls-${turn}`), { clients: active, idle, rounds, tls }));
      plain.push(await roundsOf(join(directory, `plain-${turn}`), { clients: active, idle, rounds }));
    }
    const plainConnections = await connections(join(directory, 'calls'), handshakes, undefined);
    const handshakesMade = await connections(join(directory, 'calls'), handshakes, tls);
    const [plainMs, secureMs] = [p50(plain), p50(secure)];
    const idleRows = [
      { name: 'memory of the coordinator, an idle mTLS client', value: secure[0].idleBytes / 1024, unit: 'KiB' },
      { name: 'idle mTLS clients that logged in', value: idle / (secure[0].joinMs / 1000), unit: '/s' },
    ];
    return [
      { name: 'clients in each round', value: active, unit: '' },
      { name: 'idle clients beside them', value: idle, unit: '' },
      { name: 'rounds measured, of each', value: TURNS * rounds, unit: '' },
      ...(idle === 0 ? [] : idleRows),
      { name: 'round in plaintext, p50', value: plainMs, unit: 'ms' },
      { name: 'round by mutual TLS, p50', value: secureMs, unit: 'ms' },
      { name: 'round, p50, TLS / plaintext', value: secureMs / plainMs, unit: 'ratio' },
      { name: 'CPU of both sides, a round in plaintext', value: cpu(plain), unit: 'ms' },
      { name: 'CPU of both sides, a round by mutual TLS', value: cpu(secure), unit: 'ms' },
      { name: 'CPU of a round, TLS / plaintext', value: cpu(secure) / cpu(plain), unit: 'ratio' },
      { name: 'connections in plaintext, with a call', value: plainConnections.perSecond, unit: '/s' },
      { name: 'mTLS handshakes, with a call', value: handshakesMade.perSecond, unit: '/s' },
      { name: 'coordinator CPU, a connection in plaintext', value: plainConnections.cpuMs, unit: 'ms' },
      { name: 'coordinator CPU, an mTLS handshake', value: handshakesMade.cpuMs, unit: 'ms' },
    ];
  } finally {
    certificates.close();
    await rm(directory, { recursive: true, force: true });
  }
}

function p50(turns: readonly Rounds[]): number {
  return quantile(
    turns.flatMap(({ roundMs }) => roundMs),
    0.5,
  );
}

function cpu(turns: readonly Rounds[]): number {
  return median(turns.map(({ coordinatorCpuMs, clientsCpuMs }) => coordinatorCpuMs + clientsCpuMs));
}

/** Each client is a descriptor here, and one in a process of its own side, which has the same limit. */
async function checkDescriptors(clients: number): Promise<void> {
  const limit = await connectionLimit(0);
  if (limit === undefined || limit >= clients) return;
  const next = 'raise the limit of open files (ulimit -n), or take fewer with --idle and --active';
  throw new FlError(
    'invalid-argument',
    `bench tls: expected open files for ${clients} connections, got ${limit}; next: ${next}`,
  );
}

type Rounds = Awaited<ReturnType<typeof runRounds>>;

async function roundsOf(
  directory: string,
  { idle, ...setting }: Omit<Setting, 'peer' | 'idle'> & { readonly idle: number },
): Promise<Rounds> {
  await mkdir(directory);
  const withIdle = (peers: readonly ChildProcess[]): Promise<Rounds> => {
    if (idle > 0 && peers.length < IDLE_PEERS) return withPeer((peer) => withIdle([...peers, peer]));
    return withPeer((peer) => runRounds({ ...setting, directory, peer, idle: { clients: idle, peers } }));
  };
  return withIdle([]);
}

/** How many a second, and what each costs this process. */
async function connections(directory: string, count: number, tls: Setting['tls']) {
  const { coordinator, server } = await serve(directory, 1, tls?.server);
  try {
    return await withPeer(async (peer) => {
      const ask = async (n: number) => {
        const answer = once(peer, 'message') as Promise<[FromPeer]>;
        send(peer, { kind: 'handshakes', address: server.address, count: n, atOnce: AT_ONCE, tls: tls?.peer });
        const startMs = cpuMs();
        const perSecond = n / ((await answer)[0].elapsedMs! / 1000);
        return { perSecond, cpuMs: (cpuMs() - startMs) / n };
      };
      await ask(count / 4); // code is compiled
      return ask(count);
    });
  } finally {
    await coordinator.close();
    await server.close();
  }
}

async function withPeer<Result>(use: (peer: ChildProcess) => Promise<Result>): Promise<Result> {
  const peer = fork(fileURLToPath(new URL('./round-peer.js', import.meta.url)), { stdio: 'inherit' });
  try {
    return await use(peer);
  } finally {
    peer.disconnect();
    await once(peer, 'exit');
  }
}
