/**
 * The coordinator: it carries frames between clients and runs and knows nothing of models, networks or rounds; `serveGrpc`
 * puts it on a network, a simulation calls it directly. Read downwards it is the way of a client: identified and enrolled,
 * logged in, entered, heard, served with the model, relieved of its update, gone.
 */
import { join } from 'node:path';
import { FlError } from '../shared/errors.js';
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
  RotateKeyRequest,
  SignedUpdateHeader,
  UploadReply,
} from '../shared/service.js';
import { IN_PROCESS } from '../shared/signing/login.js';
import { adminOf } from './admin.js';
import { receiveFrame } from './client-frames.js';
import { Connections } from './connections.js';
import { enrol, identify, renew, rotateKey } from './enrolment.js';
import { lentBy } from './lent.js';
import { type Connection, login } from './login.js';
import type { CoordinatorOptions } from './options.js';
import { Presence } from './presence.js';
import { watchRetention } from './retention.js';
import { piecesOf } from './run/model.js';
import type { Run } from './run/run.js';
import { RunWatch } from './run-watch.js';
import { Runs } from './runs.js';
import { heed } from './shown.js';
import { checkRoom, watchSpace } from './space.js';
import { UnmaskPool } from './unmask-pool.js';
import { UpdateReceiver } from './updates/receive.js';
import { Upkeep } from './upkeep.js';
import { type VisibleRuns, visibleTo } from './visible-runs.js';

type Proof = Extract<ClientFrame, { kind: 'proof' }>;

/** One process that runs rounds: everything that clients and simulations can ask of it. */
export class Coordinator implements ParticipantService {
  /** The operator's calls. */
  readonly admin: AdminService;
  readonly #options: CoordinatorOptions;
  readonly #connections: Connections;
  readonly #presence = new Presence();
  readonly #receiver: UpdateReceiver;
  readonly #unmasking = new UnmaskPool();
  readonly #runs: Runs;
  readonly #watch: RunWatch;
  #upkeep!: Upkeep;
  #stopWatch = () => {};
  #retention: ReturnType<typeof watchRetention> | undefined;

