/**
 * What TLS costs a federation: rounds of 100 clients by mutual TLS beside the same rounds in plaintext, by turns in one run,
 * and connections a second, each with a certificate on both sides and one call. Coordinator and clients as in
 * round-overhead.ts: two processes, a model of ten numbers.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openCertificates } from '../../server/tls/certificates.js';
import { systemClock } from '../../shared/clock.js';
import { runRounds, type Setting, send, serve } from './round-overhead.js';
import type { FromPeer } from './round-peer.js';
import { type BenchRow, cpuMs, median, quantile } from './rows.js';
import { benchIdentity, clientNames } from './tiny.js';

/** By turns, so that what else the machine does falls on both. */
const TURNS = 3;
const AT_ONCE = 16;

/** Takes about a minute. */
export async function benchTls({ clients = 100, rounds = 20, handshakes = 400 } = {}): Promise<BenchRow[]> {
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
    for (const client of clientNames(clients)) {
      issued[client] = (await certificates.issueFor(client, benchIdentity(client).publicKey))!.certificate;
    }
    const peerTls = { authorities: certificates.current().trusted, certificates: issued };
    const tls = { server: certificates, peer: peerTls };
    const [plain, secure]: Rounds[][] = [[], []];
    for (let turn = 0; turn < TURNS; turn++) {
      plain.push(await roundsOf(join(directory, `plain-${turn}`), { clients, rounds }));
      secure.push(await roundsOf(join(directory, `tls-${turn}`), { clients, rounds, tls }));
    }
    const p50 = (turns: Rounds[]) =>
      quantile(
        turns.flatMap(({ roundMs }) => roundMs),
        0.5,
      );
    const cpu = (turns: Rounds[]) =>
      median(turns.map(({ coordinatorCpuMs, clientsCpuMs }) => coordinatorCpuMs + clientsCpuMs));
    const plainConnections = await connections(join(directory, 'calls'), handshakes, undefined);
    const handshakesMade = await connections(join(directory, 'calls'), handshakes, tls);
    const [plainMs, secureMs] = [p50(plain), p50(secure)];
    return [
      { name: 'clients', value: clients, unit: '' },
      { name: 'rounds measured, of each', value: TURNS * rounds, unit: '' },
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

type Rounds = Awaited<ReturnType<typeof runRounds>>;

async function roundsOf(directory: string, setting: Omit<Setting, 'peer'>): Promise<Rounds> {
  await mkdir(directory);
  return withPeer((peer) => runRounds({ ...setting, directory, peer }));
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
