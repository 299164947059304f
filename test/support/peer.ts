/**
 * A coordinator in memory with a clock that stands still, and clients that are played by hand: they say and send exactly
 * what a test wants, right or wrong. Their numbers are those of the toy trainer.
 */
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Coordinator } from '../../server/coordinator.js';
import { silent } from '../../server/log.js';
import type { CoordinatorOptions } from '../../server/options.js';
import { Registry } from '../../server/registry.js';
import type { FlError } from '../../shared/errors.js';
import { rngFromEntropy, rngFromSeed } from '../../shared/rng.js';
import type { Receipt, RoundPlan, UpdateHeader } from '../../shared/run/plan.js';
import type { ClientFrame, ControlEnd, CoordinatorFrame, PendingUpdate, UploadReply } from '../../shared/service.js';
import { type Answer, type SignedAnswer, signAnswer } from '../../shared/signing/answers.js';
import { identityFromSeed, signedBytes } from '../../shared/signing/identity.js';
import { IN_PROCESS, type Login, signProof } from '../../shared/signing/login.js';
import { bytesOf, sha256Of } from '../../shared/tensors/bytes.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { FakeClock } from './fake-clock.js';
import { TOY_SIZE, toyExamples } from './toy.js';

export const identityOf = (name: string) => identityFromSeed(rngFromSeed(7).split(name).bytes(32));
export const coordinatorIdentity = identityOf('coordinator');

export interface World {
  readonly coordinator: Coordinator;
  readonly clock: FakeClock;
  readonly dataDir: string;
  /** What would have ended the process. */
  readonly fatal: FlError[];
}

/** A coordinator that knows the clients c1 to c6; `dataDir` of an earlier one: its next process. */
export async function openWorld(
  dataDir?: string,
  overrides: Partial<
    Pick<CoordinatorOptions, 'inFlightBytes' | 'log' | 'files' | 'journalBytes' | 'space' | 'retention' | 'onRunEnded'>
  > = {},
): Promise<World> {
  const folder = dataDir ?? (await mkdtemp(join(tmpdir(), 'starling-coordinator-')));
  const clock = new FakeClock();
  const registry = new Registry({ append: async () => undefined }, []);
  for (let i = 1; i <= 6; i++) await registry.enrolTrusted(`c${i}`, identityOf(`c${i}`).publicKey, 0);
  const fatal: FlError[] = [];
  const coordinator = await Coordinator.open({
    dataDir: folder,
    identity: coordinatorIdentity,
    registry,
    clock,
    rng: rngFromSeed(1),
    log: silent,
    fatal: (error) => fatal.push(error),
    ...overrides,
  });
  return { coordinator, clock, dataDir: folder, fatal };
}

export class Peer {
  readonly name: string;
  readonly frames: CoordinatorFrame[] = [];
  closed: string | undefined;
  session = new Uint8Array(0);
  readonly #coordinator: Coordinator;
  #login: Login;
  readonly #end: ControlEnd<ClientFrame>;

