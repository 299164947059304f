/**
 * The coordinator of a simulated world: the shell of `server/run/run.ts` and `server/coordinator.ts` in small, around the
 * real engine, fold, history and intake of updates. It journals, carries frames, crashes between any two effects and comes
 * back from what its journal holds.
 */

import assert from 'node:assert/strict';
import type { RunRecord } from '../../server/journal/records.js';
import { fateOf, type Past } from '../../server/round/fate.js';
import {
  type Effect,
  type EffectOf,
  initialState,
  type RoundEvent,
  type RunState,
  type Untimed,
} from '../../server/round/state.js';
import { CommittedRounds } from '../../server/run/committed.js';
import { roundEnded } from '../../server/run/history.js';
import { UpdateIntake } from '../../server/updates/intake.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import type { RunSpec, StoredRunSpec, WorkSpec } from '../../shared/run/spec.js';
import type { ClientFrame, PendingUpdate, UploadReply } from '../../shared/service.js';
import { bytesOf } from '../../shared/tensors/bytes.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import type { SimulatedClient } from './client.js';
import * as must from './invariants.js';
import type { Scenario } from './scenario.js';
import type { Subject } from './subject.js';
import type { Stream, World } from './world.js';

export const RUN = 'toy';
const FIRST_MODEL = 'model-0';

export type Frame =
  | { readonly kind: 'welcome' }
  | { readonly kind: 'plan'; readonly plan: RoundPlan }
  | EffectOf<'receipt' | 'withdraw'>;
export type ControlStream = Stream<ClientFrame, Frame>;

/** A model of one number, which moves by the sum of the updates: whole numbers, so that sums are exact. */
const MODEL = [{ name: 'w', shape: [1] }];
const WORK = {
  model: MODEL,
  phases: [{ name: 'train', channels: [{ ...updateChannel(MODEL), reduce: 'sum' }] }],
} as unknown as WorkSpec;

/** How long the engine may be at other events, and waiting for its disk, before it comes to what an intake has posted. */
const MOST_QUEUED_MS = 300;

/** Thrown inside to leave a half-done list of effects. */
const CRASH = Symbol('crash');

export class SimulatedCoordinator {
  readonly #world: World;
  readonly #ledger: must.Ledger;
  readonly #subject: Subject;
  readonly #journal: RunRecord[];
  readonly #streams = new Map<string, ControlStream>();
  #state: RunState;
  #history: CommittedRounds;
  #intake: UpdateIntake;
  /** Who waits for the engine's answer to an offer; by client and hash, in the order of the offers. */
  #waiting = new Map<string, ((answer: UploadReply['outcome'] | undefined) => void)[]>();
  /** Offers that the engine has not come to: before any event that comes later, as in the queue of a run. */
  #queue: Untimed<RoundEvent>[] = [];
  readonly #spec: RunSpec;
  #up = true;
  /** Rises with every crash; what an earlier process started no longer counts. */
  #life = 0;
  #timer = 0;
  #crash: { effects: number; downMs: number } | undefined;

  constructor(
    world: World,
    { ledger, subject, scenario }: { ledger: must.Ledger; subject: Subject; scenario: Scenario },
  ) {
    this.#world = world;
    this.#ledger = ledger;
    this.#subject = subject;
    const spec = { work: {}, engine: scenario.spec } as unknown as StoredRunSpec;
    this.#journal = [{ kind: 'created', atMs: 0, run: RUN, spec, modelSha256: FIRST_MODEL }];
    this.#state = initialState(RUN, scenario.spec, FIRST_MODEL);
    this.#history = new CommittedRounds(this.#journal);
    this.#spec = { work: WORK, engine: scenario.spec };
    this.#intake = this.#openIntake();
  }

