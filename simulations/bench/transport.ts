/**
 * How fast models and updates move, and what a client that only waits costs. Server and client are processes of their
 * own. The measure of speed is the ratio to a raw TCP copy of the same bytes in the same run, which a busy machine does
 * not change much; 40 MB is about ten million float32.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { connect } from 'node:net';
import { createInterface, type Interface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { connectAdmin } from '../../client/grpc/admin.js';
import { connectGrpc } from '../../client/grpc/participant.js';
import { CHUNK_BYTES } from '../../shared/service.js';
import { DelayProxy } from './delay-proxy.js';
import { median } from './rows.js';

/** How fast one direction of one link is, beside a raw copy. */
export interface TransportRow {
  readonly link: 'loopback' | '50 ms round trip';
  readonly direction: 'upload' | 'download';
  readonly sizeBytes: number;
  /** Medians of the repetitions; 1 MB is 1e6 bytes. */
  readonly grpcMBperS: number;
  readonly rawTcpMBperS: number;
  /** grpc / raw. */
  readonly ratio: number;
}

/** What clients cost that only wait. */
export interface IdleRow {
  readonly clients: number;
  /** Growth of the server's resident set, divided by the clients. */
  readonly bytesPerClient: number;
  /** Of listRuns while all streams are open. */
  readonly listRunsMedianMs: number;
  readonly listRunsMaxMs: number;
}

const SESSION = new Uint8Array(32);
const SHA256 = '0'.repeat(64);

/** Uploads and downloads `sizeBytes` on loopback and over a link with 25 ms each way. */
export async function benchTransport(options: { sizeBytes?: number; repeats?: number } = {}): Promise<TransportRow[]> {
  const { sizeBytes = 40_000_000, repeats = 5 } = options;
  const peer = await Peer.start();
  const rows: TransportRow[] = [];
  try {
    for (const latencyMs of [0, 25]) {
      const grpcLink = await link(peer.grpcPort, latencyMs);
      const rawLink = await link(peer.rawPort, latencyMs);
      for (const direction of ['upload', 'download'] as const) {
        const [grpcMs, rawMs] = await measure(direction, sizeBytes, repeats, {
          grpc: grpcLink.port,
          raw: rawLink.port,
        });
        rows.push({
          link: latencyMs === 0 ? 'loopback' : '50 ms round trip',
          direction,
          sizeBytes,
          grpcMBperS: sizeBytes / grpcMs / 1000,
          rawTcpMBperS: sizeBytes / rawMs / 1000,
          ratio: rawMs / grpcMs,
        });
      }
      await grpcLink.close();
      await rawLink.close();
    }
  } finally {
    await peer.stop();
  }
  return rows;
}

/** Opens `clients` control streams, each on a connection of its own, from this process. */
export async function benchIdle(options: { clients?: number } = {}): Promise<IdleRow> {
  const { clients = 1000 } = options;
  const peer = await Peer.start();
  const open: { close(): void }[] = [];
  const admin = connectAdmin(`127.0.0.1:${peer.grpcPort}`, 'bench');
  try {
    await admin.listRuns();
    const before = await peer.rssBytes();
    for (let i = 0; i < clients; i++) open.push(await openControl(peer.grpcPort));
    const after = await peer.rssBytes();
    const timesMs: number[] = [];
    for (let i = 0; i < 20; i++) timesMs.push(await timeMs(() => admin.listRuns()));
    return {
      clients,
      bytesPerClient: (after - before) / clients,
      listRunsMedianMs: median(timesMs),
      listRunsMaxMs: Math.max(...timesMs),
    };
  } finally {
    for (const client of open) client.close();
    admin.close();
    await peer.stop();
  }
}

/** Resolves when the first frame has come back, so that the stream is open on both sides. */
function openControl(port: number): Promise<{ close(): void }> {
  const client = connectGrpc(`127.0.0.1:${port}`);
  return new Promise((resolve, reject) => {
    const end = client.connect({ send: () => resolve(client), close: (reason) => reject(new Error(reason)) });
    end.send({ kind: 'hello', client: 'client', version: '0', address: '', nonce: new Uint8Array(0) });
  });
}