  /** @param onFrame is called with each frame, inside the call that brought it */
  constructor({ coordinator }: World, name: string, onFrame: (frame: CoordinatorFrame, peer: Peer) => void = () => {}) {
    this.name = name;
    this.#coordinator = coordinator;
    const nonces = { clientNonce: new Uint8Array(32), nonce: new Uint8Array(32) };
    this.#login = { client: name, address: '', coordinatorKey: coordinatorIdentity.publicKey, ...nonces };
    this.#end = coordinator.connect({
      send: (frame) => {
        this.frames.push(frame);
        if (frame.kind === 'welcome') this.session = Uint8Array.from(frame.session);
        onFrame(frame, this);
      },
      close: (reason) => {
        this.closed = reason;
      },
    });
  }

  /** A client that has been let in. */
  static enter(world: World, name: string, pending: readonly PendingUpdate[] = []): Peer {
    const peer = new Peer(world, name);
    peer.hello();
    peer.prove(name, pending);
    return peer;
  }

  send(frame: ClientFrame): void {
    this.#end.send(frame);
  }

  leave(): void {
    this.#end.close('bye');
  }

  hello(address = IN_PROCESS): void {
    this.#login = { ...this.#login, address, clientNonce: rngFromEntropy().bytes(32) };
    this.send({ kind: 'hello', client: this.name, version: '0', address, nonce: this.#login.clientNonce });
  }

  /** What the client signs, and the coordinator has signed. */
  get login(): Login {
    return { ...this.#login, nonce: this.last('challenge')?.nonce ?? new Uint8Array(32) };
  }

  prove(by = this.name, pending: readonly PendingUpdate[] = []): void {
    const challenge = this.last('challenge')?.signature ?? new Uint8Array(64);
    const signature = signProof(identityOf(by), this.login, { challenge, pending });
    this.send({ kind: 'proof', signature, pending });
  }

  /** An answer to a plan, signed by this client in its own name unless a test says otherwise. */
  say(answer: Answer, { by = this.name, as = this.name } = {}): SignedAnswer {
    const signed = signAnswer(identityOf(by), as, answer);
    this.send(signed);
    return signed;
  }

  last<Kind extends CoordinatorFrame['kind']>(kind: Kind): Extract<CoordinatorFrame, { kind: Kind }> | undefined {
    return this.frames.findLast((frame): frame is Extract<CoordinatorFrame, { kind: Kind }> => frame.kind === kind);
  }

  get plans(): RoundPlan[] {
    return this.frames.flatMap((frame) =>
      frame.kind === 'plan' ? JSON.parse(new TextDecoder().decode(frame.body)) : [],
    );
  }

  get receipts(): Receipt[] {
    return this.frames.flatMap((frame) => (frame.kind === 'receipt' ? frame.receipt : []));
  }

  async model({ run, modelSha256, work }: RoundPlan): Promise<Float32Array> {
    const parts: Uint8Array[] = [];
    for await (const part of this.#coordinator.download(this.session, { run, sha256: modelSha256, offset: 0 }))
      parts.push(part);
    const { params } = decode(Buffer.concat(parts));
    if (params.values.length !== TOY_SIZE || work.workload !== 'toy') throw new Error('not the toy model');
    return params.values;
  }

  /** The update that a toy client makes of a plan. */
  async train(plan: RoundPlan): Promise<{ header: UpdateHeader; values: Float32Array }> {
    const examples = toyExamples(this.name);
    const values = (await this.model(plan)).map((value) => (examples - value) / 2);
    return { header: this.headerOf(plan, values), values };
  }

  headerOf({ run, round, attempt }: Pick<RoundPlan, 'run' | 'round' | 'attempt'>, values: Float32Array): UpdateHeader {
    const examples = toyExamples(this.name);
    return {
      ...{ run, round, attempt, sha256: sha256Of({ values }), sizeBytes: values.byteLength },
      ...{ weights: [examples, examples], metrics: { loss: { sum: [values[0]], count: examples } } },
    };
  }

  /** One whole upload call; `by` signs it. */
  upload(
    { header, values }: { header: UpdateHeader; values: Float32Array | Uint8Array },
    { by = this.name, offset = 0 } = {},
  ): Promise<UploadReply> {
    const signature = identityOf(by).sign(signedBytes('update', header));
    const bytes = values instanceof Uint8Array ? values : bytesOf(values);
    async function* chunks() {
      for (let at = offset; at < bytes.length; at += 10) yield bytes.subarray(at, at + 10);
    }
    return this.#coordinator.upload(this.session, { header, signature }, offset, chunks());
  }

  /** Answers the last plan as a good client does. */
  async answer(plan = this.plans.at(-1)!): Promise<UploadReply | undefined> {
    if (plan.kind === 'train') return this.upload(await this.train(plan));
    const { run, kind, round, attempt } = plan;
    this.say({ kind: 'evaluation', task: { run, kind, round, attempt }, metrics: {} });
    return undefined;
  }
}
