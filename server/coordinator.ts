/**
 * The coordinator: who is enrolled, who is here, which runs there are. It carries frames between clients and runs and
 * knows nothing of models, networks or rounds; `serveGrpc` puts it on a network, a simulation calls it directly.
 */
import { basename, join } from 'node:path';
import type { Clock } from '../shared/clock.js';
import { FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import type { Rng } from '../shared/rng.js';
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
  Issued,
  ParticipantService,
  Peer,
  PendingUpdate,
  RenewRequest,
  SignedUpdateHeader,
  UploadReply,
} from '../shared/service.js';
import { isAnswerOf } from '../shared/signing/answers.js';
import type { Identity } from '../shared/signing/identity.js';
import { IN_PROCESS, isRenewal, signIdentification } from '../shared/signing/login.js';
import { signReceipts } from '../shared/signing/receipts.js';
import type { Shown } from '../shared/signing/shown.js';
import { adminOf } from './admin.js';
import type { Logger } from './log.js';
import { type Connection, login, wrongAddress } from './login.js';
import { Presence } from './presence.js';
import type { Registry } from './registry.js';
import { zeroedWarning } from './report/zeroed.js';
import { dropReceipt } from './round/fate.js';
import { type DamagedRun, damagedRun, isOfMachine } from './run/damaged.js';
import { createRun, openRun } from './run/directory.js';
import { piecesOf } from './run/model.js';
import { blameOf, noteTaker } from './run/notes.js';
import type { Run } from './run/run.js';
import { storedRuns } from './run/stored.js';
import { newsOf } from './shown.js';
import { UnmaskPool } from './unmask-pool.js';
import { UpdateReceiver } from './updates/receive.js';

/** Who makes the certificates of clients. */
export interface Issuer {
  /** What a join token pins it by: SHA-256 of its certificate, hex. */
  readonly authorityFingerprint: string;
  /** @param publicKey Ed25519, 32 bytes, by which `client` is enrolled */
  issueFor(client: string, publicKey: Uint8Array): Promise<Issued>;
}

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
  /** Where clients reach it; the first is what a join token says. Absent: in this process, without a network. */
  readonly addresses?: () => readonly string[];
  /** Makes certificates for clients that join; absent: connections are in plaintext. */
  readonly issuer?: Issuer;
  /** A run has ended just now. */
  onRunEnded?(run: Run): void;
  /** The disk failed or a bug struck; the process should end. */
  fatal(error: FlError): void;
}

type Proof = Extract<ClientFrame, { kind: 'proof' }>;

const AHEAD = 'a client is ahead of these data: they were restored from an older backup';

/** One process that runs rounds: everything that clients and simulations can ask of it. */
export class Coordinator implements ParticipantService {
  /** The operator's calls. */
  readonly admin: AdminService;
  readonly #options: CoordinatorOptions;
  readonly #runs = new Map<string, Run>();
  /** What was found below runs/ and could not be opened. */
  readonly #damaged = new Map<string, DamagedRun>();
  /** By client. */
  readonly #connections = new Map<string, Connection>();
  /** By session, in hex. */
  readonly #sessions = new Map<string, Connection>();
  readonly #presence = new Presence();
  readonly #receiver: UpdateReceiver;
  readonly #unmasking = new UnmaskPool();

