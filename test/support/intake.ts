/**
 * An intake where updates come in, with the real round engine around it: its effects are carried out one event at a time, as
 * in a run. And three updates whose mean is known.
 */
import assert from 'node:assert/strict';
import { type Effect, initialState, type RoundEvent, type RunState, type Untimed } from '../../server/round/state.js';
import { step } from '../../server/round/step.js';
import { CommittedRounds } from '../../server/run/committed.js';
import type { Aggregate } from '../../server/updates/aggregator.js';
import { UpdateIntake } from '../../server/updates/intake.js';
import { type Rng, rngFromSeed } from '../../shared/rng.js';
import type { Receipt, RoundPlan, UpdateHeader } from '../../shared/run/plan.js';
import { type EngineSpec, type RunSpec, type SecureSpec, storedSpec, type WorkSpec } from '../../shared/run/spec.js';
import { spendingOf } from '../../shared/run/spending.js';
import type { PendingUpdate, UploadReply } from '../../shared/service.js';
import { bytesOf, sha256Of } from '../../shared/tensors/bytes.js';
import { type ChannelSpec, updateChannel } from '../../shared/tensors/channels.js';
import { online, SPEC } from './rounds.js';
import { toySpec } from './toy.js';

/** Eleven numbers in two tensors: more than eight, and an odd number of them. */
export const TENSORS = [
  { name: 'w', shape: [3, 3] },
  { name: 'b', shape: [2] },
] as const;
export const SIZE = 11;
export const MASKED_BYTES = 40;
const SECURE: SecureSpec = {
  valueRange: 8,
  weightCap: 10,
  adversaryFraction: 0,
  dropFraction: 0.2,
  survivorsMin: 2,
  phaseDeadlineMs: 1000,
  trainMetrics: [],
  testMetrics: [],
};

interface Options {
  readonly engine?: Partial<EngineSpec>;
  readonly channels?: readonly ChannelSpec[];
  readonly work?: Partial<WorkSpec>;
}

/** An intake with its engine, and clients a, b, c (and more, if there are) in training. */
export class Intake {
  readonly receipts: Receipt[] = [];
  /** What each round came to. */
  readonly sums: Aggregate[] = [];
  /** Masked vectors that went on to secure aggregation. */
  readonly masked: string[] = [];
  /** Posted, and not handled yet. */
  readonly queue: Untimed<RoundEvent>[] = [];
  /** What a record waits for, as for a slow disk. */
  disk: Promise<void> | undefined;
  isSecure = false;
  readonly updates: UpdateIntake;
  readonly #work: WorkSpec;
  readonly #history = new CommittedRounds([]);
  #pump: Promise<void> | undefined;
  state: RunState;

