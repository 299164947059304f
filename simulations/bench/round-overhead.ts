/**
 * What a round costs when training costs nothing: 100 clients over real gRPC on loopback, a model of ten numbers, no
 * evaluation. The coordinator is alone in this process, the clients are together in another one.
 *
 * A round is timed from the end of the one before it. What it cannot do without stands beside it, from the same run: as
 * many messages of the same sizes over bare sockets between the same two processes, one signature checked for each
 * update, and the disk (a round makes three records and one model durable, one after the other).
 */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, open, rm } from 'node:fs/promises';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Coordinator } from '../../server/coordinator.js';
import type { ServerTls } from '../../server/grpc/peers.js';
import { type GrpcServer, serveGrpc } from '../../server/grpc/server.js';
import { silent } from '../../server/log.js';
import { Registry } from '../../server/registry.js';
import { systemClock } from '../../shared/clock.js';
import { rngFromEntropy } from '../../shared/rng.js';
import { verifySignature } from '../../shared/signing/identity.js';
import { encode } from '../../shared/tensors/safetensors.js';
import type { FromPeer, PeerTls, ToPeer } from './round-peer.js';
import { type BenchRow, cpuMs, median, quantile } from './rows.js';
import { benchIdentity, COORDINATOR, clientNames, tinyModel, tinySpec } from './tiny.js';

/** Rounds that pass before the first that counts: code is compiled, connections are open. */
const WARM_UP = 10;
/** Of a round over a control stream: plan and receipt, update. */
const ORDER_BYTES = 2_000;
const ANSWER_BYTES = 500;
const DISK_WRITES = 4;

/** Takes about ten seconds. */
export async function benchRoundOverhead({ clients = 100, rounds = 60 } = {}): Promise<BenchRow[]> {
  const directory = await mkdtemp(join(tmpdir(), 'starling-bench-'));
  const peer = fork(fileURLToPath(new URL('./round-peer.js', import.meta.url)), { stdio: 'inherit' });
  try {
    const measured = await runRounds({ clients, rounds, directory, peer });
    const socketsMs = await bareSockets({ clients, rounds, peer });
    const signatureMs = checkMs();
    const diskMs = await durableWriteMs(join(directory, 'probe'));
    const p50Ms = quantile(measured.roundMs, 0.5);
    const floorMs = socketsMs + clients * signatureMs + DISK_WRITES * diskMs;
    return [
      { name: 'clients', value: clients, unit: '' },
      { name: 'rounds measured', value: measured.roundMs.length, unit: '' },
      { name: 'round, p10', value: quantile(measured.roundMs, 0.1), unit: 'ms' },
      { name: 'round, p50', value: p50Ms, unit: 'ms' },
      { name: 'round, p90', value: quantile(measured.roundMs, 0.9), unit: 'ms' },
      { name: 'round, max', value: quantile(measured.roundMs, 1), unit: 'ms' },
      { name: 'coordinator CPU, a round', value: measured.coordinatorCpuMs, unit: 'ms' },
      { name: 'clients CPU, a round', value: measured.clientsCpuMs, unit: 'ms' },
      { name: 'the same messages over bare sockets', value: socketsMs, unit: 'ms' },
      { name: 'checking one signature', value: signatureMs, unit: 'ms' },
      { name: 'one durable write', value: diskMs, unit: 'ms' },
      { name: 'round, p50 / (sockets + signatures + writes)', value: p50Ms / floorMs, unit: 'ratio' },
    ];
  } finally {
    peer.disconnect();
    await once(peer, 'exit');
    await rm(directory, { recursive: true, force: true });
  }
}

/** Rounds between this process and `peer`. */
export interface Setting {
  readonly clients: number;
  readonly rounds: number;
  readonly peer: ChildProcess;
  /** Connected beside them, in processes of their own, and in no round. */
  readonly idle?: { readonly clients: number; readonly peers: readonly ChildProcess[] };
  /** Of both sides; absent: plaintext. */
  readonly tls?: { readonly server: ServerTls; readonly peer: PeerTls };
}

/** Times of rounds, one by one, and what the two processes spent on each. */
export async function runRounds({ clients, rounds, directory, peer, idle, tls }: Setting & { directory: string }) {
  const { coordinator, server, failed } = await serve(directory, clients + (idle?.clients ?? 0), tls?.server);
  try {
    const [active, others] = [clientNames(clients), clientNames(clients + (idle?.clients ?? 0)).slice(clients)];
    const beforeBytes = rssBytes();
    const joinMs = await joinAll(idle?.peers ?? [], others, { address: server.address, tls: tls?.peer });
    const idleBytes = others.length === 0 ? 0 : (rssBytes() - beforeBytes) / others.length;
    const { work, engine } = tinySpec({ clients, rounds: rounds + WARM_UP });
    const spec = { work, engine: { ...engine, clients: active } };
    const run = await coordinator.createRun(spec, encode(tinyModel()), { id: 'bench', directory });
    const roundMs: number[] = [];
    let start = { cpuMs: 0, peerMs: 0 };
    let lastMs = 0;
    let done = 0;
    const ended = new Promise<void>((resolve) => {
      run.feed.subscribe((event) => {
        if (event.kind === 'ended') resolve();
        if (event.kind !== 'round-ended') return;
        const nowMs = performance.now();
        if (++done > WARM_UP) roundMs.push(nowMs - lastMs);
        if (done === WARM_UP) void peerCpuMs(peer).then((peerMs) => (start = { cpuMs: cpuMs(), peerMs }));
        lastMs = nowMs;
      });
    });
    await Promise.race([joinAll([peer], active, { address: server.address, tls: tls?.peer }), failed]);
    await Promise.race([ended, failed]);
    const coordinatorCpuMs = (cpuMs() - start.cpuMs) / rounds;
    const clientsCpuMs = ((await peerCpuMs(peer)) - start.peerMs) / rounds;
    return { roundMs, coordinatorCpuMs, clientsCpuMs, idleBytes, joinMs };
  } finally {
    await coordinator.close();
    await server.close();
  }
}

