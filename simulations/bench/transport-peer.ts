/**
 * The other process of the transport benchmark: a gRPC server whose coordinator throws away what it gets, and a raw TCP
 * sink and source for comparison. Prints one line of JSON (its ports), then answers `memory` lines with its RSS.
 */
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';
import { serveGrpc } from '../../server/grpc/server.js';
import { FlError } from '../../shared/errors.js';
import type { AdminService, ParticipantService, RunInfo } from '../../shared/service.js';
import { CHUNK_BYTES } from '../../shared/service.js';

const RUN: RunInfo = {
  run: 'bench',
  workload: 'bench',
  status: 'running',
  reason: '',
  round: 0,
  rounds: 1,
  createdAtMs: 0,
  directory: '',
  activity: '',
};

/** Of the last upload: as the coordinator does, every byte is copied to where it belongs. */
let destination = new Uint8Array(0);

const participant: ParticipantService = {
  identify: () => Promise.reject(new Error('not here')),
  enrol: refuse,
  connect: (toClient) => ({ send: () => toClient.send({ kind: 'welcome', session: new Uint8Array(32) }), close() {} }),
  async *download(_session, request) {
    const model = new Uint8Array(request.offset);
    for (let at = 0; at < model.length; at += CHUNK_BYTES) yield model.subarray(at, at + CHUNK_BYTES);
  },
  uploadStatus: async () => 0,
  async upload(_session, { header }, offset, chunks) {
    if (destination.length !== header.sizeBytes) destination = new Uint8Array(header.sizeBytes);
    let at = offset;
    for await (const chunk of chunks) {
      destination.set(chunk, at);
      at += chunk.length;
    }
    return { outcome: 'accepted', detail: '' };
  },
};

const admin: AdminService = {
  createToken: refuse,
  setStanding: refuse,
  reEnrol: refuse,
  listTokens: async () => [],
  revokeToken: refuse,
  addAccount: refuse,
  rotateAccount: refuse,
  renewAccount: refuse,
  listAccounts: async () => [],
  removeAccount: refuse,
  listClients: async () => [],
  startRun: refuse,
  stopRun: refuse,
  resumeRun: refuse,
  archiveRun: refuse,
  deleteRun: refuse,
  repairRun: refuse,
  listRuns: async () => [RUN],
  getRun: refuse,
  async *watchRun() {},
};

async function refuse(): Promise<never> {
  throw new FlError('failed-precondition', 'not part of the benchmark');
}

/** First 4 bytes: how many bytes follow (then one byte says thanks), or, with the top bit, how many to send. */
const raw = createServer({ noDelay: true }, (socket) => {
  let wanted = -1;
  let at = 0;
  let into = Buffer.alloc(0);
  socket.on('error', () => {});
  socket.on('data', (bytes: Buffer) => {
    let from = 0;
    if (wanted < 0) {
      const word = bytes.readUInt32LE(0);
      from = 4;
      if (word >= 2 ** 31) {
        socket.end(Buffer.alloc(word - 2 ** 31));
        return;
      }
      wanted = word;
      into = Buffer.alloc(wanted);
    }
    at += bytes.copy(into, at, from);
    if (at === wanted) socket.end(Buffer.from([1]));
  });
});

// nobody logs in here
const limits = { guestMs: 2 ** 31 - 1, guestCallBytes: 2 ** 40, guestAddressBytes: 2 ** 40, guestBytes: 2 ** 40 };
const server = await serveGrpc({ participant, admin, adminToken: 'bench', listen: '127.0.0.1:0', limits });
await new Promise<void>((resolve) => raw.listen(0, '127.0.0.1', resolve));
const rawAddress = raw.address();
const rawPort = rawAddress !== null && typeof rawAddress === 'object' ? rawAddress.port : 0;
process.stdout.write(`${JSON.stringify({ grpcPort: server.port, rawPort })}\n`);
const lines = createInterface({ input: process.stdin });
lines.on('line', () => {
  (globalThis as { gc?: () => void }).gc?.();
  process.stdout.write(`${JSON.stringify({ rssBytes: process.memoryUsage().rss })}\n`);
});
lines.on('close', () => process.exit(0));
