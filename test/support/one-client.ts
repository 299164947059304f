/**
 * One real participant and a coordinator that is played by hand: it signs and shows exactly what a test wants, and every
 * frame that it hears stands in one list with what the client's disk has done.
 */
import { Participant, type ParticipantOptions } from '../../client/round/participant.js';
import { memoryStore } from '../../client/store/updates.js';
import { FlError } from '../../shared/errors.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { Receipt, RoundPlan, UpdateHeader } from '../../shared/run/plan.js';
import {
  type ClientFrame,
  type ControlEnd,
  type CoordinatorFrame,
  type ParticipantService,
  type SignedUpdateHeader,
  SMALL_BYTES,
  type UploadReply,
} from '../../shared/service.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { type Identity, identityFromSeed, signedBytes } from '../../shared/signing/identity.js';
import { type Login, signChallenge } from '../../shared/signing/login.js';
import { signReceipts } from '../../shared/signing/receipts.js';
import { bytesOf, sha256Of } from '../../shared/tensors/bytes.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { FakeClock } from './fake-clock.js';
import { turns } from './hand-fed.js';
import { OrderedDisk } from './ordered-disk.js';
import { toyModel, toySpec, toyTrainer } from './toy.js';

export const [coordinatorKey, strangerKey, clientKey] = [1, 2, 3].map((byte) =>
  identityFromSeed(new Uint8Array(32).fill(byte)),
);

/** The toy model and its file; a plan names it unless a test says otherwise. */
export const MODEL = { file: encode(toyModel()), sha256: sha256Of(toyModel()) };

export function planOf(overrides: Partial<RoundPlan> = {}): RoundPlan {
  return {
    ...{ run: 'r', kind: 'train', round: 1, attempt: 1, deadlineMs: 1000, cohort: 4, work: toySpec().work },
    ...{ modelSha256: MODEL.sha256, modelSizeBytes: MODEL.file.length },
    ...overrides,
  };
}

/** The coordinator's, in each challenge. */
export const NONCE = new Uint8Array(32).fill(9);

type FrameOf<Kind extends ClientFrame['kind']> = Extract<ClientFrame, { kind: Kind }>;

/** A call for an upload, which waits for the test to answer it; its chunks are read as they come. */
export interface Upload {
  readonly session: number;
  readonly signed: SignedUpdateHeader;
  readonly offset: number;
  readonly chunks: AsyncIterable<Uint8Array>;
  resolve(reply: UploadReply): void;
  reject(error: Error): void;
}

export class PlayedCoordinator implements ParticipantService {
  /** Of all streams, in order. */
  readonly frames: ClientFrame[] = [];
  readonly uploads: Upload[] = [];
  /** Offsets that downloads were asked for. */
  readonly downloads: number[] = [];
  /** What a download gives from an offset on. */
  download: ParticipantService['download'] = () => {
    throw new FlError('not-found', 'model: not here');
  };
  /** What `uploadStatus` answers. */
  heldBytes = 0;
  closed: string | undefined;
  readonly #disk: OrderedDisk;
  #toClient: ControlEnd<CoordinatorFrame> | undefined;

  constructor(disk: OrderedDisk) {
    this.#disk = disk;
  }