/** Shares the clients out; how long it took until all were in, in ms. */
async function joinAll(
  peers: readonly ChildProcess[],
  names: readonly string[],
  to: { readonly address: string; readonly tls?: PeerTls },
): Promise<number> {
  await Promise.all(peers.map(peerCpuMs)); // they have loaded their code by then
  const startMs = performance.now();
  await Promise.all(
    peers.map(async (peer, i) => {
      const answer = once(peer, 'message');
      send(peer, { kind: 'join', names: names.filter((_, at) => at % peers.length === i), ...to });
      await answer;
    }),
  );
  return performance.now() - startMs;
}

/** After a collection of garbage, so that what is left is held. */
function rssBytes(): number {
  setFlagsFromString('--expose-gc');
  (runInNewContext('gc') as () => void)();
  return process.memoryUsage().rss;
}

/** A coordinator that knows this many clients, on a network of loopback. */
export async function serve(directory: string, clients: number, tls?: ServerTls) {
  const registry = new Registry({ append: async () => undefined }, []);
  for (const client of clientNames(clients)) await registry.enrolTrusted(client, benchIdentity(client).publicKey, 0);
  let fail: (error: Error) => void = () => {};
  const failed = new Promise<never>((_, reject) => {
    fail = reject;
  });
  failed.catch(() => undefined); // it is raced
  let server: GrpcServer | undefined;
  const coordinator = await Coordinator.open({
    addresses: () => (server === undefined ? [] : [server.address]),
    dataDir: directory,
    identity: benchIdentity(COORDINATOR),
    registry,
    clock: systemClock,
    rng: rngFromEntropy(),
    log: silent,
    fatal: fail,
  });
  server = await serveGrpc({
    participant: coordinator,
    admin: coordinator.admin,
    adminToken: 'bench',
    listen: '127.0.0.1:0',
    tls,
  });
  return { coordinator, server, failed };
}

/** Median of a round in which every client gets `ORDER_BYTES` and answers with `ANSWER_BYTES`. */
async function bareSockets({ clients, rounds, peer }: Setting): Promise<number> {
  const sockets: Socket[] = [];
  let missing = 0;
  let arrived = () => {};
  const server = createServer({ noDelay: true }, (socket) => {
    sockets.push(socket);
    socket.on('data', (bytes: Buffer) => {
      missing -= bytes.length;
      if (missing === 0) arrived();
    });
    socket.on('error', () => {});
    if (sockets.length === clients) arrived();
  });
  await once(server.listen(0, '127.0.0.1'), 'listening');
  const { port } = server.address() as AddressInfo;
  const wait = () => new Promise<void>((resolve) => (arrived = resolve));
  const connected = wait();
  send(peer, { kind: 'echo', port, clients, orderBytes: ORDER_BYTES, answerBytes: ANSWER_BYTES });
  await connected;
  const order = Buffer.alloc(ORDER_BYTES);
  const times: number[] = [];
  for (let i = 0; i < rounds; i++) {
    const startMs = performance.now();
    missing = clients * ANSWER_BYTES;
    const answered = wait();
    for (const socket of sockets) socket.write(order);
    await answered;
    times.push(performance.now() - startMs);
  }
  for (const socket of sockets) socket.destroy();
  server.close();
  return median(times);
}

function checkMs(): number {
  const identity = benchIdentity(COORDINATOR);
  const message = new Uint8Array(300);
  const signature = identity.sign(message);
  const times = Array.from({ length: 200 }, () => {
    const startMs = performance.now();
    verifySignature(identity.publicKey, message, signature);
    return performance.now() - startMs;
  });
  return median(times);
}

async function durableWriteMs(path: string): Promise<number> {
  const file = await open(path, 'w');
  const times: number[] = [];
  for (let i = 0; i < 50; i++) {
    const startMs = performance.now();
    await file.write(Buffer.alloc(300));
    await file.datasync();
    times.push(performance.now() - startMs);
  }
  await file.close();
  return median(times);
}

/** Asks the process with the clients. */
export function send(peer: ChildProcess, message: ToPeer): void {
  peer.send(message);
}

async function peerCpuMs(peer: ChildProcess): Promise<number> {
  const answer = once(peer, 'message') as Promise<[FromPeer]>;
  send(peer, { kind: 'cpu' });
  return (await answer)[0].cpuMs;
}
