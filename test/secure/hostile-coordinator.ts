/**
 * A coordinator that lies. It really runs the wire protocol over gRPC, signs plans with the key that clients have pinned,
 * and drives the honest server machine; a test changes what it signs, what it shows to whom and what it hides. It keeps
 * all that it heard and said, for `knowledge.ts` to make the most of.
 */

import { type GrpcServer, serveGrpc } from '../../server/grpc/server.js';
import { rngFromEntropy, rngFromSeed } from '../../shared/rng.js';
import type { RoundPlan, TaskId } from '../../shared/run/plan.js';
import { type SecaggSetup, secaggSetupOf } from '../../shared/run/secagg-params.js';
import type { SecureSpec } from '../../shared/run/spec.js';
import { decodeRefusal, type FrameType, parseFrame } from '../../shared/secagg/frames.js';
import {
  createEnrolment,
  createKernel,
  nodeSuite,
  type ServerContext,
  type ServerInput,
  type ServerState,
  startServer,
  stepServer,
} from '../../shared/secagg/index.js';
import type { ServerRoster } from '../../shared/secagg/server/state.js';
import type {
  ClientFrame,
  ControlEnd,
  CoordinatorFrame,
  ParticipantService,
  UploadReply,
} from '../../shared/service.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { type Identity, identityFromSeed, signedBytes } from '../../shared/signing/identity.js';
import { signChallenge } from '../../shared/signing/login.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { toyModel, toySpec } from '../support/toy.js';
import { ADMIN_TOKEN, FakeAdmin } from '../transport/fake-coordinator.js';

export const seedOf = (name: string): Uint8Array => rngFromSeed(11).split(name).bytes(32);
export const coordinator = identityFromSeed(seedOf('coordinator'));

const MODEL = { file: encode(toyModel()), sha256: sha256Of(toyModel()) };
export const SECURE: SecureSpec = {
  ...{ valueRange: 4, weightCap: 16, adversaryFraction: 0, dropFraction: 0, survivorsMin: 2, phaseDeadlineMs: 60_000 },
  trainMetrics: [{ name: 'loss', size: 1, max: 16 }],
  testMetrics: [{ name: 'loss', size: 1, max: 100 }],
};

/** A frame of secure aggregation as it crossed the wire; `client` sent it or was shown it. */
export interface Crossed {
  readonly client: string;
  readonly task: TaskId;
  readonly bytes: Uint8Array;
  readonly type: FrameType;
  readonly aggregation: string;
  readonly body: Uint8Array;
}

/** One aggregation as the honest machine carries it out. */
export interface Aggregation {
  readonly id: string;
  readonly plan: RoundPlan;
  readonly setup: SecaggSetup;
  readonly context: ServerContext;
  state: ServerState;
  /** As it was frozen; kept when the machine has ended. */
  roster: ServerRoster | undefined;
}

export interface Target {
  readonly to: string;
  readonly aggregation: Aggregation;
  /** Roster indices, once there is a roster: of the one who is lied to, and of the others. */
  readonly own: number;
  readonly others: readonly number[];
}

/** What is shown in place of an honest frame; the same to let it pass. */
export type Deceive = (type: FrameType, frame: Uint8Array, target: Target) => readonly Uint8Array[];

export class HostileCoordinator implements ParticipantService {
  readonly heard: Crossed[] = [];
  /** All that it heard, in one order. */
  readonly said: { readonly client: string; readonly frame: ClientFrame }[] = [];
  readonly shown: Crossed[] = [];
  /** Everything that is no frame of secure aggregation: declines, uploads, evaluations. */
  readonly plain: { readonly client: string; readonly frame: ClientFrame }[] = [];
  readonly aggregations = new Map<string, Aggregation>();
  deceive: Deceive = (_, frame) => [frame];
  /** Frames that the coordinator keeps from the honest machine, to play on by itself. */
  withhold: (frame: Crossed) => boolean = () => false;
  readonly #ends = new Map<string, ControlEnd<CoordinatorFrame>>();
  readonly #waiting: { condition(): boolean; go(): void }[] = [];
  #server: GrpcServer | undefined;

