/**
 * The coordinator: who is enrolled, who is here, which runs there are. It carries frames between clients and runs and
 * knows nothing of models, networks or rounds; `serveGrpc` puts it on a network, a simulation calls it directly.
 */
import { join } from 'node:path';
import type { Clock } from '../shared/clock.js';
import { FlError, invalidArgument } from '../shared/errors.js';
import { fromHex, toHex } from '../shared/hex.js';
import { encodeJoinToken } from '../shared/join-token.js';
import type { Rng } from '../shared/rng.js';
import type { UpdateHeader } from '../shared/run/plan.js';
import type { RunSpec } from '../shared/run/spec.js';
import {
  type AdminService,
  CHUNK_BYTES,
  type ClientFrame,
  type ControlEnd,
  type CoordinatorFrame,
  type EnrolReply,
  type EnrolRequest,
  type ParticipantService,
  type PendingUpdate,
  type RunInfo,
  type SignedUpdateHeader,
  type UploadReply,
} from '../shared/service.js';
import { type Identity, sha256Hex, signedBytes, verifySignature } from '../shared/signing/identity.js';
import { signReceipts } from '../shared/signing/receipts.js';
import { MAX_PENDING_UPDATES } from '../shared/wire/limits.js';
import type { Logger } from './log.js';
import type { Registry } from './registry.js';
import { reportOf } from './report/run-report.js';
import { createRun, openRun, runIdFor, storedRuns } from './run/directory.js';
import type { Run } from './run/run.js';
import { UnmaskPool } from './unmask-pool.js';
import { Uploads } from './updates/upload-buffers.js';

/** A peer that has not proved who it is by then is sent away. */
const HANDSHAKE_MS = 10_000;

export interface CoordinatorOptions {
  readonly dataDir: string;
  readonly identity: Identity;
  readonly registry: Registry;
  readonly clock: Clock;
  /** For nonces, sessions, tokens and run ids. */
  readonly rng: Rng;
  readonly log: Logger;
  readonly inFlightBytes?: number;
  /** What a join token says about where to go; set when the listener is up. */
  readonly address?: () => string;
  /** A run has ended just now. */
  onRunEnded?(run: Run): void;
  /** The disk failed or a bug struck; the process should end. */
  fatal(error: FlError): void;
}

interface Connection {
  readonly client: string;
  readonly session: string;
  readonly end: ControlEnd<CoordinatorFrame>;
}

export class Coordinator implements ParticipantService, AdminService {
  readonly #options: CoordinatorOptions;
  readonly #runs = new Map<string, Run>();
  readonly #connections = new Map<string, Connection>();
  readonly #sessions = new Map<string, string>();
  readonly #uploads: Uploads;
  readonly #unmasking = new UnmaskPool();