  /** Of this process. What it posts waits its turn: meanwhile the round may go on. */
  #openIntake(): UpdateIntake {
    const life = this.#life;
    return new UpdateIntake({
      spec: this.#spec,
      history: { receiptFor: (run, update) => this.#past.receiptFor(run, update), isLongPast: () => false },
      readPast: async () => this.#past,
      state: () => this.#state,
      secure: { maskedBytes: undefined, receive: () => undefined },
      post: (event) => {
        this.#queue.push(event);
        this.#world.after(this.#world.dice.between(0, MOST_QUEUED_MS), () => {
          if (life === this.#life) this.#drain();
        });
      },
      inTurn: async (say) => say(), // an effect takes no time here
      sendReceipts: (receipts) => {
        for (const receipt of receipts) this.#carryOut({ kind: 'receipt', receipt });
      },
    });
  }

  static readonly firstModel = FIRST_MODEL;

  get state(): RunState {
    return this.#state;
  }

  get up(): boolean {
    return this.#up;
  }

  // ---- faults --------------------------------------------------------------------------------------------------

  /** Dies before the `effects`-th effect from now. */
  crashAt(effects: number, downMs: number): void {
    if (this.#up) this.#crash = { effects, downMs };
  }

  /** A stop, and a resume after `forMs`. */
  stop(forMs: number): void {
    if (!this.#up) return;
    this.#post({ kind: 'stop', status: 'stopped', reason: 'operator' });
    this.#world.after(forMs, () => this.#resume());
  }

  /** The operator tries until somebody answers. */
  #resume(): void {
    if (this.#up) this.#post({ kind: 'resume' });
    else this.#world.after(500, () => this.#resume());
  }

  #die(downMs: number): void {
    this.#ledger.seen.add(`crash while ${this.#state.stage.kind}`);
    this.#world.note('coordinator dies');
    this.#up = false;
    this.#life++;
    this.#crash = undefined;
    const waiting = [...this.#waiting.values()].flat();
    this.#waiting.clear();
    this.#queue = [];
    for (const reply of waiting) reply(undefined);
    for (const stream of this.#streams.values()) stream.cut();
    this.#streams.clear();
    this.#world.after(downMs, () => this.#comeBack());
  }

  #comeBack(): void {
    const records = JSON.parse(JSON.stringify(this.#journal)) as RunRecord[];
    const [state, effects] = this.#subject.restore(records, this.#world.nowMs);
    must.restoredIsTheFold(records, state);
    must.checkpointsAreTheFold(records, state, (stored) => this.#subject.restore(stored, this.#world.nowMs));
    this.#world.note(`coordinator is back in ${state.round}/${state.attempt} ${state.stage.kind}`);
    this.#up = true;
    this.#state = state;
    this.#history = new CommittedRounds(records);
    this.#intake = this.#openIntake();
    this.#ledger.refusers.clear(); // a refusal is not journalled: the next plan is refused again
    this.#perform(effects);
    if (this.#up && this.#state.stage.kind === 'ended') this.#tellOperator();
  }

  /** The operator watches, and lets no run rest. */
  #tellOperator(): void {
    if (this.#state.status !== 'completed')
      this.#world.after(this.#world.dice.between(1000, 4000), () => this.#resume());
  }

  // ---- the engine and its effects --------------------------------------------------------------------------------

  #post(event: Untimed<RoundEvent>): void {
    const life = this.#life;
    this.#drain();
    if (life === this.#life) this.#handle(event);
    if (this.#up) must.onlineAreTheConnected(this.#state, new Set(this.#streams.keys()));
  }

  #drain(): void {
    for (let event = this.#queue.shift(); event !== undefined; event = this.#queue.shift()) this.#handle(event);
  }

  #handle(untimed: Untimed<RoundEvent>): void {
    const event = { ...untimed, atMs: this.#world.nowMs } as RoundEvent;
    must.deadlinesAreKept(this.#state, this.#world.nowMs);
    const before = this.#state;
    this.#ledger.seen.add(`${event.kind} while ${before.stage.kind}`);
    const [state, effects] = this.#subject.step(before, event);
    this.#state = state;
    must.everyUploadHasOneAnswer(event, effects);
    must.whoComesBackGetsThePlan(event, before, effects);
    if (event.kind === 'declined' && event.reason === 'refused' && state.refused !== before.refused) {
      this.#ledger.refusers.add(event.client);
    }
    this.#world.note(
      `${event.kind} ${'client' in event ? event.client : ''} ${state.round}/${state.attempt} ${state.stage.kind}`,
    );
    this.#perform(effects);
  }

  #perform(effects: readonly Effect[]): void {
    try {
      for (const effect of effects) {
        if (this.#crash !== undefined && this.#crash.effects-- <= 0) throw CRASH;
        this.#carryOut(effect);
      }
    } catch (error) {
      if (error !== CRASH) throw error;
      this.#die(this.#crash!.downMs);
    }
  }

  #carryOut(effect: Effect): void {
    switch (effect.kind) {
      case 'record':
        return this.#record(effect.record);
      case 'open-sum':
        return this.#intake.open(effect);
      case 'plan':
        return this.#sendPlan(effect);
      case 'withdraw':
        return this.#streams.get(effect.client)?.toClient(effect);
      case 'receipt':
        must.receiptsAreTrue(this.#ledger, effect.receipt);
        return this.#streams.get(effect.receipt.client)?.toClient(effect);
      case 'answer':
        return this.#answer(effect);
      case 'commit':
        return this.#commit(effect);
      case 'timer':
        return this.#setTimer(effect);
      case 'round-ended': {
        const summary = { ...effect.draft, bytesUp: 0, bytesDown: 0 };
        return this.#record(roundEnded(summary, effect.evaluation, false));
      }
      case 'emit':
        if (effect.event.kind === 'ended') this.#tellOperator();
    }
  }

  #record(record: RunRecord): void {
    must.checkRecord(this.#ledger, record, this.#state);
    this.#journal.push(record);
    this.#history.add(record);
    this.#world.note(`record ${record.kind}`);
  }

  #sendPlan(effect: EffectOf<'plan'>): void {
    must.plansAreCurrent(effect, this.#state, this.#streams.has(effect.client));
    const { task: kind, round, attempt, modelSha256, cohort, deadlineAtMs } = effect;
    const deadlineMs = deadlineAtMs - this.#world.nowMs;
    const plan = { run: RUN, kind, round, attempt, modelSha256, modelSizeBytes: 8, deadlineMs, cohort } as RoundPlan;
    this.#streams.get(effect.client)?.toClient({ kind: 'plan', plan });
  }

  #setTimer({ id, atMs }: EffectOf<'timer'>): void {
    const timer = ++this.#timer;
    const life = this.#life;
    this.#world.after(Math.max(0, atMs - this.#world.nowMs), () => {
      if (timer === this.#timer && life === this.#life) this.#post({ kind: 'timer', id });
    });
  }

  #answer(answer: EffectOf<'answer'>): void {
    const key = `${answer.client}/${answer.updateSha256}`;
    const [reply, ...rest] = this.#waiting.get(key) ?? [];
    this.#waiting.set(key, rest);
    this.#intake.answer(answer);
    reply?.(answer.outcome === 'rejected' ? 'rejected' : 'accepted');
  }

  #commit({ round, attempt }: EffectOf<'commit'>): void {
    const life = this.#life;
    const base = this.#ledger.models.get(this.#state.modelSha256)!;
    const plan = { work: WORK, round } as RoundPlan;
    const { values } = this.#intake.takeMean(plan, () => assert.fail('no noise')).mean;
    this.#world.after(this.#world.dice.between(1, 400), () => {
      if (life !== this.#life) return;
      const modelSha256 = `model-${round}/${attempt}/${life}`;
      this.#ledger.models.set(modelSha256, base + values[0]);
      this.#post({ kind: 'stored', round, attempt, modelSha256 });
    });
  }

  // ---- clients ---------------------------------------------------------------------------------------------------

  /** A hello has arrived. Whoever is here already, as far as is known here, must wait until that stream is gone. */
  accept(client: SimulatedClient, stream: ControlStream, pending: readonly PendingUpdate[]): boolean {
    if (!this.#up || this.#streams.has(client.name)) return false;
    this.#streams.set(client.name, stream);
    stream.toClient({ kind: 'welcome' });
    this.#post({ kind: 'online', client: client.name });
    if (this.#up) this.#intake.answerPending(client.name, pending);
    return true;
  }

  get #past(): Past {
    return { receiptFor: (run, update) => this.#subject.receiptFor(this.#history, run, update) };
  }

  gone(client: string, stream: ControlStream): void {
    if (this.#streams.get(client) !== stream) return;
    this.#drain(); // what came before, while it was here
    if (!this.#up) return;
    this.#streams.delete(client);
    this.#post({ kind: 'offline', client });
  }

  receive(client: string, frame: ClientFrame): void {
    if (frame.kind === 'decline') {
      const { task, reason, detail } = frame;
      this.#post({ kind: 'declined', client, task, reason, detail });
    } else if (frame.kind === 'evaluation') {
      this.#post({ kind: 'evaluated', client, task: frame.task, metrics: frame.metrics });
    }
  }

  /** An upload call, complete. Answers by `reply`; undefined: the call failed for a reason that another try may cure. */
  upload(
    stream: ControlStream,
    { client, update }: { client: string; update: PendingUpdate },
    reply: (answer: UploadReply['outcome'] | 'denied' | undefined) => void,
  ): void {
    if (!this.#up) return reply(undefined);
    if (this.#streams.get(client) !== stream) return reply('denied');
    const { round, attempt, sha256: updateSha256 } = update;
    const { value, valid } = this.#ledger.updates.get(updateSha256)!;
    const bytes = bytesOf(Float32Array.of(valid ? value : Number.NaN));
    const fate = fateOf(this.#state, this.#past, { client, round, attempt, updateSha256 });
    if (fate.kind === 'wanted') {
      const key = `${client}/${updateSha256}`;
      this.#waiting.set(key, [...(this.#waiting.get(key) ?? []), reply]);
    } else reply(fate.kind); // at once, as the intake itself says
    void this.#intake.offer(client, { ...update, sizeBytes: bytes.length, weights: [1], metrics: {} }, bytes);
  }
}
