/**
 * The coordinator: who is enrolled, who is here, which runs there are. It carries frames between clients and runs and
 * knows nothing of models, networks or rounds; `serveGrpc` puts it on a network, a simulation calls it directly.
 */
import { basename, join } from 'node:path';
import pLimit from 'p-limit';
import type { Clock } from '../shared/clock.js';
import type { Files } from '../shared/disk/files.js';
import { FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import type { Rng } from '../shared/rng.js';
import type { Receipt } from '../shared/run/plan.js';
import type { RunSpec } from '../shared/run/spec.js';
import type {
  AdminService,
  ClientFrame,
  ControlEnd,
  CoordinatorFrame,
  EnrolReply,
  EnrolRequest,
  IdentifyReply,
  IdentifyRequest,
  ParticipantService,
  PendingUpdate,
  RunInfo,
  SignedUpdateHeader,
  UploadReply,
} from '../shared/service.js';
import { isAnswerOf } from '../shared/signing/answers.js';
import type { Identity } from '../shared/signing/identity.js';
import { IN_PROCESS, signIdentification } from '../shared/signing/login.js';
import { signReceipts } from '../shared/signing/receipts.js';
import { adminOf } from './admin.js';
import type { Logger } from './log.js';
import { type Connection, login, wrongAddress } from './login.js';
import type { Registry } from './registry.js';
import { zeroedWarning } from './report/zeroed.js';
import { dropReceipt } from './round/fate.js';
import { infoOf } from './run/activity.js';
import { type DamagedRun, damagedRun, infoOfDamaged, isOfMachine } from './run/damaged.js';
import { createRun, openRun } from './run/directory.js';
import { lateUpdates, readFinished, writeFinished } from './run/finished.js';
import { piecesOf } from './run/model.js';
import type { Run } from './run/run.js';
import { storedRuns } from './run/stored.js';
import { UnmaskPool } from './unmask-pool.js';
import { UpdateReceiver } from './updates/receive.js';

/** What a coordinator stands on, and whom it tells. */
export interface CoordinatorOptions {
  readonly dataDir: string;
  readonly identity: Identity;
  readonly registry: Registry;
  readonly clock: Clock;
  /** For nonces, sessions, tokens and run ids. */
  readonly rng: Rng;
  /** Noise of central privacy follows from `identity`: in a simulation, whose models follow from its seed. */
  readonly isNoiseSeeded?: boolean;
  readonly log: Logger;
  readonly inFlightBytes?: number;
  /** For tests: by which runs are written, and beyond how many bytes a journal is compacted. */
  readonly files?: Files;
  readonly journalBytes?: number;
  /** Where clients reach it; the first is what a join token says. Absent: in this process, without a network. */
  readonly addresses?: () => readonly string[];
  /** A run has ended just now. */
  onRunEnded?(run: Run): void;
  /** The disk failed or a bug struck; the process should end. */
  fatal(error: FlError): void;
}

/** Descriptors that a start takes for runs that have ended, at a time. */
const OPEN_FILES = 16;

/** One process that runs rounds: everything that clients and simulations can ask of it. */
export class Coordinator implements ParticipantService {
  /** The operator's calls. */
  readonly admin: AdminService;
  readonly #options: CoordinatorOptions;
  readonly #runs = new Map<string, Run>();
  /** Those that have ended: a row each, the rest is on the disk. */
  readonly #finished = new Map<string, RunInfo>();
  /** By run: the end of what opens or closes it, one after the other. */
  readonly #turns = new Map<string, Promise<unknown>>();
  /** What was found below runs/ and could not be opened. */
  readonly #damaged = new Map<string, DamagedRun>();
  /** By client. */
  readonly #connections = new Map<string, Connection>();
  /** By session, in hex. */
  readonly #sessions = new Map<string, string>();
  readonly #receiver: UpdateReceiver;
  readonly #unmasking = new UnmaskPool();

  private constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { inFlightBytes, registry } = options;
    const publicKeyOf = (client: string) => registry.get(client).publicKey;
    this.#receiver = new UpdateReceiver({ inFlightBytes, publicKeyOf, runOf: (id) => this.#destination(id) });
    this.admin = adminOf({
      ...options,
      address: () => this.#addresses()[0],
      rows: () => this.#rows(),
      atWork: (id) => this.#runs.get(id),
      missing: (id) => this.#missing(id),
      resume: (id) => this.#inTurn(id, () => this.#resume(id)),
      isHere: (client) => this.#connections.has(client),
      createRun: (spec, model, where) => this.createRun(spec, model, where),
    });
  }

  /**
   * Opens what the data directory holds; runs that a crash interrupted go on as soon as their clients are back. Of one that
   * has ended a row is read. A run that is damaged is set aside and named; the others go on.
   * @throws FlError: the disk as a whole is full, read-only ...
   */
  static async open(options: CoordinatorOptions): Promise<Coordinator> {
    const coordinator = new Coordinator(options);
    const directories = await storedRuns(join(options.dataDir, 'runs'), options.log);
    const limit = pLimit(OPEN_FILES);
    const rows = await Promise.all(directories.map((path) => limit(() => readFinished(path, basename(path)))));
    for (const [i, directory] of directories.entries()) {
      const row = rows[i];
      if (row !== undefined) coordinator.#finished.set(row.run, row);
      else await coordinator.openRun(directory).catch((thrown) => coordinator.#setAside(directory, thrown));
    }
    return coordinator;
  }

  #setAside(directory: string, thrown: unknown): void {
    if (isOfMachine(thrown)) throw thrown;
    const damaged = damagedRun(directory, thrown);
    this.#damaged.set(damaged.run, damaged);
    this.#options.log.warn({ ...damaged }, 'a run is damaged: it is set aside, the others go on');
  }

  async close(): Promise<void> {
    for (const { end } of this.#connections.values()) {
      end.send({ kind: 'goodbye', reason: 'the coordinator shuts down', retry: true });
      end.close('the coordinator shuts down');
    }
    await Promise.all(this.#turns.values());
    for (const run of this.#runs.values()) await run.close();
    await this.#unmasking.close();
  }

  // ---- clients -------------------------------------------------------------------------------------------------

  async identify({ address, nonce: clientNonce }: IdentifyRequest): Promise<IdentifyReply> {
    const reason = wrongAddress(address, this.#addresses());
    if (reason !== undefined) throw new FlError('permission-denied', reason);
    const { identity } = this.#options;
    const { publicKey: coordinatorKey } = identity;
    return { coordinatorKey, signature: signIdentification(identity, { address, coordinatorKey, clientNonce }) };
  }

  async enrol(request: EnrolRequest): Promise<EnrolReply> {
    const { registry, clock, identity, log } = this.#options;
    const { client } = await registry.enrol(request, clock.nowMs());
    log.info({ client }, 'client enrolled');
    return { client, coordinatorKey: identity.publicKey };
  }

  /** A control stream: a login, and from then on plans and answers. */
  connect(toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame> {
    return login(toClient, {
      ...this.#options,
      addresses: () => this.#addresses(),
      isHere: (client) => this.#connections.has(client),
      entered: (connection, pending) => this.#entered(connection, pending),
      received: ({ client }, frame) => this.#received(client, frame),
      left: (connection) => this.#left(connection),
    });
  }

  #entered(connection: Connection, pending: readonly PendingUpdate[]): void {
    const { client, session, end } = connection;
    this.#connections.set(client, connection);
    this.#sessions.set(toHex(session), client);
    end.send({ kind: 'welcome', session });
    this.#answerOtherRuns(connection, pending);
    for (const run of this.#runs.values()) {
      const ofRun = pending.filter((update) => update.run === run.id);
      run.updates.answerPending(client, ofRun);
      if (this.#connections.get(client) !== connection) return;
      run.post({ kind: 'online', client });
    }
    this.#options.log.debug({ client }, 'client connected');
  }

  /** Updates of runs that have ended, or that this coordinator has never heard of: the client must not keep them for ever. */
  #answerOtherRuns({ client }: Connection, pending: readonly PendingUpdate[]): void {
    for (const info of this.#finished.values()) {
      const ofRun = pending.filter(({ run }) => run === info.run);
      if (ofRun.length === 0) continue;
      const { answerPending } = lateUpdates(info, (receipt) => this.#sendReceipts([receipt]));
      answerPending(client, ofRun).catch(() => undefined); // not to be read now: it asks when it comes back
    }
    const isKnown = ({ run }: PendingUpdate) =>
      this.#runs.has(run) || this.#finished.has(run) || this.#damaged.has(run); // that may be mended
    const receipts = pending.flatMap((update) => {
      const { run, round, attempt, sha256: updateSha256 } = update;
      return isKnown(update) ? [] : dropReceipt(run, { client, round, attempt, updateSha256 }, 'unknown');
    });
    this.#sendReceipts(receipts);
  }

  #sendReceipts(receipts: readonly Receipt[]): void {
    for (const signed of signReceipts(this.#options.identity, receipts)) {
      this.#connections.get(signed.receipt.client)?.end.send({ kind: 'receipt', ...signed });
    }
  }

  #left(connection: Connection): void {
    const { client, session } = connection;
    if (this.#connections.get(client) !== connection) return;
    this.#connections.delete(client);
    this.#sessions.delete(toHex(session));
    for (const run of this.#runs.values()) run.post({ kind: 'offline', client });
    this.#options.log.debug({ client }, 'client disconnected');
  }

  /** Answers to plans. A frame for a run that is not here, or out of order, is dropped: it cannot hurt a round. */
  #received(client: string, frame: ClientFrame): void {
    const { clock, log, registry } = this.#options;
    if (frame.kind === 'hello' || frame.kind === 'proof') return;
    if (frame.kind === 'small-update') {
      // its faults are told as if it had come by a call: in the log, by receipt
      const warn = (error: unknown) =>
        log.warn({ client, reason: FlError.from(error).message }, 'an update was not taken');
      return void this.#receiver.receiveWhole(client, frame.signed, frame.data).catch(warn);
    }
    const { task } = frame;
    const run = this.#runs.get(task.run);
    if (run === undefined) return;
    switch (frame.kind) {
      case 'progress': {
        const { stepsDone, stepsTotal } = frame;
        return run.feed.emit({
          kind: 'progress',
          atMs: clock.nowMs(),
          round: task.round,
          client,
          stepsDone,
          stepsTotal,
        });
      }
      case 'secure':
        return run.receiveSecure(client, task, frame.frame);
      case 'decline':
      case 'evaluation':
        if (!isAnswerOf(registry.get(client).publicKey, client, frame))
          return log.warn({ client, ...task }, `${frame.kind}: not taken, its signature is not by the client`);
        if (frame.kind === 'evaluation') return run.post({ kind: 'evaluated', client, task, metrics: frame.metrics });
        return run.post({ kind: 'declined', client, task, reason: frame.reason, detail: frame.detail.slice(0, 500) });
    }
  }

  async *download(
    session: Uint8Array,
    request: { readonly run: string; readonly sha256: string; readonly offset: number },
  ): AsyncGenerator<Uint8Array> {
    this.#clientOf(session);
    const run = this.#run(request.run);
    for (const piece of piecesOf(run.model, request)) {
      run.traffic.down += piece.length;
      yield piece;
    }
  }

  async uploadStatus(session: Uint8Array, update: PendingUpdate): Promise<number> {
    return this.#receiver.status(this.#clientOf(session), update);
  }

  async upload(
    session: Uint8Array,
    signed: SignedUpdateHeader,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
  ): Promise<UploadReply> {
    return this.#receiver.receive(this.#clientOf(session), signed, offset, chunks);
  }

  // ---- runs ----------------------------------------------------------------------------------------------------

  /** A run in a directory of the caller's choice; a simulation's is where its user asked for it. */
  async createRun(
    spec: RunSpec,
    model: Uint8Array,
    { id, directory }: { id: string; directory: string },
  ): Promise<Run> {
    const run = await createRun(directory, id, spec, model, this.#deps());
    this.#adopt(run);
    run.post({ kind: 'present', clients: [...this.#connections.keys()] });
    this.#options.log.info({ run: id, workload: spec.work.workload }, 'run started');
    return run;
  }

  /** A run that an earlier process left in `directory`. */
  async openRun(directory: string): Promise<Run> {
    const run = await this.#open(directory);
    if (run.state.stage.kind === 'ended') await this.#inTurn(run.id, () => this.#retire(run));
    return run;
  }

  async #open(directory: string): Promise<Run> {
    const run = await openRun(directory, basename(directory), this.#deps());
    this.#adopt(run);
    for (const client of this.#connections.keys()) run.post({ kind: 'online', client });
    return run;
  }

  /** A run that has ended is not held any more: a row stays, and its files. */
  async #retire(run: Run): Promise<void> {
    await run.idle();
    if (run.state.stage.kind !== 'ended' || this.#runs.get(run.id) !== run) return;
    const info = infoOf(run);
    this.#runs.delete(run.id);
    this.#finished.set(run.id, info);
    await run.close();
    await writeFinished(info, run.state.modelSha256).catch((error) =>
      this.#options.log.warn(
        { run: run.id, reason: FlError.from(error).message },
        'the next start has to read all of it',
      ),
    );
  }

  /** One that has ended, and not well, goes on. */
  async #resume(id: string): Promise<void> {
    const info = this.#finished.get(id);
    if (info?.status === 'completed') throw new FlError('failed-precondition', `run ${id} is completed`);
    if (info !== undefined) await this.#open(info.directory).catch((thrown) => this.#setAside(info.directory, thrown));
    const run = this.#runs.get(id);
    if (run === undefined) throw this.#missing(id);
    run.post({ kind: 'resume' });
    await run.idle();
  }

  /** What opens or closes a run, after all that was asked for before it. */
  #inTurn(id: string, act: () => Promise<void>): Promise<void> {
    const done = (this.#turns.get(id) ?? Promise.resolve()).then(act);
    const settled: Promise<void> = done
      .catch(() => undefined) // whoever asked is told
      .then(() => {
        if (this.#turns.get(id) === settled) this.#turns.delete(id);
      });
    this.#turns.set(id, settled);
    return done;
  }

  #adopt(run: Run): void {
    this.#finished.delete(run.id);
    this.#runs.set(run.id, run);
    let past = true; // an end that is replayed was told to an earlier process
    run.feed.subscribe((event) => {
      if (past) return;
      if (event.kind === 'ended') {
        this.#options.onRunEnded?.(run);
        this.#inTurn(run.id, () => this.#retire(run)).catch((error) => this.#options.fatal(FlError.from(error)));
      }
      if (event.kind !== 'round-ended') return;
      const warning = zeroedWarning([event.summary]);
      if (warning !== null) this.#options.log.warn({ run: run.id, round: event.summary.round }, warning);
    });
    past = false;
  }

  // ---- inside --------------------------------------------------------------------------------------------------

  #addresses(): readonly string[] {
    return this.#options.addresses?.() ?? [IN_PROCESS];
  }

  #deps() {
    const { clock, identity, fatal, rng, registry, isNoiseSeeded, files, journalBytes } = this.#options;
    const keysOf = (clients: readonly string[]) =>
      Object.fromEntries(clients.map((client) => [client, toHex(registry.get(client).publicKey)]));
    const send = (client: string, frame: CoordinatorFrame) => this.#connections.get(client)?.end.send(frame);
    const disk = { files, journalBytes };
    return { clock, identity, isNoiseSeeded, fatal, send, rng, keysOf, unmasking: this.#unmasking, ...disk };
  }

  #rows(): RunInfo[] {
    const atWork = [...this.#runs.values()].map(infoOf);
    return [...atWork, ...this.#finished.values(), ...[...this.#damaged.values()].map(infoOfDamaged)];
  }

  #run(id: string): Run {
    const run = this.#runs.get(id);
    if (run === undefined) throw this.#missing(id);
    return run;
  }

  /** Why a run is not at work. */
  #missing(id: string): FlError {
    const damaged = this.#damaged.get(id);
    if (damaged !== undefined) return new FlError('failed-precondition', `run ${id} is damaged: ${damaged.reason}`);
    return new FlError('not-found', this.#finished.has(id) ? `run ${id} has ended` : `run "${id}" is not known here`);
  }

  /** Where an update of this run goes. */
  #destination(id: string) {
    const info = this.#finished.get(id);
    return info === undefined ? this.#run(id) : lateUpdates(info, (receipt) => this.#sendReceipts([receipt]));
  }

  #clientOf(session: Uint8Array): string {
    const client = this.#sessions.get(toHex(session));
    if (client === undefined) throw new FlError('permission-denied', 'session: not known; open a control stream first');
    return client;
  }
}