  constructor({ engine = {}, channels = [updateChannel(TENSORS)], work = {} }: Options = {}) {
    const { rounds, seed, secure: isSecure = false, ...own } = { ...SPEC, ...engine };
    const toy = toySpec({ rounds, ...own }, seed);
    const phases = [{ name: 'train', channels }];
    const spec: RunSpec = {
      work: { ...toy.work, model: TENSORS, phases, ...(isSecure && { secure: SECURE }), ...work },
      engine: toy.engine,
    };
    this.#work = spec.work;
    this.isSecure = isSecure;
    this.state = initialState('r', storedSpec(spec).engine, 'm0', spendingOf(spec.work));
    const goesOn = () => this.isSecure;
    const secure = {
      receive: (client: string, bytes: Uint8Array) => {
        if (goesOn()) this.masked.push(`${client} ${bytes.length}`);
      },
      get maskedBytes() {
        return goesOn() ? MASKED_BYTES : undefined;
      },
    };
    this.updates = new UpdateIntake({
      ...{ spec, history: this.#history, readPast: async () => this.#history, secure },
      state: () => this.state,
      post: (event) => void this.post(event),
      inTurn: (say) => this.idle().then(say),
      sendReceipts: (receipts) => this.receipts.push(...receipts),
    });
  }

  /** @param names who is here when the first cohort is drawn */
  static async open(options: Options = {}, names = ['a', 'b', 'c']): Promise<Intake> {
    const self = new Intake(options);
    for (const event of online(...names)) self.post(event);
    await self.idle();
    assert.equal(self.state.stage.kind, 'training');
    return self;
  }

  post(event: Untimed<RoundEvent>): void {
    this.queue.push(event);
    this.#pump ??= this.#drain();
  }

  async idle(): Promise<void> {
    while (this.#pump !== undefined) await this.#pump;
  }

  async #drain(): Promise<void> {
    await undefined;
    for (let event = this.queue.shift(); event !== undefined; event = this.queue.shift()) {
      const [state, effects] = step(this.state, { atMs: 0, ...event } as RoundEvent);
      this.state = state;
      for (const effect of effects) await this.#perform(effect);
    }
    this.#pump = undefined;
  }

  async #perform(effect: Effect): Promise<void> {
    if (effect.kind === 'record') {
      await this.disk;
      this.#history.add(effect.record);
    }
    if (effect.kind === 'open-sum') this.updates.open(effect);
    if (effect.kind === 'answer') this.updates.answer(effect);
    if (effect.kind === 'receipt') this.receipts.push(effect.receipt);
    if (effect.kind === 'commit') {
      const plan = { work: this.#work, round: effect.round } as RoundPlan;
      this.sums.push(this.updates.takeMean(plan, coordinatorNoise));
    }
  }

  /** The model of the round is on disk. */
  async stored(): Promise<void> {
    const { round, attempt } = this.state;
    this.post({ kind: 'stored', round, attempt, modelSha256: `m${round}` });
    await this.idle();
  }

  /** Time is up. */
  async deadline(): Promise<void> {
    const { round, attempt, stage } = this.state;
    this.post({ kind: 'timer', id: `${stage.kind}/${round}/${attempt}` });
    await this.idle();
  }

  header(client: string, { header }: Update): Promise<UploadReply | undefined> {
    return this.updates.answerHeader(client, header);
  }

  offer(client: string, { header, bytes }: Update): Promise<UploadReply> {
    return this.updates.offer(client, header, bytes);
  }

  /** The whole way of an upload. */
  async send(client: string, update: Update): Promise<UploadReply> {
    return (await this.header(client, update)) ?? this.offer(client, update);
  }

  reconnect(client: string, pending: readonly PendingUpdate[]): Receipt[] {
    const before = this.receipts.length;
    this.updates.answerPending(client, pending);
    return this.receipts.slice(before);
  }

  get mean(): number[] {
    assert.equal(this.sums.length, 1, 'one round');
    return [...this.sums[0].mean.values];
  }
}

export const coordinatorNoise = (): Rng => rngFromSeed(3);

export interface Update {
  readonly header: UpdateHeader;
  readonly bytes: Uint8Array;
}

export type HeaderChange = Partial<UpdateHeader>;

export function updateOf(values: Float32Array, weight: number, change: HeaderChange = {}): Update {
  const id = { run: 'r', round: 1, attempt: 1, sha256: sha256Of({ values }), sizeBytes: values.byteLength };
  return { header: { ...id, weights: [weight, weight], metrics: {}, ...change }, bytes: bytesOf(values) };
}

export const filled = (value: number, size = SIZE) => new Float32Array(size).fill(value);
export const ramp = (first: number) => Float32Array.from({ length: SIZE }, (_, i) => first + i);

/** Weights 0.5, 2.25 and 1.25 are 4 together. */
export const A = updateOf(ramp(8), 0.5);
export const B = updateOf(ramp(-4), 2.25);
export const C = updateOf(ramp(16), 1.25);
/** 8/8 - 4·9/16 + 16·5/16 = 1 - 2.25 + 5 = 3.75 */
export const MEAN_ABC = [...ramp(3.75)];
/** (0.5·8 + 1.25·16) / 1.75 = 24 / 1.75 */
export const MEAN_AC = [...ramp(0)].map((i) => Math.fround((1.75 * i + 24) / 1.75));

export const at = ({ header, bytes }: Update, change: HeaderChange): Update => ({
  header: { ...header, ...change },
  bytes,
});
export const accepted: UploadReply = { outcome: 'accepted', detail: '' };
export const rejected = (detail: string): UploadReply => ({ outcome: 'rejected', detail });
export const pendingOf = ({ header: { run, round, attempt, sha256 } }: Update): PendingUpdate => {
  return { run, round, attempt, sha256 };
};

export function receiptOf(
  client: string,
  { header: { round, attempt, sha256 } }: Update,
  word: Receipt['reason'] | 'committed',
) {
  const id = { run: 'r', round, attempt, client, updateSha256: sha256 };
  if (word === 'committed') return { ...id, outcome: word, modelSha256: `m${round}` };
  return { ...id, outcome: 'dropped', reason: word, modelSha256: '' };
}

export const what = (receipts: readonly Receipt[]) =>
  receipts.map(({ client, outcome, reason }) => `${client} ${reason ?? outcome}`);

export function memberOf({ state: { stage } }: Intake, client: string) {
  assert.ok('cohort' in stage, stage.kind);
  return stage.cohort.members[stage.cohort.names.indexOf(client)];
}
