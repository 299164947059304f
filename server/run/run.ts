import type { Clock } from '../../shared/clock.js';
import { type DropReason, FlError } from '../../shared/errors.js';
import { type LedgerHead, signHead } from '../../shared/ledger/against.js';
import type { SecureProof } from '../../shared/ledger/entry.js';
import { type Rng, rngFromKey } from '../../shared/rng.js';
import type { Receipt, RoundPlan, TaskId, TaskKind } from '../../shared/run/plan.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { type CoordinatorFrame, type RunInfo, SMALL_BYTES } from '../../shared/service.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { type Identity, signedBytes } from '../../shared/signing/identity.js';
import { signReceipts } from '../../shared/signing/receipts.js';
import type { Journal } from '../journal/journal.js';
import type { ModelStore } from '../journal/models.js';
import {
  type Effect,
  isCurrent,
  memberOf,
  type RoundEvent,
  type RunRecord,
  type RunState,
  type Untimed,
} from '../round/state.js';
import { step } from '../round/step.js';
import { type CohortOutcome, SecureCohort } from '../secagg/grouped.js';
import type { Strategy } from '../strategies/strategy.js';
import type { UnmaskJob, UnmaskPool } from '../unmask-pool.js';
import { type Aggregate, parseAggregator } from '../updates/aggregator.js';
import { UpdateDesk } from '../updates/intake.js';
import { describeActivity } from './activity.js';
import { Feed } from './feed.js';
import type { History } from './history.js';
import type { Ledger } from './ledger.js';
import { advanceModel, type GlobalModel, pruneModels } from './model.js';

type EffectOf<Kind extends Effect['kind']> = Extract<Effect, { kind: Kind }>;
/** Receipts that one step makes are signed together. */
type Deed = Exclude<Effect, EffectOf<'receipt'>> | { readonly kind: 'receipts'; readonly receipts: readonly Receipt[] };
type PlanFrame = Extract<CoordinatorFrame, { kind: 'plan' }>;

export interface RunSurroundings {
  readonly clock: Clock;
  readonly identity: Identity;
  readonly journal: Pick<Journal, 'append' | 'close'>;
  readonly ledger: Ledger;
  readonly models: ModelStore;
  readonly directory: string;
  readonly strategy: Strategy;
  /** For aggregation ids and the server's side of secure aggregation. */
  readonly rng: Rng;
  /** Enrolled Ed25519 keys, hex, by client. */
  keysOf(clients: readonly string[]): Readonly<Record<string, string>>;
  /** Takes the masks off sums; the coordinator closes it. */
  readonly unmasking: Pick<UnmaskPool, 'unmask'>;
  /** Sends to a client if it is here; one that is not asks when it comes back. */
  send(client: string, frame: CoordinatorFrame): void;
  /** The disk failed or a bug struck: nothing more may be promised. */
  fatal(error: FlError): void;
}

/** A plan says how much time is left; sent again within this time, it is the same plan. */
const PLAN_AGE_MS = 100;

export class Run {
  readonly id: string;
  readonly spec: RunSpec;
  readonly createdAtMs: number;
  readonly history: History;
  readonly feed = new Feed();
  /** Bytes of this round so far. */
  readonly traffic = { up: 0, down: 0 };
  /** Takes updates in. */
  readonly updates: UpdateDesk;
  readonly #around: RunSurroundings;
  #state: RunState;
  #model: GlobalModel;
  /** Stored, and not the run's before its round is committed: a stop may come in between. */
  #next: GlobalModel | undefined;
  #previousSha256: string;
  #secure: SecureCohort | undefined;
  #secured: Aggregate | undefined;
  /** Of each sum of the round. */
  #proofs: readonly SecureProof[] | undefined;
  /** Of the current aggregation: makes its id one that was never used. */
  #nonce = '';
  #events: RoundEvent[] = [];
  #pump: Promise<void> | undefined;
  #broken = false;
  #cancelTimer = () => {};
  #lastPlan: { key: string; frame: PlanFrame } | undefined;