  private constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#uploads = new Uploads(options.inFlightBytes);
  }

  /** Opens what the data directory holds; runs that a crash interrupted go on as soon as their clients are back. */
  static async open(options: CoordinatorOptions): Promise<Coordinator> {
    const coordinator = new Coordinator(options);
    for (const directory of await storedRuns(join(options.dataDir, 'runs'))) {
      await coordinator.openRun(directory);
    }
    return coordinator;
  }

  async close(): Promise<void> {
    for (const { end } of this.#connections.values()) {
      end.send({ kind: 'goodbye', reason: 'the coordinator shuts down', retry: true });
      end.close('the coordinator shuts down');
    }
    for (const run of this.#runs.values()) await run.close();
    await this.#unmasking.close();
  }

  // ---- clients -------------------------------------------------------------------------------------------------

  async enrol(request: EnrolRequest): Promise<EnrolReply> {
    const { registry, clock, identity, log } = this.#options;
    const { client } = await registry.enrol(request, clock.nowMs());
    log.info({ client }, 'client enrolled');
    return { client, coordinatorKey: identity.publicKey };
  }

  /** A control stream: hello, challenge, proof, welcome; from then on plans and answers. */
  connect(toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame> {
    const { clock } = this.#options;
    let stage:
      | { kind: 'new' }
      | { kind: 'challenged'; hello: Hello; nonce: Uint8Array }
      | { kind: 'live'; live: Connection } = {
      kind: 'new',
    };
    const turnAway = (reason: string, retry: boolean) => {
      toClient.send({ kind: 'goodbye', reason, retry });
      toClient.close(reason);
      end();
    };
    const cancelHandshake = clock.after(HANDSHAKE_MS, () => turnAway('no proof of identity in time', true));
    const end = () => {
      cancelHandshake();
      if (stage.kind === 'live') this.#disconnected(stage.live);
      stage = { kind: 'new' };
    };
    const receive = (frame: ClientFrame) => {
      if (stage.kind === 'live') return this.#receive(stage.live, frame);
      if (stage.kind === 'new' && frame.kind === 'hello') {
        const nonce = this.#options.rng.bytes(32);
        stage = { kind: 'challenged', hello: frame, nonce };
        return toClient.send({ kind: 'challenge', nonce });
      }
      if (stage.kind !== 'challenged' || frame.kind !== 'proof') {
        return turnAway(`expected ${stage.kind === 'new' ? 'hello' : 'proof'}, got ${frame.kind}`, false);
      }
      cancelHandshake();
      const { hello, nonce } = stage;
      const refusal = this.#checkProof(hello, nonce, frame.signature);
      if (refusal !== undefined) return turnAway(refusal.reason, refusal.retry);
      const live = { client: hello.client, session: toHex(this.#options.rng.bytes(32)), end: toClient };
      stage = { kind: 'live', live }; // first: a frame that cannot be sent ends the stream at once
      this.#welcome(live, hello.pending);
    };
    return { send: receive, close: end };
  }

  #checkProof(hello: Hello, nonce: Uint8Array, signature: Uint8Array): { reason: string; retry: boolean } | undefined {
    const { client, pending } = hello;
    if (pending.length > MAX_PENDING_UPDATES) {
      return { reason: `pending: at most ${MAX_PENDING_UPDATES} updates`, retry: false };
    }
    try {
      const { publicKey } = this.#options.registry.get(client);
      if (!verifySignature(publicKey, signedBytes('session', { client, nonce }), signature)) {
        return { reason: `the proof is not by the key of client "${client}"`, retry: false };
      }
    } catch (error) {
      return { reason: FlError.from(error).message, retry: false };
    }
    if (!this.#connections.has(client)) return undefined;
    return { reason: `client "${client}" is connected already: two processes use one identity`, retry: true };
  }

  #welcome(connection: Connection, pending: readonly PendingUpdate[]): void {
    const { client, session, end } = connection;
    this.#connections.set(client, connection);
    this.#sessions.set(session, client);
    end.send({ kind: 'welcome', session: fromHex(session) });
    const strays = pending.filter((update) => !this.#runs.has(update.run));
    this.#settleStrays(client, end, strays);
    for (const run of this.#runs.values()) {
      run.updates.settle(
        client,
        pending.filter((update) => update.run === run.id),
      );
      if (this.#connections.get(client) !== connection) return;
      run.post({ kind: 'online', client });
    }
    this.#options.log.debug({ client }, 'client connected');
  }

  /** Updates of runs that this coordinator has never heard of: the client must not keep them for ever. */
  #settleStrays(client: string, end: ControlEnd<CoordinatorFrame>, strays: readonly PendingUpdate[]): void {
    const receipts = strays.map(({ run, round, attempt, sha256 }) => ({
      ...{ run, round, attempt, client, updateSha256: sha256 },
      ...({ outcome: 'dropped', reason: 'unknown', modelSha256: '' } as const),
    }));
    for (const signed of signReceipts(this.#options.identity, receipts)) end.send({ kind: 'receipt', ...signed });
  }

  #disconnected({ client, session }: Connection): void {
    if (this.#connections.get(client)?.session !== session) return;
    this.#connections.delete(client);
    this.#sessions.delete(session);
    for (const run of this.#runs.values()) run.post({ kind: 'offline', client });
    this.#options.log.debug({ client }, 'client disconnected');
  }

  /** Answers to plans. A frame for a run that is not here, or out of order, is dropped: it cannot hurt a round. */
  #receive({ client }: Connection, frame: ClientFrame): void {
    if (frame.kind === 'hello' || frame.kind === 'proof') return;
    if (frame.kind === 'small-update') return void this.#receiveSmall(client, frame);
    const run = this.#runs.get(frame.task.run);
    if (run === undefined) return;
    const { task } = frame;
    switch (frame.kind) {
      case 'progress': {
        const { stepsDone, stepsTotal } = frame;
        const atMs = this.#options.clock.nowMs();
        return run.feed.emit({ kind: 'progress', atMs, round: task.round, client, stepsDone, stepsTotal });
      }
      case 'secure':
        run.traffic.up += frame.frame.length;
        return run.receiveSecure(client, task, frame.frame);
      case 'decline':
        return run.post({ kind: 'declined', client, task, reason: frame.reason, detail: frame.detail.slice(0, 500) });
      case 'evaluation':
        return run.post({ kind: 'evaluated', client, task, metrics: frame.metrics });
    }
  }

  async *download(
    session: Uint8Array,
    request: { readonly run: string; readonly sha256: string; readonly offset: number },
  ): AsyncGenerator<Uint8Array> {
    this.#clientOf(session);
    const run = this.#run(request.run);
    if (request.sha256 !== run.model.sha256) {
      throw new FlError('not-found', `model ${request.sha256} is not the one of this round`);
    }
    const { file } = run.model;
    if (request.offset > file.length) throw invalidArgument('offset', `at most ${file.length}`, request.offset);
    for (let at = request.offset; at < file.length; at += CHUNK_BYTES) {
      const chunk = file.subarray(at, at + CHUNK_BYTES);
      run.traffic.down += chunk.length;
      yield chunk;
    }
  }

  async uploadStatus(session: Uint8Array, update: PendingUpdate): Promise<number> {
    return this.#uploads.status(this.#clientOf(session), update);
  }

  async upload(
    session: Uint8Array,
    signed: SignedUpdateHeader,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<UploadReply> {
    const client = this.#clientOf(session);
    const run = this.#runOf(client, signed);
    const { header } = signed;
    const early = await run.updates.answerHeader(client, header);
    if (early !== undefined) return early;
    const bytes = await this.#uploads.receive(client, header, offset, counted(chunks, run.traffic));
    return this.#offer(run, client, header, bytes);
  }

  /** The same for an update that came whole. Its faults are told as if it had come by a call: in the log, by receipt. */
  async #receiveSmall(client: string, { signed, data }: Extract<ClientFrame, { kind: 'small-update' }>): Promise<void> {
    try {
      const run = this.#runOf(client, signed);
      run.traffic.up += data.length;
      if ((await run.updates.answerHeader(client, signed.header)) !== undefined) return;
      await this.#offer(run, client, signed.header, data);
    } catch (error) {
      this.#options.log.warn({ client, reason: FlError.from(error).message }, 'an update was not taken');
    }
  }

  #runOf(client: string, { header, signature }: SignedUpdateHeader): Run {
    const { publicKey } = this.#options.registry.get(client);
    if (!verifySignature(publicKey, signedBytes('update', header), signature)) {
      throw new FlError('permission-denied', `update header: the signature is not by client "${client}"`);
    }
    return this.#run(header.run);
  }

  async #offer(run: Run, client: string, header: UpdateHeader, bytes: Uint8Array): Promise<UploadReply> {
    const got = sha256Hex(bytes);
    if (got !== header.sha256) throw new FlError('corrupt', `update: expected sha256 ${header.sha256}, got ${got}`);
    return run.updates.offer(client, header, bytes);
  }

  // ---- operator ------------------------------------------------------------------------------------------------

  async createToken(request: { name: string; uses: number; expiresMs: number }): Promise<string> {
    const { registry, rng, clock, identity, address } = this.#options;
    const secret = Buffer.from(rng.bytes(32)).toString('base64url');
    await registry.createToken(request, { secret, nowMs: clock.nowMs() });
    return encodeJoinToken({ address: address?.() ?? '', fingerprint: sha256Hex(identity.publicKey), secret });
  }

  async listClients() {
    const enrolled = this.#options.registry.list();
    return enrolled.map(({ client: name, enrolledAtMs, publicKey }) => ({
      name,
      enrolledAtMs,
      publicKey,
      online: this.#connections.has(name),
    }));
  }

  async startRun(spec: RunSpec, model: Uint8Array): Promise<string> {
    const { dataDir, clock, rng } = this.#options;
    const id = runIdFor(spec, clock.nowMs(), rng);
    await this.createRun(spec, model, { id, directory: join(dataDir, 'runs', id) });
    return id;
  }

  /** A run in a directory of the caller's choice; a simulation's is where its user asked for it. */
  async createRun(
    spec: RunSpec,
    model: Uint8Array,
    { id, directory }: { id: string; directory: string },
  ): Promise<Run> {
    const run = await createRun(directory, id, spec, model, this.#surroundings());
    this.#adopt(run);
    run.post({ kind: 'present', clients: [...this.#connections.keys()] });
    this.#options.log.info({ run: id, workload: spec.work.workload }, 'run started');
    return run;
  }

  /** A run that an earlier process left in `directory`. */
  async openRun(directory: string): Promise<Run> {
    const run = await openRun(directory, this.#surroundings());
    this.#adopt(run);
    for (const client of this.#connections.keys()) run.post({ kind: 'online', client });
    return run;
  }

  #adopt(run: Run): void {
    this.#runs.set(run.id, run);
    let past = true; // an end that is replayed was told to an earlier process
    run.feed.subscribe((event) => past || event.kind !== 'ended' || this.#options.onRunEnded?.(run));
    past = false;
  }

  async stopRun(id: string, reason: string): Promise<void> {
    const run = this.#run(id);
    run.post({ kind: 'stop', status: 'stopped', reason });
    await run.idle();
  }

  async resumeRun(id: string): Promise<void> {
    const run = this.#run(id);
    if (run.state.status === 'completed') throw new FlError('failed-precondition', `run ${id} is completed`);
    run.post({ kind: 'resume' });
    await run.idle();
  }

  async listRuns(): Promise<readonly RunInfo[]> {
    return [...this.#runs.values()].map((run) => run.info()).sort((a, b) => a.createdAtMs - b.createdAtMs);
  }

  async getRun(id: string) {
    const run = this.#run(id);
    return { info: run.info(), report: JSON.stringify(reportOf(run), null, 2) };
  }

  async *watchRun(id: string, signal?: AbortSignal): AsyncGenerator<string> {
    for await (const event of this.#run(id).feed.watch(signal)) yield JSON.stringify(event);
  }

  // ---- inside --------------------------------------------------------------------------------------------------

  #surroundings() {
    const { clock, identity, fatal, rng, registry } = this.#options;
    const keysOf = (clients: readonly string[]) =>
      Object.fromEntries(clients.map((client) => [client, toHex(registry.get(client).publicKey)]));
    const send = (client: string, frame: CoordinatorFrame) => this.#connections.get(client)?.end.send(frame);
    return { clock, identity, fatal, send, rng, keysOf, unmasking: this.#unmasking };
  }

  #run(id: string): Run {
    const run = this.#runs.get(id);
    if (run === undefined) throw new FlError('not-found', `run "${id}" is not known here`);
    return run;
  }

  #clientOf(session: Uint8Array): string {
    const client = this.#sessions.get(toHex(session));
    if (client === undefined) throw new FlError('permission-denied', 'session: not known; open a control stream first');
    return client;
  }
}

type Hello = Extract<ClientFrame, { kind: 'hello' }>;

async function* counted(chunks: AsyncIterable<Uint8Array>, traffic: { up: number }): AsyncGenerator<Uint8Array> {
  for await (const chunk of chunks) {
    traffic.up += chunk.length;
    yield chunk;
  }
}