  static async open(): Promise<HostileCoordinator> {
    const hostile = new HostileCoordinator();
    const admin = new FakeAdmin();
    // one session is all clients' here
    const limits = { connectionsPerName: 1_000 };
    const at = { adminToken: ADMIN_TOKEN, listen: '127.0.0.1:0' };
    hostile.#server = await serveGrpc({ participant: hostile, admin, ...at, limits });
    return hostile;
  }

  get address(): string {
    return this.#server!.address;
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }

  isHere(client: string): boolean {
    return this.#ends.has(client);
  }

  /** Resolves when something has happened that makes the condition true; Mocha's timeout is the limit. */
  async when(condition: () => boolean): Promise<void> {
    if (!condition()) await new Promise<void>((go) => this.#waiting.push({ condition, go }));
  }

  /** To be called when anything has happened that a test may wait for. */
  stir(): void {
    for (const waiter of this.#waiting.splice(0)) {
      if (waiter.condition()) waiter.go();
      else this.#waiting.push(waiter);
    }
  }

  // ---- what it asks for ------------------------------------------------------------------------------------------

  planFor(clients: readonly string[], overrides: Partial<RoundPlan> = {}, secure: Partial<SecureSpec> = {}): RoundPlan {
    const enrolled = clients.map((name) => [name, keyOf(name)] as const);
    return {
      ...{ run: 'r', kind: 'train', round: 1, attempt: 1, deadlineMs: 60_000, cohort: clients.length },
      ...{ modelSha256: MODEL.sha256, modelSizeBytes: MODEL.file.length },
      work: { ...toySpec().work, secure: { ...SECURE, ...secure } },
      secure: {
        nonce: Buffer.from(rngFromEntropy().bytes(16)).toString('hex'),
        enrolled: Object.fromEntries(enrolled),
      },
      ...overrides,
    };
  }

  /** Opens the honest machine for a plan, where there is one. */
  begin(plan: RoundPlan): Aggregation {
    const setup = secaggSetupOf(plan);
    const { params, aggregation } = setup;
    const keys = Object.entries(plan.secure!.enrolled).map(([id, key]) => [id, Buffer.from(key, 'hex')] as const);
    const enrolment = createEnrolment(nodeSuite, new Map(keys));
    const context = { suite: nodeSuite, params, aggregation, enrolment, sum: createKernel(), rng: rngFromEntropy() };
    const state = startServer(context);
    const opened = { id: hex(state.aggregationId), plan, setup, context, state, roster: undefined };
    this.aggregations.set(opened.id, opened);
    return opened;
  }

  send(client: string, frame: CoordinatorFrame): void {
    this.#ends.get(client)?.send(frame);
  }

  /** @param model the file that comes with it */
  sendPlan(
    client: string,
    plan: RoundPlan,
    { signer = coordinator, model = MODEL.file }: { signer?: Identity; model?: Uint8Array } = {},
  ): void {
    const body = new TextEncoder().encode(canonicalJson(plan));
    this.send(client, { kind: 'plan', body, signature: signer.sign(signedBytes('plan', plan)), model });
  }

  /** A frame to one client, under a task of the coordinator's choice. */
  show(client: string, bytes: Uint8Array, task: TaskId): void {
    this.shown.push(crossed(client, task, bytes));
    this.send(client, { kind: 'secure', task, frame: bytes });
  }

  /** What the machine makes of an input goes out, through the lies. */
  step(aggregation: Aggregation, input: ServerInput): void {
    const [state, outputs] = stepServer(aggregation.context, aggregation.state, input);
    aggregation.state = state;
    if ('roster' in state) aggregation.roster = state.roster;
    for (const output of outputs) {
      if (output.kind !== 'send') continue;
      for (const bytes of this.deceive(output.type, output.frame, targetOf(aggregation, output.to))) {
        this.show(output.to, bytes, taskOf(aggregation.plan));
      }
    }
  }

  isOver(aggregation: Aggregation): boolean {
    return aggregation.state.phase === 'done' || aggregation.state.phase === 'aborted';
  }

  /** Why a client left: the check that failed, or its words when it declined. */
  reasonOf(client: string): string | undefined {
    const refusal = this.heard.find((frame) => frame.client === client && frame.type === 'refusal');
    if (refusal !== undefined) return decodeRefusal(refusal.body).reason;
    const decline = this.plain.find((sent) => sent.client === client && sent.frame.kind === 'decline');
    return decline?.frame.kind === 'decline' ? decline.frame.detail : undefined;
  }

  /** The types of a client's frames, in order. */
  typesOf(client: string): FrameType[] {
    return this.heard.filter((frame) => frame.client === client).map(({ type }) => type);
  }

  // ---- what it hears ---------------------------------------------------------------------------------------------

  connect(toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame> {
    let client = '';
    return {
      send: (frame) => {
        if (frame.kind === 'hello') {
          client = frame.client;
          const { address, nonce: clientNonce } = frame;
          const nonce = new Uint8Array(32);
          const login = { client, address, clientNonce, nonce, coordinatorKey: coordinator.publicKey };
          return toClient.send({ kind: 'challenge', nonce, signature: signChallenge(coordinator, login) });
        }
        if (frame.kind === 'proof') {
          this.#ends.set(client, toClient);
          toClient.send({ kind: 'welcome', session: new Uint8Array(32) });
        } else this.#hear(client, frame);
        this.stir();
      },
      close: () => {
        if (this.#ends.get(client) === toClient) this.#ends.delete(client);
        this.stir();
      },
    };
  }

  #hear(client: string, frame: ClientFrame): void {
    this.said.push({ client, frame });
    if (frame.kind !== 'secure') {
      this.plain.push({ client, frame });
      if (frame.kind === 'decline') this.#left(client);
      return;
    }
    const seen = crossed(client, frame.task, frame.frame);
    this.heard.push(seen);
    const aggregation = this.aggregations.get(seen.aggregation);
    if (aggregation === undefined) return this.#left(client); // it was asked for something else than the others
    if (this.withhold(seen)) return;
    this.step(aggregation, { kind: 'frame', from: client, bytes: seen.bytes });
  }

  #left(client: string): void {
    for (const aggregation of this.aggregations.values()) this.step(aggregation, { kind: 'left', id: client });
  }

  identify(): Promise<never> {
    return Promise.reject(new Error('not here'));
  }

  enrol(): Promise<never> {
    return Promise.reject(new Error('not here'));
  }

  async *download(): AsyncGenerator<Uint8Array> {}

  async uploadStatus(): Promise<number> {
    return 0;
  }

  async upload(): Promise<UploadReply> {
    return { outcome: 'rejected', detail: 'not here' };
  }
}

export const keyOf = (name: string): string => hex(identityFromSeed(seedOf(name)).publicKey);
export const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');
export const taskOf = ({ run, kind, round, attempt }: TaskId): TaskId => ({ run, kind, round, attempt });

function targetOf(aggregation: Aggregation, to: string): Target {
  const members = aggregation.roster?.members ?? [];
  const own = members.findIndex(({ id }) => id === to);
  return { to, aggregation, own, others: members.flatMap((_, index) => (index === own ? [] : [index])) };
}

function crossed(client: string, task: TaskId, bytes: Uint8Array): Crossed {
  const copy = Uint8Array.from(bytes);
  try {
    const { type, aggregationId, body } = parseFrame(copy);
    return { client, task, bytes: copy, type, aggregation: hex(aggregationId), body };
  } catch {
    return { client, task, bytes: copy, type: 'refusal', aggregation: '', body: new Uint8Array(0) }; // one of our own lies
  }
}