  constructor(
    around: RunSurroundings,
    init: { spec: RunSpec; createdAtMs: number; state: RunState; history: History; model: GlobalModel },
  ) {
    this.#around = around;
    this.spec = init.spec;
    this.id = init.state.run;
    this.createdAtMs = init.createdAtMs;
    this.#state = init.state;
    this.history = init.history;
    this.#model = init.model;
    this.#previousSha256 = init.model.sha256;
    this.updates = new UpdateDesk({
      ...{ run: this.id, spec: this.spec, history: this.history },
      state: () => this.#state,
      secure: () => this.#secure,
      post: (event) => this.post(event),
      sendReceipts: (receipts) => this.#sendReceipts(receipts),
    });
    const { createdAtMs: atMs, state } = init;
    for (const summary of init.history.summaries) this.feed.emit({ kind: 'round-ended', atMs, summary });
    if (state.status !== 'running') this.feed.emit({ kind: 'ended', atMs, status: state.status, reason: state.reason });
  }

  get state(): RunState {
    return this.#state;
  }

  get model(): GlobalModel {
    return this.#model;
  }

  /** Carries out what a restart left to do, before any event. */
  start(effects: readonly Effect[]): void {
    this.#pump = this.#drain(effects);
  }

  /** Puts an event into the queue; it is handled after all that came before it. */
  post(event: Untimed<RoundEvent>): void {
    if (this.#broken) return;
    this.#events.push({ ...event, atMs: this.#around.clock.nowMs() } as RoundEvent);
    this.#pump ??= this.#drain([]);
  }

  /** Resolves when nothing is left in the queue. */
  async idle(): Promise<void> {
    while (this.#pump !== undefined) await this.#pump;
  }

  async close(): Promise<void> {
    this.#cancelTimer();
    this.#secure?.cancel();
    await this.idle();
    await this.#around.journal.close();
  }

  async #drain(first: readonly Effect[]): Promise<void> {
    await undefined; // so that #pump is set before anything runs
    try {
      for (let effects: readonly Effect[] | undefined = first; effects !== undefined; effects = this.#step()) {
        for (const deed of together(effects)) {
          const pending = this.#perform(deed);
          if (pending !== undefined) await pending; // most take no time
        }
      }
    } catch (error) {
      this.#events = [];
      this.#broken = true;
      this.#around.fatal(FlError.from(error));
    }
    this.#pump = undefined;
  }

  /** The effects of the next event; undefined when there is none. */
  #step(): readonly Effect[] | undefined {
    const event = this.#events.shift();
    if (event === undefined) return undefined;
    const [state, effects] = step(this.#state, event);
    this.#state = state;
    return effects;
  }

  #perform(effect: Deed): Promise<void> | void {
    switch (effect.kind) {
      case 'record':
        return this.#record(effect.record);
      case 'plan':
        return this.#sendPlan(effect);
      case 'withdraw':
        return this.#around.send(effect.client, { kind: 'withdrawal', task: effect.task, reason: effect.reason });
      case 'open-sum':
        return this.updates.open(effect);
      case 'open-secure':
        return this.#openSecure(effect);
      case 'leave-secure':
        return this.#secure?.left(effect.client);
      case 'answer':
        return this.updates.answer(effect);
      case 'commit':
        return this.#commit(effect);
      case 'receipts':
        return this.#sendReceipts(effect.receipts);
      case 'timer':
        return this.#setTimer(effect);
      case 'emit':
        if (effect.event.kind === 'ended') {
          this.#cancelTimer();
          this.#secure?.cancel();
        }
        return this.feed.emit(effect.event);
      case 'round-ended':
        return this.#roundEnded(effect);
    }
  }

