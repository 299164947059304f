/**
 * The coordinator: who is enrolled, who is here, which runs there are. It carries frames between clients and runs and
 * knows nothing of models, networks or rounds; `serveGrpc` puts it on a network, a simulation calls it directly.
 */
import { join } from 'node:path';
import { FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
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
  Issued,
  ParticipantService,
  Peer,
  PendingUpdate,
  RenewRequest,
  RotateKeyRequest,
  SignedUpdateHeader,
  UploadReply,
} from '../shared/service.js';
import { isAnswerOf } from '../shared/signing/answers.js';
import { allKeysOf } from '../shared/signing/identity.js';
import { IN_PROCESS } from '../shared/signing/login.js';
import { signReceipts } from '../shared/signing/receipts.js';
import type { Shown } from '../shared/signing/shown.js';
import { adminOf } from './admin.js';
import { enrol, identify, renew, rotateKey } from './enrolment.js';
import { type Connection, login } from './login.js';
import type { CoordinatorOptions } from './options.js';
import { Presence } from './presence.js';
import { roundWarnings } from './report/warnings.js';
import { watchRetention } from './retention.js';
import { dropReceipt } from './round/fate.js';
import { piecesOf } from './run/model.js';
import { blameOf, noteTaker } from './run/notes.js';
import type { Run } from './run/run.js';
import { Runs } from './runs.js';
import { newsOf } from './shown.js';
import { checkRoom, watchSpace } from './space.js';
import { UnmaskPool } from './unmask-pool.js';
import { UpdateReceiver } from './updates/receive.js';
import { Upkeep } from './upkeep.js';
import { visibleTo } from './visible-runs.js';

type Proof = Extract<ClientFrame, { kind: 'proof' }>;

const AHEAD = 'a client is ahead of these data: they were restored from an older backup';
const FOLLOWED = 'a client follows a run that is not here: deleted, or newer than a backup';

/** One process that runs rounds: everything that clients and simulations can ask of it. */
export class Coordinator implements ParticipantService {
  /** The operator's calls. */
  readonly admin: AdminService;
  readonly #options: CoordinatorOptions;
  readonly #runs: Runs;
  /** By client. */
  readonly #connections = new Map<string, Connection>();
  /** By session, in hex. */
  readonly #sessions = new Map<string, Connection>();
  readonly #presence = new Presence();
  readonly #receiver: UpdateReceiver;
  readonly #unmasking = new UnmaskPool();
  #upkeep!: Upkeep;
  #stopWatch = () => {};
  #retention: ReturnType<typeof watchRetention> | undefined;
  /** What is written after the end of a run, by run. */
  readonly #written = new Map<string, Promise<void>>();