  private constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { inFlightBytes, registry, clock } = options;
    this.#connections = new Connections(registry);
    this.#receiver = new UpdateReceiver({
      ...{ inFlightBytes, clock },
      publicKeyOf: (client) => registry.get(client).publicKey,
      runOf: (id, client) => this.#visibleTo(client).destination(id),
    });
    this.#watch = new RunWatch({ ...options, presence: this.#presence, over: () => void this.#retention?.look() });
    const lender = { connections: this.#connections, receiver: this.#receiver, unmasking: this.#unmasking };
    this.#runs = new Runs({
      ...options,
      lent: lentBy(options, lender),
      here: () => this.#connections.all(),
      adopted: (run) => this.#watch.follow(run),
      written: (run) => this.#watch.written(run),
    });
    this.admin = adminOf({
      ...options,
      addresses: () => this.#addresses(),
      runs: this.#runs,
      upkeep: () => this.#upkeep,
      isHere: (client) => this.#connections.get(client) !== undefined,
      seen: (client) => this.#presence.of(client),
      createRun: (spec, model, where) => this.createRun(spec, model, where),
      shutOut: (client) => this.#shutOut(client),
    });
  }

  /**
   * Opens what the data directory holds; runs that a crash interrupted go on as soon as their clients are back. Of one that
   * has ended a row is read. A run that is damaged is set aside and named; the others go on.
   * @throws FlError: the disk as a whole is full, read-only ...
   */
  static async open(options: CoordinatorOptions): Promise<Coordinator> {
    const coordinator = new Coordinator(options);
    const { space, retention } = options;
    const runs = coordinator.#runs;
    const upkeep = await Upkeep.open({ ...options, runs });
    coordinator.#upkeep = upkeep;
    await runs.openAll(join(options.dataDir, 'runs'));
    if (space !== undefined) coordinator.#stopWatch = await watchSpace({ ...options, space, runs });
    if (retention === undefined) return coordinator;
    coordinator.#retention = watchRetention({ ...options, retention, runs, upkeep });
    void coordinator.#retention.look();
    return coordinator;
  }

  /** Of its runs. */
  get state() {
    return this.#runs.state;
  }

  async close(): Promise<void> {
    this.#stopWatch();
    await this.#retention?.stop();
    for (const { end } of this.#connections.all()) {
      end.send({ kind: 'goodbye', reason: 'the coordinator shuts down', retry: true });
      end.close('the coordinator shuts down');
    }
    await this.#runs.close();
    await this.#unmasking.close();
  }

  /** A run in a directory of the caller's choice; a simulation's is where its user asked for it. */
  async createRun(
    spec: RunSpec,
    model: Uint8Array,
    { id, directory }: { id: string; directory: string },
  ): Promise<Run> {
    await checkRoom(this.#options.space, model.length);
    const run = await this.#runs.create(spec, model, { id, directory });
    this.#options.log.info({ run: id, workload: spec.work.workload }, 'run started');
    return run;
  }

  /** A run that an earlier process left in `directory`, by default under its own name. */
  openRun(directory: string, id?: string): Promise<Run> {
    return this.#runs.open(directory, id);
  }

  // ---- clients -------------------------------------------------------------------------------------------------

  /** This service for one peer: it logs in as itself only, and its sessions are good on its own connections only. */
  forPeer(peer: Peer): ParticipantService {
    return {
      identify: (request) => this.identify(request),
      enrol: (request) => this.enrol(request),
      renew: (request) => this.renew(request),
      rotateKey: (request) => this.rotateKey(request),
      connect: (toClient) => this.connect(toClient, peer),
      download: (session, request) => this.download(session, request, peer),
      uploadStatus: (session, update) => this.uploadStatus(session, update, peer),
      upload: (session, signed, offset, chunks) => this.upload(session, signed, offset, chunks, peer),
    };
  }

  identify(request: IdentifyRequest): Promise<IdentifyReply> {
    return identify(request, this.#options.identity, this.#addresses());
  }

  enrol(request: EnrolRequest): Promise<EnrolReply> {
    return enrol(request, this.#options);
  }

  renew(request: RenewRequest): Promise<Issued> {
    return renew(request, this.#options);
  }

  async rotateKey(request: RotateKeyRequest): Promise<Issued | undefined> {
    const before = this.#options.registry.get(request.client).publicKey;
    const issued = await rotateKey(request, this.#options);
    const { publicKey } = this.#options.registry.get(request.client);
    if (publicKey !== before)
      this.#sendAway(request.client, { reason: 'its key was replaced by another', retry: true });
    return issued;
  }

  /** A control stream: a login, and from then on plans and answers. */
  connect(toClient: ControlEnd<CoordinatorFrame>, peer?: Peer): ControlEnd<ClientFrame> {
    const { log, registry } = this.#options;
    const runOf = (id: string, client: string) => this.#visibleTo(client).get(id);
    const hearers = { log, registry, receiver: this.#receiver, runOf };
    return login(toClient, {
      ...this.#options,
      peer,
      addresses: () => this.#addresses(),
      isHere: (client) => this.#connections.get(client) !== undefined,
      entered: (connection, said) => this.#entered(connection, said),
      received: (connection, frame) => {
        if (this.#connections.isOpen(connection)) receiveFrame(connection, frame, hearers);
      },
      left: (connection) => this.#left(connection),
    });
  }

  #entered(connection: Connection, { pending, shown }: Pick<Proof, 'pending' | 'shown'>): void {
    const { client, session, end, policy } = connection;
    const { clock, log, notice } = this.#options;
    this.#connections.enter(connection);
    this.#presence.moved(client, clock.nowMs());
    const runs = this.#visibleTo(client);
    end.send({ kind: 'welcome', session, addresses: notice?.() });
    runs.answerOthers(pending);
    if (shown !== undefined) heed(client, shown, { ...this.#options, runs });
    if (!this.#connections.isOpen(connection)) return; // what it was sent has ended its stream
    for (const run of runs.atWork()) {
      const ofRun = pending.filter((update) => update.run === run.id);
      run.enter(client, ofRun, policy);
    }
    log.info({ client }, 'client connected');
  }

  async *download(
    session: Uint8Array,
    request: { readonly run: string; readonly sha256: string; readonly offset: number },
    peer?: Peer,
  ): AsyncGenerator<Uint8Array> {
    const { client } = this.#connections.of(session, peer);
    const run = this.#visibleTo(client).need(request.run);
    const check = this.#connections.checkOf(client);
    for (const piece of piecesOf(run.model, request)) {
      check();
      run.traffic.down += piece.length;
      yield piece;
    }
  }

  async uploadStatus(session: Uint8Array, update: PendingUpdate, peer?: Peer): Promise<number> {
    return this.#receiver.status(this.#connections.of(session, peer).client, update);
  }

  async upload(
    session: Uint8Array,
    signed: SignedUpdateHeader,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
    peer?: Peer,
  ): Promise<UploadReply> {
    const { client } = this.#connections.of(session, peer);
    const check = this.#connections.checkOf(client);
    const checked = async function* () {
      for await (const chunk of chunks) {
        check();
        yield chunk;
      }
      check(); // who has sent all but the end may wait with that
    };
    try {
      return await this.#receiver.receive(client, signed, offset, checked());
    } catch (thrown) {
      const { run, round } = signed.header;
      this.#options.log.info({ client, run, round, reason: FlError.from(thrown).message }, 'an upload ended early');
      throw thrown;
    }
  }

  #left(connection: Connection): void {
    if (!this.#connections.isOpen(connection)) return;
    const { client } = connection;
    const { clock, log } = this.#options;
    this.#connections.leave(connection);
    this.#presence.moved(client, clock.nowMs());
    for (const run of this.#visibleTo(client).atWork()) run.post({ kind: 'offline', client });
    log.info({ client }, 'client disconnected');
  }

  /** A client that may not take part any more is gone at once: from its stream and its calls, and from every round. */
  #shutOut(client: string): void {
    const { registry, log } = this.#options;
    const refusal = registry.refusalOf(client);
    if (refusal === undefined) return;
    const { reason } = refusal;
    for (const run of this.#visibleTo(client).atWork()) run.post({ kind: 'excluded', client, detail: reason });
    log.warn({ client, reason }, 'client shut out');
    this.#sendAway(client, refusal);
  }

  /** Ends its stream and its session, if it is here. */
  #sendAway(client: string, why: { readonly reason: string; readonly retry: boolean }): void {
    const connection = this.#connections.get(client);
    if (connection === undefined) return;
    connection.end.send({ kind: 'goodbye', ...why });
    connection.end.close(why.reason);
    this.#left(connection);
  }

  /** The runs, as far as this client can see. */
  #visibleTo(client: string): VisibleRuns {
    return visibleTo(this.#runs, client, (id) => this.#upkeep.whyNot(id));
  }

  #addresses(): readonly string[] {
    return this.#options.addresses?.() ?? [IN_PROCESS];
  }
}