  /** Events come back through the queue, in the order in which the aggregation raised them. */
  #openSecure({ task }: EffectOf<'open-secure'>): void {
    this.#secure?.cancel();
    this.#secure = undefined;
    const { clock, rng, send, unmasking } = this.#around;
    // named, not the next of a stream that others draw from: a simulation gives the same nonces again
    const nonce = rng.split(`nonce/${this.id}/${task.kind}/${task.round}/${task.attempt}`).bytes(16);
    this.#nonce = Buffer.from(nonce).toString('hex');
    const { deadlineMs, minSurvivors, aggregator } = this.spec.engine;
    const plan = this.#planOf(task.kind, deadlineMs);
    const options = {
      ...{
        clock,
        rng: rng.split(`secure/${this.#nonce}`),
        noise: this.#noise(task.kind),
        deadlineMs,
        aggregator: parseAggregator(aggregator),
      },
      minSurvivors: task.kind === 'train' ? minSurvivors : 0,
      unmask: (job: UnmaskJob) => unmasking.unmask(job),
      listener: {
        send: (client: string, frame: Uint8Array) => {
          this.traffic.down += frame.length;
          send(client, { kind: 'secure', task, frame });
        },
        dropped: (client: string, reason: DropReason, detail: string) =>
          this.post({ kind: 'secure-dropped', client, task, reason, detail }),
        failed: (detail: string) => this.post({ kind: 'unsecured', task, detail }),
        done: ({ survivors, mean, withinBound, pooled, proofs }: CohortOutcome) => {
          if (task.kind === 'train') {
            this.#secured = { mean, withinBound };
            this.#proofs = proofs;
          }
          this.post({ kind: 'secured', task, survivors, pooled });
        },
      },
    };
    try {
      this.#secure = new SecureCohort(plan, options);
    } catch (error) {
      const { code, message } = FlError.from(error);
      if (code !== 'invalid-argument') throw error;
      this.post({ kind: 'unsecured', task, detail: message }); // this cohort cannot be summed; another may
    }
  }

  /** A frame of secure aggregation; one of another task is late or wrong, and nobody's. */
  receiveSecure(client: string, task: TaskId, frame: Uint8Array): void {
    const { stage } = this.#state;
    const cohort = stage.kind === 'training' || stage.kind === 'evaluating' ? stage.cohort : undefined;
    if (cohort === undefined || memberOf(cohort, client)?.status !== 'invited') return;
    if (this.#secure !== undefined && isCurrent(this.#state, task)) this.#secure.receive(client, frame);
  }

  async #record(given: RunRecord): Promise<void> {
    const isCommit = given.kind === 'committed';
    const record = isCommit && this.#proofs !== undefined ? { ...given, secure: this.#proofs } : given;
    this.history.add(record);
    await this.#around.journal.append(record);
    if (record.kind !== 'committed') return;
    this.#sendHead(record.survivors, await this.#around.ledger.append(record));
    if (this.#next === undefined) return;
    this.#previousSha256 = this.#model.sha256;
    this.#model = this.#next;
  }

  #setTimer({ id, atMs }: EffectOf<'timer'>): void {
    this.#cancelTimer(); // the engine waits for one thing at a time
    const delayMs = Math.max(0, atMs - this.#around.clock.nowMs());
    this.#cancelTimer = this.#around.clock.after(delayMs, () => this.post({ kind: 'timer', id }));
  }

  // ---- plans and receipts --------------------------------------------------------------------------------------

  #sendPlan(effect: EffectOf<'plan'>): void {
    const frame = this.#planFrame(effect);
    this.traffic.down += frame.model.length;
    this.#around.send(effect.client, frame);
    this.#secure?.resume(effect.client); // it may have missed a frame
  }

  #planFrame(effect: EffectOf<'plan'>): PlanFrame {
    const { task: kind, round, attempt } = effect;
    const deadlineMs = Math.max(0, effect.deadlineAtMs - this.#around.clock.nowMs());
    const key = `${kind}/${round}/${attempt}/${Math.ceil(deadlineMs / PLAN_AGE_MS)}/${this.#nonce}`;
    if (this.#lastPlan?.key === key) return this.#lastPlan.frame; // the cohort gets one plan, signed once
    const plan = this.#planOf(kind, deadlineMs);
    const body = new TextEncoder().encode(canonicalJson(plan));
    const signature = this.#around.identity.sign(signedBytes('plan', plan));
    const { file } = this.#model;
    const model = file.length <= SMALL_BYTES ? file : new Uint8Array(0);
    this.#lastPlan = { key, frame: { kind: 'plan', body, signature, model } };
    return this.#lastPlan.frame;
  }

  /** The plan of the stage that the engine is in. */
  #planOf(kind: TaskKind, deadlineMs: number): RoundPlan {
    const { round, attempt, modelSha256, stage } = this.#state;
    const names = 'cohort' in stage ? stage.cohort.names : [];
    const { work } = this.spec;
    const secure = work.secure && { nonce: this.#nonce, enrolled: this.#around.keysOf(names) };
    const { spending } = this.#state;
    const bound = kind === 'train' && spending?.isAdaptive ? { clippingBound: spending.clippingBound } : {};
    return {
      ...bound,
      ...{ run: this.id, kind, round, attempt, modelSha256, modelSizeBytes: this.#model.file.length, deadlineMs },
      ...{ cohort: names.length, work, ...(secure && { secure }) },
    };
  }

  #sendHead(survivors: readonly { readonly client: string }[], head: LedgerHead): void {
    const signed = signHead(head, this.#around.identity);
    for (const { client } of survivors) this.#around.send(client, { kind: 'ledger-head', ...signed });
  }

  #sendReceipts(receipts: readonly Receipt[]): void {
    for (const signed of signReceipts(this.#around.identity, receipts)) {
      this.#around.send(signed.receipt.client, { kind: 'receipt', ...signed });
    }
  }

  /**
   * For the coordinator's noise: equal after a crash, fresh for each attempt; a tree's spans the run. A signature that is
   * shown to nobody is as secret as the key that it takes to make it.
   */
  #noise(kind: TaskKind): Rng {
    const { round, attempt, modelSha256 } = this.#state;
    const isTree = this.spec.work.privacy?.tree !== undefined;
    const label = isTree ? { run: this.id, kind } : { run: this.id, kind, round, attempt, modelSha256 };
    return rngFromKey(this.#around.identity.sign(signedBytes('noise', label)), 'coordinator noise');
  }

  async #commit({ round, attempt }: EffectOf<'commit'>): Promise<void> {
    const { models, directory, strategy } = this.#around;
    const { mean, withinBound } =
      this.#secured ?? this.updates.takeMean(this.#planOf('train', 0), () => this.#noise('train'));
    this.#secured = undefined;
    try {
      this.#next = await advanceModel(this.#model, mean, { models, directory, strategy, round });
    } catch (error) {
      const { code, message } = FlError.from(error);
      if (code !== 'aborted') throw error;
      return this.post({ kind: 'stop', status: 'failed', reason: message }); // this run diverged; the others go on
    }
    const bound = withinBound === undefined ? {} : { withinBound };
    this.post({ kind: 'stored', round, attempt, modelSha256: this.#next.sha256, ...bound });
  }

  async #roundEnded({ draft, evaluation }: EffectOf<'round-ended'>): Promise<void> {
    const summary = { ...draft, bytesUp: this.traffic.up, bytesDown: this.traffic.down };
    this.traffic.up = 0;
    this.traffic.down = 0;
    const atMs = this.#around.clock.nowMs();
    const isLast = draft.round === this.spec.work.rounds;
    await this.#record({ ...this.history.roundEnded(summary, evaluation, isLast), atMs });
    this.feed.emit({ kind: 'round-ended', atMs, summary });
    const keep = [this.#model.sha256, this.#previousSha256];
    await pruneModels(this.#around.models, this.#around.directory, keep);
  }

  // ---- for people ----------------------------------------------------------------------------------------------

  info(): RunInfo {
    const { status, reason, round } = this.#state;
    const { createdAtMs, id: run } = this;
    const { directory } = this.#around;
    const activity = describeActivity(this.#state);
    const { workload, rounds } = this.spec.work;
    return { run, workload, status, reason, round, rounds, createdAtMs, directory, activity };
  }
}

function together(effects: readonly Effect[]): Deed[] {
  const deeds: Deed[] = [];
  let receipts: Receipt[] = [];
  for (const effect of effects) {
    if (effect.kind !== 'receipt') {
      deeds.push(effect);
      receipts = [];
      continue;
    }
    if (receipts.length === 0) deeds.push({ kind: 'receipts', receipts });
    receipts.push(effect.receipt);
  }
  return deeds;
}