  private constructor(options: CoordinatorOptions) {
    this.#options = options;
    const { inFlightBytes, registry, clock } = options;
    const publicKeyOf = (client: string) => registry.get(client).publicKey;
    const runOf = (id: string, client: string) => this.#visibleTo(client).destination(id);
    this.#receiver = new UpdateReceiver({ inFlightBytes, clock, publicKeyOf, runOf });
    this.#runs = new Runs({
      ...options,
      lent: () => this.#deps(),
      here: () => this.#connections.values(),
      sendReceipts: (receipts) => this.#sendReceipts(receipts),
      adopted: (run) => this.#adopted(run),
      written: async (run) => this.#written.get(run),
    });
    this.admin = adminOf({
      ...options,
      addresses: () => this.#addresses(),
      runs: this.#runs,
      upkeep: () => this.#upkeep,
      isHere: (client) => this.#connections.has(client),
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
    const { space } = options;
    const runs = coordinator.#runs;
    coordinator.#upkeep = await Upkeep.open({
      ...options,
      runs,
      written: async (run) => coordinator.#written.get(run),
    });
    await runs.openAll(join(options.dataDir, 'runs'));
    if (space !== undefined) coordinator.#stopWatch = await watchSpace({ ...options, space, runs });
    const { retention } = options;
    if (retention === undefined) return coordinator;
    coordinator.#retention = watchRetention({ ...options, retention, runs, upkeep: coordinator.#upkeep });
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
    for (const { end } of this.#connections.values()) {
      end.send({ kind: 'goodbye', reason: 'the coordinator shuts down', retry: true });
      end.close('the coordinator shuts down');
    }
    await this.#runs.close();
    await this.#unmasking.close();
  }

  // ---- clients -------------------------------------------------------------------------------------------------

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

  /** A control stream: a login, and from then on plans and answers. */
  connect(toClient: ControlEnd<CoordinatorFrame>, peer?: Peer): ControlEnd<ClientFrame> {
    return login(toClient, {
      ...this.#options,
      peer,
      addresses: () => this.#addresses(),
      isHere: (client) => this.#connections.has(client),
      entered: (connection, said) => this.#entered(connection, said),
      received: (connection, frame) => {
        if (this.#connections.get(connection.client) === connection) this.#received(connection, frame);
      },
      left: (connection) => this.#left(connection),
    });
  }

  #entered(connection: Connection, { pending, shown }: Pick<Proof, 'pending' | 'shown'>): void {
    const { client, session, end, policy } = connection;
    this.#connections.set(client, connection);
    this.#presence.moved(client, this.#options.clock.nowMs());
    this.#sessions.set(toHex(session), connection);
    end.send({ kind: 'welcome', session, addresses: this.#options.notice?.() });
    this.#answerOtherRuns(connection, pending);
    if (shown !== undefined) this.#heed(client, shown);
    for (const run of this.#visibleTo(client).atWork()) {
      const ofRun = pending.filter((update) => update.run === run.id);
      run.enter(client, ofRun, policy);
      if (this.#connections.get(client) !== connection) return;
    }
    this.#options.log.info({ client }, 'client connected');
  }

  /** Before the client may be drawn: what it shows of rounds that these data have forgotten. */
  #heed(client: string, shown: Shown): void {
    const { identity, log } = this.#options;
    const runs = this.#visibleTo(client);
    const stateOf = (run: string) => runs.get(run)?.state;
    for (const { run, ...said } of newsOf(shown, allKeysOf(identity), stateOf, (id) => runs.isKnown(id))) {
      if (runs.isKnown(run)) log.warn({ run, client, ...said }, AHEAD);
      else log.info({ run, client, round: said.round }, FOLLOWED);
      runs.get(run)?.post({ kind: 'shown', client, ...said });
    }
  }

  /** Updates of runs that have ended, or that this coordinator has never heard of: the client must not keep them for ever. */
  #answerOtherRuns({ client }: Connection, pending: readonly PendingUpdate[]): void {
    const runs = this.#visibleTo(client);
    runs.answerFinished(pending);
    const unknown = pending.filter(({ run }) => !runs.isKnown(run)); // one that is damaged may be mended, one that is archived come back
    const receipts = unknown.map(({ run, round, attempt, sha256: updateSha256 }) =>
      dropReceipt(run, { client, round, attempt, updateSha256 }, 'unknown'),
    );
    this.#sendReceipts(receipts);
  }

  /** The runs, as far as this client can see. */
  #visibleTo(client: string): ReturnType<typeof visibleTo> {
    return visibleTo(this.#runs, client, (id) => this.#upkeep.whyNot(id));
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
    this.#presence.moved(client, this.#options.clock.nowMs());
    for (const run of this.#runs.atWork()) run.post({ kind: 'offline', client });
    this.#options.log.info({ client }, 'client disconnected');
  }

  /** A client that may not take part any more is gone at once: from its stream and its calls, and from every round. */
  #shutOut(client: string): void {
    const { registry, log } = this.#options;
    const refusal = registry.refusalOf(client);
    if (refusal === undefined) return;
    const { reason } = refusal;
    for (const run of this.#runs.atWork()) run.post({ kind: 'excluded', client, detail: reason });
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

  /** Answers to plans. A frame for a run that is not here, or out of order, is dropped: it cannot hurt a round. */
  #received({ client, end }: Connection, frame: ClientFrame): void {
    const { clock, log, registry } = this.#options;
    if (frame.kind === 'hello' || frame.kind === 'proof') return;
    if (frame.kind === 'small-update') {
      // its faults are told as if it had come by a call: in the log, by receipt
      const warn = (thrown: unknown) => {
        const { code, message: reason } = FlError.from(thrown);
        log.warn({ client, reason }, 'an update was not taken');
        if (code === 'permission-denied') end.refused?.(reason);
      };
      return void this.#receiver.receiveWhole(client, frame.signed, frame.data).catch(warn);
    }
    const { task } = frame;
    const run = this.#visibleTo(client).get(task.run);
    if (run === undefined) return;
    switch (frame.kind) {
      case 'progress': {
        const { stepsDone, stepsTotal } = frame;
        const at = { atMs: clock.nowMs(), round: task.round };
        return run.feed.emit({ kind: 'progress', ...at, client, stepsDone, stepsTotal });
      }
      case 'secure':
        return run.receiveSecure(client, task, frame.frame);
      case 'decline':
      case 'evaluation':
        if (!isAnswerOf(registry.get(client).publicKey, client, frame)) {
          log.warn({ client, ...task }, `${frame.kind}: not taken, its signature is not by the client`);
          return end.refused?.(`${frame.kind}: the signature is not by client "${client}"`);
        }
        if (frame.kind === 'evaluation') return run.post({ kind: 'evaluated', client, task, metrics: frame.metrics });
        return this.#declined(run, client, frame);
    }
  }

  #declined(run: Run, client: string, { task, reason, detail }: Extract<ClientFrame, { kind: 'decline' }>): void {
    const said = { task, reason, detail: detail.slice(0, 500), policy: this.#connections.get(client)?.policy };
    run.post({ kind: 'declined', client, ...said });
  }

  async *download(
    session: Uint8Array,
    request: { readonly run: string; readonly sha256: string; readonly offset: number },
    peer?: Peer,
  ): AsyncGenerator<Uint8Array> {
    const { client } = this.#connectionOf(session, peer);
    const run = this.#visibleTo(client).need(request.run);
    const check = this.#checkOf(client);
    for (const piece of piecesOf(run.model, request)) {
      check();
      run.traffic.down += piece.length;
      yield piece;
    }
  }

  async uploadStatus(session: Uint8Array, update: PendingUpdate, peer?: Peer): Promise<number> {
    return this.#receiver.status(this.#connectionOf(session, peer).client, update);
  }

  async upload(
    session: Uint8Array,
    signed: SignedUpdateHeader,
    offset: number,
    chunks: AsyncIterable<Uint8Array>,
    peer?: Peer,
  ): Promise<UploadReply> {
    const { client } = this.#connectionOf(session, peer);
    const check = this.#checkOf(client);
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

  // ---- runs ----------------------------------------------------------------------------------------------------

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

  #adopted(run: Run): void {
    let past = true; // an end that is replayed was told to an earlier process
    const note = noteTaker(run.id, this.#options.log);
    run.feed.subscribe((event) => {
      if (past) return;
      note(event);
      this.#options.onEvent?.(run, event);
      if (event.kind === 'dropped') this.#presence.blame(event.client, blameOf(run.id, event));
      if (event.kind === 'ended') this.#ended(run);
      if (event.kind !== 'round-ended') return;
      for (const warning of roundWarnings(event.summary)) {
        this.#options.log.warn({ run: run.id, round: event.summary.round }, warning);
      }
    });
    past = false;
    if (run.state.status !== 'running') this.#ended(run);
  }

  #ended(run: Run): void {
    const writing = this.#options.onRunEnded?.(run) ?? Promise.resolve();
    this.#written.set(run.id, writing);
    void writing.finally(() => {
      if (this.#written.get(run.id) === writing) this.#written.delete(run.id);
      void this.#retention?.look();
    });
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
    const releaseUpload = (client: string, run: string) => this.#receiver.release(client, run);
    const enrolled = () => registry.names();
    const handOversOf = (clients: readonly string[], sinceMs: number) =>
      clients.flatMap((client) => registry.handOversOf(client, sinceMs).map((one) => ({ client, ...one })));
    const lent = { send, releaseUpload, enrolled, rng, keysOf, handOversOf, unmasking: this.#unmasking };
    return { clock, identity, isNoiseSeeded, fatal, ...lent, files, journalBytes };
  }

  /** @throws FlError permission-denied, in the words that its stream ended by */
  #checkStanding(client: string): void {
    const refusal = this.#options.registry.refusalOf(client);
    if (refusal !== undefined) throw new FlError('permission-denied', refusal.reason);
  }

  /** For a call that has begun: throws once the client may not take part, or its key of now is another. */
  #checkOf(client: string): () => void {
    const { registry } = this.#options;
    const { publicKey } = registry.get(client);
    return () => {
      this.#checkStanding(client);
      if (registry.get(client).publicKey === publicKey) return;
      throw new FlError('permission-denied', `client "${client}" has another key since this call began: log in again`);
    };
  }

  /** A session that was opened by one certificate is worth nothing beside another. */
  #connectionOf(session: Uint8Array, peer: Peer | undefined): Connection {
    if (peer !== undefined) this.#checkStanding(peer.name); // the certificate of a client that is revoked is worth nothing
    const connection = this.#sessions.get(toHex(session));
    if (connection === undefined) {
      throw new FlError('permission-denied', 'session: not known; open a control stream first');
    }
    if (connection.peer?.fingerprint !== peer?.fingerprint) {
      throw new FlError('permission-denied', 'session: expected the certificate that it was opened by, got another');
    }
    return connection;
  }
}