  private constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { inFlightBytes, registry, clock } = options;
    const publicKeyOf = (client: string) => registry.get(client).publicKey;
    const runOf = (id: string) => this.#run(id);
    this.#receiver = new UpdateReceiver({ inFlightBytes, clock, publicKeyOf, runOf });
    this.admin = adminOf({
      ...options,
      addresses: () => this.#addresses(),
      runs: () => [...this.#runs.values()],
      damaged: () => [...this.#damaged.values()],
      runOf,
      isHere: (client) => this.#connections.has(client),
      seen: (client) => this.#presence.of(client),
      createRun: (spec, model, where) => this.createRun(spec, model, where),
    });
  }

  /**
   * Opens what the data directory holds; runs that a crash interrupted go on as soon as their clients are back. A run that
   * is damaged is set aside and named; the others go on. @throws FlError: the disk as a whole is full, read-only ...
   */
  static async open(options: CoordinatorOptions): Promise<Coordinator> {
    const coordinator = new Coordinator(options);
    for (const directory of await storedRuns(join(options.dataDir, 'runs'), options.log)) {
      await coordinator.openRun(directory).catch((thrown) => coordinator.#setAside(directory, thrown));
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
    const { registry, clock, identity, log, issuer } = this.#options;
    const { client, publicKey } = await registry.enrol(request, clock.nowMs());
    log.info({ client }, 'client enrolled');
    const issued = await issuer?.issueFor(client, publicKey);
    return { client, coordinatorKey: identity.publicKey, ...(issued && { issued }) };
  }

  /** For the key that is enrolled and no other, so that who asks in a client's name has nothing of it. */
  async renew({ client, signature }: RenewRequest): Promise<Issued> {
    const { registry, identity, issuer, log } = this.#options;
    if (issuer === undefined) throw new FlError('failed-precondition', 'renew: connections are in plaintext here');
    const { publicKey } = registry.get(client);
    if (!isRenewal(publicKey, { client, coordinatorKey: identity.publicKey }, signature)) {
      throw new FlError('permission-denied', `renew: the signature is not by the key of client "${client}"`);
    }
    log.info({ client }, 'certificate renewed');
    return issuer.issueFor(client, publicKey);
  }

  /** This service for one peer: it logs in as itself only, and its sessions are good on its own connections only. */
  forPeer(peer: Peer): ParticipantService {
    return {
      identify: (request) => this.identify(request),
      enrol: (request) => this.enrol(request),
      renew: (request) => this.renew(request),
      connect: (toClient) => this.connect(toClient, peer),
      download: (session, request) => this.download(session, request, peer),
      uploadStatus: (session, update) => this.uploadStatus(session, update, peer),
      upload: (session, signed, offset, chunks) => this.upload(session, signed, offset, chunks, peer),
    };
  }

  /** A control stream: a login, and from then on plans and answers. */
  connect(toClient: ControlEnd<CoordinatorFrame>, peer?: Peer): ControlEnd<ClientFrame> {
    return login(toClient, {
      ...this.#options,
      peer,
      addresses: () => this.#addresses(),
      isHere: (client) => this.#connections.has(client),
      entered: (connection, said) => this.#entered(connection, said),
      received: ({ client }, frame) => this.#received(client, frame),
      left: (connection) => this.#left(connection),
    });
  }

  #entered(connection: Connection, { pending, shown }: Pick<Proof, 'pending' | 'shown'>): void {
    const { client, session, end, policy } = connection;
    this.#connections.set(client, connection);
    this.#presence.moved(client, this.#options.clock.nowMs());
    this.#sessions.set(toHex(session), connection);
    end.send({ kind: 'welcome', session });
    this.#answerUnknownRuns(connection, pending);
    if (shown !== undefined) this.#heed(client, shown);
    for (const run of this.#runs.values()) {
      const ofRun = pending.filter((update) => update.run === run.id);
      run.enter(client, ofRun, policy);
      if (this.#connections.get(client) !== connection) return;
    }
    this.#options.log.info({ client }, 'client connected');
  }

  /** Before the client may be drawn: what it shows of rounds that these data have forgotten. */
  #heed(client: string, shown: Shown): void {
    const { identity, log } = this.#options;
    const isKnown = (run: string) => this.#runs.has(run) || this.#damaged.has(run);
    for (const { run, ...said } of newsOf(shown, identity.publicKey, (id) => this.#runs.get(id)?.state, isKnown)) {
      const { round } = said;
      if (this.#runs.has(run)) log.warn({ run, client, ...said }, AHEAD);
      else log.info({ run, client, round }, 'a client follows a run that is not here: deleted, or newer than a backup');
      this.#runs.get(run)?.post({ kind: 'shown', client, ...said });
    }
  }

  /** Updates of runs that this coordinator has never heard of: the client must not keep them for ever. */
  #answerUnknownRuns({ client, end }: Connection, pending: readonly PendingUpdate[]): void {
    const unknownRuns = pending.filter(({ run }) => !this.#runs.has(run) && !this.#damaged.has(run)); // that may be mended
    const receipts = unknownRuns.map(({ run, round, attempt, sha256: updateSha256 }) =>
      dropReceipt(run, { client, round, attempt, updateSha256 }, 'unknown'),
    );
    for (const signed of signReceipts(this.#options.identity, receipts)) end.send({ kind: 'receipt', ...signed });
  }

  #left(connection: Connection): void {
    const { client, session } = connection;
    if (this.#connections.get(client) !== connection) return;
    this.#connections.delete(client);
    this.#sessions.delete(toHex(session));
    this.#presence.moved(client, this.#options.clock.nowMs());
    for (const run of this.#runs.values()) run.post({ kind: 'offline', client });
    this.#options.log.info({ client }, 'client disconnected');
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
        return this.#declined(run, client, frame);
    }
  }

  #declined(run: Run, client: string, { task, reason, detail }: Extract<ClientFrame, { kind: 'decline' }>): void {
    const policy = this.#connections.get(client)?.policy;
    run.post({ kind: 'declined', client, task, reason, detail: detail.slice(0, 500), policy });
  }

  async *download(
    session: Uint8Array,
    request: { readonly run: string; readonly sha256: string; readonly offset: number },
    peer?: Peer,
  ): AsyncGenerator<Uint8Array> {
    this.#clientOf(session, peer);
    const run = this.#run(request.run);
    for (const piece of piecesOf(run.model, request)) {
      run.traffic.down += piece.length;
      yield piece;
    }
  }

  async uploadStatus(session: Uint8Array, update: PendingUpdate, peer?: Peer): Promise<number> {
    return this.#receiver.status(this.#clientOf(session, peer), update);
  }

  async upload(
    session: Uint8Array,
    signed: SignedUpdateHeader,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
    peer?: Peer,
  ): Promise<UploadReply> {
    const client = this.#clientOf(session, peer);
    try {
      return await this.#receiver.receive(client, signed, offset, chunks);
    } catch (thrown) {
      const { run, round } = signed.header;
      this.#options.log.info({ client, run, round, reason: FlError.from(thrown).message }, 'an upload ended early');
      throw thrown;
    }
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

  /** A run that an earlier process left in `directory`, by default under its own name. */
  async openRun(directory: string, id = basename(directory)): Promise<Run> {
    const run = await openRun(directory, id, this.#deps());
    this.#adopt(run);
    run.post({ kind: 'present', clients: [...this.#connections.keys()] });
    return run;
  }

  #adopt(run: Run): void {
    this.#runs.set(run.id, run);
    let past = true; // an end that is replayed was told to an earlier process
    const note = noteTaker(run.id, this.#options.log);
    run.feed.subscribe((event) => {
      if (past) return;
      note(event);
      if (event.kind === 'dropped') this.#presence.blame(event.client, blameOf(run.id, event));
      if (event.kind === 'ended') this.#options.onRunEnded?.(run);
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
    const { clock, identity, fatal, rng, registry, isNoiseSeeded } = this.#options;
    const keysOf = (clients: readonly string[]) =>
      Object.fromEntries(clients.map((client) => [client, toHex(registry.get(client).publicKey)]));
    const send = (client: string, frame: CoordinatorFrame) => this.#connections.get(client)?.end.send(frame);
    const releaseUpload = (client: string, run: string) => this.#receiver.release(client, run);
    const enrolled = () => registry.names();
    const unmasking = this.#unmasking;
    return { clock, identity, isNoiseSeeded, fatal, send, releaseUpload, enrolled, rng, keysOf, unmasking };
  }

  #run(id: string): Run {
    const run = this.#runs.get(id);
    if (run !== undefined) return run;
    const damaged = this.#damaged.get(id);
    if (damaged !== undefined) throw new FlError('failed-precondition', `run ${id} is damaged: ${damaged.reason}`);
    throw new FlError('not-found', `run "${id}" is not known here`);
  }

  /** A session that was opened by one certificate is worth nothing beside another. */
  #clientOf(session: Uint8Array, peer: Peer | undefined): string {
    const connection = this.#sessions.get(toHex(session));
    if (connection === undefined) {
      throw new FlError('permission-denied', 'session: not known; open a control stream first');
    }
    if (connection.peer?.fingerprint !== peer?.fingerprint) {
      throw new FlError('permission-denied', 'session: expected the certificate that it was opened by, got another');
    }
    return connection.client;
  }
}
