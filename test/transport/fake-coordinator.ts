/**
 * A coordinator that keeps what it was told and answers from tables: what the transport's tests put behind serveGrpc.
 */
import { FlError } from '../../shared/errors.js';
import type { RunSpec } from '../../shared/run/spec.js';
import type {
  AdminService,
  ClientFrame,
  ControlEnd,
  CoordinatorFrame,
  ParticipantService,
  RunInfo,
  UploadReply,
} from '../../shared/service.js';
import { toySpec } from '../support/toy.js';

export const SESSION = new Uint8Array(32).fill(7);
export const ADMIN_TOKEN = 'the-admin-token';
export const SHA256 = 'ab'.repeat(32);
export const UPDATE = { run: 'run-1', round: 3, attempt: 1, sha256: SHA256 };
export const SPEC = toySpec();
export const RUN_INFO: RunInfo = {
  run: 'run-1',
  workload: 'toy',
  status: 'running',
  reason: '',
  round: 2,
  rounds: 9,
  createdAtMs: 1_700_000_000_123,
  directory: '/var/lib/starling/runs/run-1',
  activity: 'waiting for 2 clients – schön',
};

export const TOKENS = [
  {
    id: '0123456789ab',
    name: 'lab',
    uses: 3,
    used: 1,
    expiresAtMs: 1_700_000_000_001,
    isPending: true,
    isRevoked: false,
  },
];

export const KEY = { name: 'ada', role: 'viewer' as const, address: '127.0.0.1:1', token: 'sesame', tls: 'PEM' };

export class FakeParticipant implements ParticipantService {
  /** The model that download gives, in pieces of `chunkBytes`. */
  model: Uint8Array = new Uint8Array(0);
  chunkBytes = 256 * 1024;
  /** What upload does with its chunks; the default takes them all. */
  consume: (chunks: AsyncIterable<Uint8Array>) => Promise<void> = async (chunks) => {
    for await (const chunk of chunks) this.received.push(Uint8Array.from(chunk));
  };
  received: Uint8Array[] = [];
  calls: unknown[] = [];
  readonly streams: { toClient: ControlEnd<CoordinatorFrame>; frames: ClientFrame[]; closed: string[] }[] = [];
  /** Called with each frame after it is kept. */
  onFrame: (frame: ClientFrame, toClient: ControlEnd<CoordinatorFrame>) => void = () => {};
  onClose: (reason: string) => void = () => {};
  onConnect: (toClient: ControlEnd<CoordinatorFrame>) => void = () => {};
  downloadsEnded = 0;

  async identify(request: Parameters<ParticipantService['identify']>[0]) {
    this.calls.push(request);
    return { coordinatorKey: new Uint8Array(32).fill(9), signature: new Uint8Array(64).fill(8) };
  }

  async enrol(request: Parameters<ParticipantService['enrol']>[0]) {
    this.calls.push(request);
    return { client: 'client-1', coordinatorKey: new Uint8Array(32).fill(9) };
  }

  connect(toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame> {
    const stream = { toClient, frames: [] as ClientFrame[], closed: [] as string[] };
    this.streams.push(stream);
    this.onConnect(toClient);
    return {
      send: (frame) => {
        stream.frames.push(frame);
        this.onFrame(frame, toClient);
      },
      close: (reason) => {
        stream.closed.push(reason);
        this.onClose(reason);
      },
    };
  }

  async *download(session: Uint8Array, request: Parameters<ParticipantService['download']>[1]) {
    this.#check(session);
    this.calls.push(request);
    try {
      for (let at = request.offset; at < this.model.length; at += this.chunkBytes) {
        yield this.model.subarray(at, at + this.chunkBytes);
      }
    } finally {
      this.downloadsEnded++;
    }
  }

  async uploadStatus(session: Uint8Array, update: Parameters<ParticipantService['uploadStatus']>[1]) {
    this.#check(session);
    this.calls.push(update);
    return 4096;
  }

  async upload(...[session, signed, offset, chunks]: Parameters<ParticipantService['upload']>): Promise<UploadReply> {
    this.#check(session);
    this.calls.push({ signed, offset });
    await this.consume(chunks);
    return { outcome: 'accepted', detail: '' };
  }

  #check(session: Uint8Array): void {
    if (!Buffer.from(session).equals(SESSION)) throw new FlError('permission-denied', 'session: unknown');
  }
}

export class FakeAdmin implements AdminService {
  calls: unknown[] = [];
  report = '{"schema":"starling.report/1"}';
  events: string[] = ['{"kind":"waiting"}', '{"kind":"ended"}'];
  /** Set when a watcher's signal was aborted. */
  onAbort: () => void = () => {};
  watchForever = false;

  async createToken(request: Parameters<AdminService['createToken']>[0]) {
    this.calls.push(request);
    return 'sl1.token';
  }

  async setStanding(request: Parameters<AdminService['setStanding']>[0]) {
    this.calls.push(request);
  }

  async reEnrol(request: Parameters<AdminService['reEnrol']>[0]) {
    this.calls.push(request);
    return 'sl1.again';
  }

  async listTokens() {
    return TOKENS;
  }

  async revokeToken(id: string) {
    this.calls.push({ revoke: id });
  }

  async addAccount(request: Parameters<AdminService['addAccount']>[0]) {
    this.calls.push(request);
    return KEY;
  }

  async rotateAccount(name: string) {
    this.calls.push({ rotate: name });
    return KEY;
  }

  async renewAccount(name: string) {
    this.calls.push({ renew: name });
    return { ...KEY, token: '' };
  }

  async listAccounts() {
    return [{ name: 'ada', role: 'viewer' as const, sinceMs: 5 }];
  }

  async removeAccount(name: string) {
    this.calls.push({ remove: name });
  }

  async listClients() {
    return [{ name: 'client-1', online: true, enrolledAtMs: 1_700_000_000_001, publicKey: new Uint8Array(32).fill(7) }];
  }

  async startRun(spec: RunSpec, model: Uint8Array) {
    this.calls.push({ spec, model });
    return 'run-1';
  }

  async stopRun(run: string, reason: string) {
    this.calls.push({ stop: run, reason });
  }

  async resumeRun(run: string) {
    if (run !== 'run-1')
      throw new FlError('not-found', `run: expected a run of this coordinator, got "${run}" (100 % sure)`);
    this.calls.push({ resume: run });
  }

  async archiveRun(run: string) {
    this.calls.push({ archive: run });
    return `/data/archive/${run}`;
  }

  async deleteRun(run: string) {
    this.calls.push({ delete: run });
  }

  async repairRun(run: string) {
    this.calls.push({ repair: run });
    return ['ledger.jsonl: 3 lines were written from journal.log', 'run.json: written from journal.log'];
  }

  async listRuns({ archived = false } = {}) {
    return archived ? [] : [RUN_INFO];
  }

  async getRun(run: string) {
    this.calls.push({ get: run });
    return { info: RUN_INFO, report: this.report };
  }

  async *watchRun(_run: string, signal?: AbortSignal) {
    yield* this.events;
    if (!this.watchForever) return;
    await new Promise<void>((resolve) => signal?.addEventListener('abort', () => resolve()));
    this.onAbort();
  }
}