/** Medians of the gRPC and of the raw times, taken in turn; the first round warms up. */
async function measure(
  direction: 'upload' | 'download',
  sizeBytes: number,
  repeats: number,
  ports: { grpc: number; raw: number },
): Promise<[number, number]> {
  const client = connectGrpc(`127.0.0.1:${ports.grpc}`);
  const values = new Uint8Array(sizeBytes);
  const grpcMs: number[] = [];
  const rawMs: number[] = [];
  for (let i = 0; i <= repeats; i++) {
    const grpc = await timeMs(() => (direction === 'upload' ? upload(client, values) : download(client, values)));
    const raw = await timeMs(() => rawCopy(ports.raw, direction, values));
    if (i > 0) {
      grpcMs.push(grpc);
      rawMs.push(raw);
    }
  }
  client.close();
  return [median(grpcMs), median(rawMs)];
}

async function upload(client: ReturnType<typeof connectGrpc>, values: Uint8Array): Promise<void> {
  const header = {
    run: 'bench',
    round: 0,
    attempt: 0,
    sha256: SHA256,
    sizeBytes: values.length,
    weights: [1],
    metrics: {},
  };
  const chunks = async function* () {
    for (let at = 0; at < values.length; at += CHUNK_BYTES) yield values.subarray(at, at + CHUNK_BYTES);
  };
  await client.upload(SESSION, { header, signature: new Uint8Array(64) }, 0, chunks());
}

async function download(client: ReturnType<typeof connectGrpc>, into: Uint8Array): Promise<void> {
  let at = 0;
  // The benchmark's server takes the offset for the size.
  for await (const chunk of client.download(SESSION, { run: 'bench', sha256: SHA256, offset: into.length })) {
    into.set(chunk, at);
    at += chunk.length;
  }
  if (at !== into.length) throw new RangeError(`expected ${into.length} bytes, got ${at}`);
}

function rawCopy(port: number, direction: 'upload' | 'download', values: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true });
    const word = Buffer.alloc(4);
    word.writeUInt32LE(direction === 'upload' ? values.length : values.length + 2 ** 31);
    socket.write(word);
    if (direction === 'upload') {
      for (let at = 0; at < values.length; at += CHUNK_BYTES) socket.write(values.subarray(at, at + CHUNK_BYTES));
    }
    let at = 0;
    socket.on('data', (bytes: Buffer) => {
      if (direction === 'download') values.set(bytes, at);
      at += bytes.length;
    });
    socket.on('end', () => resolve());
    socket.on('error', reject);
  });
}

async function link(targetPort: number, latencyMs: number): Promise<{ port: number; close(): Promise<void> }> {
  if (latencyMs === 0) return { port: targetPort, close: async () => {} };
  const proxy = await DelayProxy.start({ targetPort, latencyMs });
  return { port: Number(proxy.address.split(':')[1]), close: () => proxy.close() };
}

/** The process of transport-peer.ts. */
class Peer {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  grpcPort = 0;
  rawPort = 0;

  private constructor(child: ChildProcess, lines: Interface) {
    this.#child = child;
    this.#lines = lines[Symbol.asyncIterator]();
  }

  static async start(): Promise<Peer> {
    const script = fileURLToPath(new URL('./transport-peer.js', import.meta.url));
    const child = spawn(process.execPath, ['--expose-gc', script], { stdio: ['pipe', 'pipe', 'inherit'] });
    const peer = new Peer(child, createInterface({ input: child.stdout }));
    const { grpcPort, rawPort } = await peer.#line();
    peer.grpcPort = grpcPort;
    peer.rawPort = rawPort;
    return peer;
  }

  async rssBytes(): Promise<number> {
    this.#child.stdin?.write('memory\n');
    return (await this.#line()).rssBytes;
  }

  async stop(): Promise<void> {
    const gone = new Promise<void>((resolve) => this.#child.once('exit', () => resolve()));
    this.#child.stdin?.end();
    await gone;
  }

  async #line(): Promise<Record<string, number>> {
    const { value } = await this.#lines.next();
    return JSON.parse(value);
  }
}

async function timeMs(run: () => Promise<unknown>): Promise<number> {
  const startMs = performance.now();
  await run();
  return performance.now() - startMs;
}