  connect(toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame> {
    this.#toClient = toClient;
    this.closed = undefined;
    return {
      send: (frame) => {
        this.frames.push(frame);
        this.#disk.said(frame.kind);
      },
      close: (reason) => {
        this.closed = reason;
      },
    };
  }

  identify(): Promise<never> {
    return Promise.reject(new Error('not here'));
  }

  enrol(): Promise<never> {
    return Promise.reject(new Error('not here'));
  }

  async uploadStatus(): Promise<number> {
    return this.heldBytes;
  }

  upload(...[session, signed, offset, chunks]: Parameters<ParticipantService['upload']>): Promise<UploadReply> {
    this.#disk.said('upload');
    return new Promise((resolve, reject) => {
      this.uploads.push({ session: session[0], signed, offset, chunks, resolve, reject });
    });
  }

  send(frame: CoordinatorFrame): void {
    this.#toClient!.send(frame);
  }

  /** The challenge of the stream of now; @param by whose signature it bears; @param about what else is signed */
  challenge(
    by: Identity = coordinatorKey,
    about: Partial<Login> = {},
  ): Extract<CoordinatorFrame, { kind: 'challenge' }> {
    const { client, address, nonce: clientNonce } = this.all('hello').at(-1)!;
    const login = { client, address, clientNonce, nonce: NONCE, coordinatorKey: coordinatorKey.publicKey, ...about };
    return { kind: 'challenge', nonce: login.nonce, signature: signChallenge(by, login) };
  }

  /** Lets the client in, when both have shown who they are. */
  welcome(session = 1): void {
    this.send(this.challenge());
    this.send({ kind: 'welcome', session: Uint8Array.of(session) });
  }

  /** @param model what comes with the plan; @param signer whose signature it bears */
  plan(
    plan: RoundPlan,
    { model = MODEL.file, signer = coordinatorKey }: { model?: Uint8Array; signer?: Identity } = {},
  ) {
    const body = new TextEncoder().encode(canonicalJson(plan));
    this.send({ kind: 'plan', body, signature: signer.sign(signedBytes('plan', plan)), model });
  }

  withdraw({ run, kind, round, attempt }: RoundPlan): void {
    this.send({ kind: 'withdrawal', task: { run, kind, round, attempt }, reason: 'deadline' });
  }

  receipt(receipt: Receipt, signer: Identity = coordinatorKey): void {
    this.send({ kind: 'receipt', ...signReceipts(signer, [receipt])[0] });
  }

  breakOff(): void {
    this.#toClient!.close('the network');
  }

  all<Kind extends ClientFrame['kind']>(kind: Kind): FrameOf<Kind>[] {
    return this.frames.filter((frame): frame is FrameOf<Kind> => frame.kind === kind);
  }
}

export interface OneClient {
  readonly participant: Participant;
  readonly coordinator: PlayedCoordinator;
  readonly clock: FakeClock;
  readonly disk: OrderedDisk;
  /** Behind the disk. */
  readonly store: ReturnType<typeof memoryStore>;
  readonly notices: { readonly message: string; readonly fields: Record<string, unknown> }[];
}

/** Starts client c1, whose stream is open and not yet welcomed. The one place where these tests build a participant. */
export async function startOne({
  store = memoryStore(),
  ...overrides
}: Partial<ParticipantOptions> = {}): Promise<OneClient> {
  const [disk, clock] = [new OrderedDisk(), new FakeClock()];
  const coordinator = new PlayedCoordinator(disk);
  const notices: { message: string; fields: Record<string, unknown> }[] = [];
  const participant = await Participant.start({
    ...{ service: coordinator, client: 'c1', identity: clientKey, coordinatorKey: coordinatorKey.publicKey },
    ...{ trainer: toyTrainer(), clock, rng: rngFromSeed(1), version: '0', keepHead: disk.keepHead() },
    notice: (message, fields) => notices.push({ message, fields: fields as Record<string, unknown> }),
    ...overrides,
    privacy: disk.privacy(overrides.privacy),
    store: disk.store(store),
  });
  participant.done.catch(() => undefined); // a test that is about the end looks at it itself
  return { participant, coordinator, clock, disk, store, notices };
}

/** Client c1 that has been let in. */
export async function enterOne(overrides: Partial<ParticipantOptions> = {}): Promise<OneClient> {
  const one = await startOne(overrides);
  one.coordinator.welcome();
  return one;
}

/** A client that has trained for `plan` and said so; `header` is that of its update. */
export async function trainedOne(plan = planOf()): Promise<OneClient & { readonly header: UpdateHeader }> {
  const one = await enterOne();
  one.coordinator.plan(plan);
  await turns();
  const { header } = one.coordinator.all('small-update')[0].signed;
  return { ...one, header };
}

export function receiptFor({ run, round, attempt, sha256 }: UpdateHeader, change: Partial<Receipt> = {}): Receipt {
  const names = { run, round, attempt, client: 'c1', updateSha256: sha256 };
  return { ...names, outcome: 'committed', modelSha256: 'e'.repeat(64), ...change };
}

/** A trainer that a test holds, and whose progress it reports. */
export function heldTrainer() {
  let go = () => {};
  const held = new Promise<void>((resolve) => {
    go = resolve;
  });
  const asked: { round: number; signal?: AbortSignal; onProgress?: (done: number, total: number) => void }[] = [];
  const trainer = toyTrainer(async ({ round }, { signal, onProgress }) => {
    asked.push({ round, ...(signal && { signal }), ...(onProgress && { onProgress }) });
    await held;
  });
  return { trainer, asked, go: () => go() };
}

/** An update of round 1 that is too large for the control stream: it goes by a call of its own. */
export const LARGE = (() => {
  const values = new Float32Array(SMALL_BYTES / 4 + 1).map((_, i) => i);
  const pending = { run: 'r', round: 1, attempt: 1, sha256: sha256Of({ values }) };
  return { values, pending, header: { ...pending, sizeBytes: values.byteLength, weights: [1, 1], metrics: {} } };
})();

/** A client that keeps {@link LARGE} when it starts. */
export async function startKeeping(overrides: Partial<ParticipantOptions> = {}) {
  const store = memoryStore();
  await store.keep({ header: LARGE.header, bytes: bytesOf(LARGE.values) });
  return startOne({ store, ...overrides });
}

/** The same, let in, and its plan has come again: it uploads. */
export async function uploadingOne() {
  const one = await startKeeping();
  one.coordinator.welcome();
  one.coordinator.plan(planOf());
  await turns();
  return one;
}
