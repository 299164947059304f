/**
 * The shell of one run: it queues events for the round engine, and carries out what the engine asks for, one effect after
 * another. It decides nothing.
 */
import type { Clock } from '../../shared/clock.js';
import { faultOf } from '../../shared/disk/faults.js';
import { FlError } from '../../shared/errors.js';
import { signHead } from '../../shared/ledger/against.js';
import type { ClientHandOver, SecureProof } from '../../shared/ledger/entry.js';
import type { Rng } from '../../shared/rng.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { Receipt, TaskId, TaskKind } from '../../shared/run/plan.js';
import type { RunSpec } from '../../shared/run/spec.js';
import type { CoordinatorFrame, PendingUpdate } from '../../shared/service.js';
import type { Identity } from '../../shared/signing/identity.js';
import type { ModelStore } from '../journal/models.js';
import type { RecordOf, RunRecord } from '../journal/records.js';
import { memberOf } from '../round/cohort.js';
import {
  type Effect,
  type EffectOf,
  isAsked,
  type RoundEvent,
  type RunState,
  type Untimed,
  workOn,
} from '../round/state.js';
import { step } from '../round/step.js';
import { CurrentAggregation } from '../secagg/current.js';
import { sendReceipts } from '../send-receipts.js';
import type { Strategy } from '../strategies/strategy.js';
import type { UnmaskPool } from '../unmask-pool.js';
import { UpdateIntake } from '../updates/intake.js';
import { isFor } from '../visible-runs.js';
import { type Enrolled, sharesOf, waitingNow } from './activity.js';
import { type CommittedRounds, readPast } from './committed.js';
import { Feed } from './feed.js';
import { roundEnded } from './history.js';
import type { Ledger } from './ledger.js';
import { advanceModel, type GlobalModel, keepBest, pruneModels } from './model.js';
import { modelMetadata } from './model-metadata.js';
import type { RunNoise } from './noise.js';
import { readRoundEvents } from './past-events.js';
import { Plans } from './plans.js';
import { JobQueue } from './queue.js';
import type { RunJournal } from './run-journal.js';

/** What the shell carries out at once; receipts that come together are signed together. */
type Step = Exclude<Effect, EffectOf<'receipt'>> | { readonly kind: 'receipts'; readonly receipts: readonly Receipt[] };

type Carry = {
  readonly [Kind in Step['kind']]: (step: Extract<Step, { kind: Kind }>) => Promise<void> | void;
};

/** What a run stands on: files of its own, and what its coordinator lends to all runs. */
export interface RunDeps {
  readonly clock: Clock;
  readonly identity: Identity;
  readonly journal: RunJournal;
  readonly ledger: Ledger;
  readonly models: ModelStore;
  readonly directory: string;
  readonly strategy: Strategy;
  /** The coordinator's, under central privacy. */
  readonly noise: RunNoise;
  /** For aggregation ids and the server's side of secure aggregation. */
  readonly rng: Rng;
  /** Who may take part in any run; absent: that is not known. */
  enrolled?: Enrolled;
  /** Enrolled Ed25519 keys, hex, by client. */
  keysOf(clients: readonly string[]): Readonly<Record<string, string>>;
  /** How the keys of these clients came to follow others since then; absent: in a simulation they do not. */
  handOversOf?(clients: readonly string[], sinceMs: number): readonly ClientHandOver[];
  /** Takes the masks off sums; the coordinator closes it. */
  readonly unmasking: Pick<UnmaskPool, 'unmask'>;
  /** Sends to a client if it is here; one that is not asks when it comes back. */
  send(client: string, frame: CoordinatorFrame): void;
  /** A client's part in a round of this run is over: an upload that is still on its way holds no place any more. */
  releaseUpload?(client: string, run: string): void;
  /** The disk failed or a bug struck: nothing more may be promised. */
  fatal(error: FlError): void;
}

/** One run. Made by `createRun` or `openRun` (directory.ts), which see to its files. */
export class Run {
  readonly id: string;
  readonly directory: string;
  readonly spec: RunSpec;
  readonly createdAtMs: number;
  readonly feed: Feed;
  /** Who may take part. */
  readonly enrolled: Enrolled;
  /** The sums of the last evaluation that was made in this process. */
  pooled: SumMetrics = {};
  /** Bytes of this round so far. */
  readonly traffic = { up: 0, down: 0 };
  /** Takes updates in. */
  readonly updates: UpdateIntake;
  readonly #deps: RunDeps;
  #state: RunState;
  #model: GlobalModel;
  /** Stored, and not the run's before its round is committed: a stop may come in between. */
  #next: GlobalModel | undefined;
  #previousSha256: string;
  readonly #plans: Plans;
  readonly #secure: CurrentAggregation;
  readonly #queue: JobQueue;
  readonly #committed: CommittedRounds;
  #cancelTimer = () => {};

  /** How each thing that the engine asks for is carried out. */
  readonly #carry: Carry = {
    record: ({ record }) => this.#record(record),
    plan: (plan) => this.#sendPlan(plan),
    withdraw: ({ client, task, reason }) => this.#deps.send(client, { kind: 'withdrawal', task, reason }),
    'open-sum': (task) => this.updates.open(task),
    'open-secure': ({ task }) => this.#openSecure(task.kind),
    'leave-secure': ({ client }) => this.#secure.left(client),
    'exclude-secure': ({ client }) => this.#secure.exclude(client),
    answer: (answer) => this.updates.answer(answer),
    commit: (commit) => this.#commit(commit),
    receipts: ({ receipts }) => sendReceipts(receipts, this.#deps),
    timer: (timer) => this.#setTimer(timer),
    emit: ({ event }) => this.#emit(event),
    'round-ended': (ended) => this.#roundEnded(ended),
  };

  constructor(
    deps: RunDeps,
    init: {
      spec: RunSpec;
      createdAtMs: number;
      state: RunState;
      /** Of what is in the journal. */
      committed: CommittedRounds;
      /** Rounds that were over before this process. */
      pastRounds: number;
      model: GlobalModel;
    },
  ) {
    this.#deps = deps;
    this.directory = deps.directory;
    this.enrolled = () => (deps.enrolled?.() ?? []).filter((name) => isFor(init.spec.engine.clients, name));
    this.#queue = new JobQueue((error) => deps.fatal(faultOf(`run ${init.state.run}`, error)));
    this.spec = init.spec;
    this.id = init.state.run;
    this.createdAtMs = init.createdAtMs;
    this.#state = init.state;
    this.#committed = init.committed;
    this.feed = new Feed(init.pastRounds, (rounds) => readRoundEvents(deps.directory, rounds));
    this.#model = init.model;
    this.#previousSha256 = init.model.sha256;
    const { work, engine } = init.spec;
    this.#plans = new Plans({ ...deps, work });
    this.#secure = new CurrentAggregation({
      ...deps,
      engine,
      send: (client, task, frame) => this.#sendSecure(client, task, frame),
      post: (event) => this.post(event),
    });
    this.updates = new UpdateIntake({
      spec: init.spec,
      history: init.committed,
      readPast: (round) => readPast(deps.directory, round),
      secure: this.#secure,
      state: () => this.#state,
      post: (event) => this.post(event),
      inTurn: (say) => this.#queue.inTurn(say),
      sendReceipts: (receipts) => sendReceipts(receipts, deps),
    });
    const { createdAtMs: atMs, state } = init;
    if (state.status === 'running') return;
    const { status, reason } = state;
    this.feed.emit(this.#withClients({ kind: 'ended', atMs, status, reason }));
  }

  get state(): RunState {
    return this.#state;
  }

  get model(): GlobalModel {
    return this.#model;
  }

  /** Carries out what a restart left to do, before any event. */
  start(effects: readonly Effect[]): void {
    this.#queue.put(() => this.#carryOut(effects));
  }

  /** Stamps an event and puts it into the queue; it is handled after all that came before it, or never once it closes. */
  post(event: Untimed<RoundEvent>): void {
    const timed = { ...event, atMs: this.#deps.clock.nowMs() } as RoundEvent;
    this.#queue.put(() => this.#handle(timed));
  }

  /**
   * A client is here, with updates that it keeps. Both in their turn: what is in the queue may close the round that they are
   * for, and whoever then gets neither its plan nor a last word would keep them until it comes again.
   */
  enter(client: string, pending: readonly PendingUpdate[], policy?: string): void {
    this.post({ kind: 'online', client, policy });
    const { updates } = this;
    this.#queue.put(function* () {
      yield updates.answerPending(client, pending);
    });
  }

  /** Resolves when nothing is left in the queue. */
  idle(): Promise<void> {
    return this.#queue.idle();
  }

  /** Ends what goes on; when it resolves the journal is whole and closed, no event is handled any more, no timer is set. */
  async close(): Promise<void> {
    await this.#queue.close(); // what is in it may still set a timer
    this.#cancelTimer();
    this.#secure.cancel();
    await this.#deps.journal.close();
  }

  *#handle(event: RoundEvent): Iterable<Promise<void> | void> {
    const [state, effects] = step(this.#state, event);
    this.#state = state;
    yield* this.#carryOut(effects);
  }

  *#carryOut(effects: readonly Effect[]): Iterable<Promise<void> | void> {
    for (const one of batched(effects)) yield (this.#carry[one.kind] as (step: Step) => Promise<void> | void)(one);
  }

  /** A commit goes into the journal, the ledger and the survivors' keeping; only then is its model the run's. */
  async #record(given: RunRecord): Promise<void> {
    const { journal, ledger, identity, noise, send, models } = this.#deps;
    const secure = this.#secure.proofs;
    const record = given.kind === 'committed' && secure !== undefined ? this.#withProofs(given, secure) : given;
    this.#committed.add(record);
    if (record.kind === 'ended') await models.setFinal(this.#model.sha256); // first: a run that has ended has it
    await journal.append(record);
    if (record.kind === 'resumed') await models.setFinal(undefined);
    if (record.kind === 'ended' && record.status === 'completed') await noise.erase();
    if (record.kind !== 'committed') return;
    const signed = signHead(await ledger.append(record), identity);
    for (const { client } of record.survivors) send(client, { kind: 'ledger-head', ...signed });
    if (this.#next === undefined) return;
    this.#previousSha256 = this.#model.sha256;
    this.#model = this.#next;
  }

  #withProofs(given: RecordOf<'committed'>, secure: readonly SecureProof[]): RecordOf<'committed'> {
    const clients = [...new Set(secure.flatMap(({ roster }) => roster.map(({ client }) => client)))];
    const clientHandOvers = this.#deps.handOversOf?.(clients, this.createdAtMs) ?? [];
    return { ...given, secure, ...(clientHandOvers.length > 0 && { clientHandOvers }) };
  }

  #setTimer({ id, atMs }: EffectOf<'timer'>): void {
    this.#cancelTimer(); // the engine waits for one thing at a time
    this.#cancelTimer = this.#deps.clock.after(this.#leftMs(atMs), () => this.post({ kind: 'timer', id }));
  }

  #leftMs(atMs: number): number {
    return Math.max(0, atMs - this.#deps.clock.nowMs());
  }

  #sendPlan({ client, task, deadlineAtMs }: EffectOf<'plan'>): void {
    const frame = this.#plans.frameOf(this.#state, this.#model, task, this.#leftMs(deadlineAtMs));
    this.traffic.down += frame.model.length;
    this.#deps.send(client, frame);
    this.#secure.resume(client); // it may have missed a frame
  }

  #emit(event: RunEvent): void {
    if (event.kind === 'dropped') this.#deps.releaseUpload?.(event.client, this.id);
    if (event.kind === 'ended') {
      this.#cancelTimer();
      this.#secure.cancel();
    }
    this.feed.emit(this.#withClients(event));
  }

  /** The engine knows whom it has seen; who else is enrolled is the coordinator's to say. */
  #withClients(event: RunEvent): RunEvent {
    if (event.kind === 'waiting') return { ...event, ...waitingNow(this.#state, this.enrolled) };
    return event.kind === 'ended' ? { ...event, shares: sharesOf(this.#state, this.enrolled) } : event;
  }

  #openSecure(kind: TaskKind): void {
    const plan = this.#plans.planOf(this.#state, this.#model, kind, this.spec.engine.deadlineMs);
    this.#secure.open(plan, this.#deps.noise.noiseOf(plan));
  }

  #sendSecure(client: string, task: TaskId, frame: Uint8Array): void {
    this.traffic.down += frame.length;
    this.#deps.send(client, { kind: 'secure', task, frame });
  }

  /** How far a client is, if it was asked for this. */
  receiveProgress(client: string, task: TaskId, steps: { stepsDone: number; stepsTotal: number }): void {
    const cohort = workOn(this.#state, task)?.cohort;
    if (cohort === undefined || memberOf(cohort, client) === undefined) return;
    this.feed.emit({ kind: 'progress', atMs: this.#deps.clock.nowMs(), round: task.round, client, ...steps });
  }

  /** A frame of secure aggregation; one of another task is late or wrong, and nobody's. */
  receiveSecure(client: string, task: TaskId, frame: Uint8Array): void {
    this.traffic.up += frame.length;
    if (isAsked(this.#state, client, task)) this.#secure.receive(client, frame);
  }

  /** The sum becomes the next model, and durable. */
  async #commit({ round, attempt }: EffectOf<'commit'>): Promise<void> {
    const { models, directory, strategy, noise } = this.#deps;
    const plan = this.#plans.planOf(this.#state, this.#model, 'train', 0);
    const { mean, withinBound } = this.#secure.takeSum() ?? this.updates.takeMean(plan, () => noise.noiseOf(plan));
    const metadata = modelMetadata(this.id, this.spec.work, round);
    try {
      this.#next = await advanceModel(this.#model, mean, { models, directory, strategy, round, metadata });
    } catch (error) {
      const { code, message } = FlError.from(error);
      if (code !== 'aborted') throw error;
      return this.post({ kind: 'stop', status: 'failed', reason: message }); // this run diverged; the others go on
    }
    this.post({ kind: 'stored', round, attempt, modelSha256: this.#next.sha256, withinBound });
  }

  async #roundEnded({ draft, evaluation }: EffectOf<'round-ended'>): Promise<void> {
    const summary = { ...draft, bytesUp: this.traffic.up, bytesDown: this.traffic.down };
    this.traffic.up = 0;
    this.traffic.down = 0;
    const atMs = this.#deps.clock.nowMs();
    const { judgement, stage } = this.#state;
    const isLast = draft.round === this.spec.work.rounds || stage.kind === 'ended';
    await this.#record({ ...roundEnded(summary, evaluation, isLast), atMs });
    if (Object.keys(evaluation.pooled).length > 0) this.pooled = evaluation.pooled;
    this.feed.emit({ kind: 'round-ended', atMs, summary });
    const { models, directory, journal, ledger } = this.#deps;
    const best = judgement?.best?.modelSha256;
    if (best === this.#model.sha256) await keepBest(models, directory, best);
    await pruneModels(models, directory, [this.#model.sha256, this.#previousSha256, ...(best ? [best] : [])]);
    await journal.compact(ledger.end);
  }
}

function batched(effects: readonly Effect[]): Step[] {
  const steps: Step[] = [];
  let receipts: Receipt[] = [];
  for (const effect of effects) {
    if (effect.kind !== 'receipt') {
      steps.push(effect);
      receipts = [];
      continue;
    }
    if (receipts.length === 0) steps.push({ kind: 'receipts', receipts });
    receipts.push(effect.receipt);
  }
  return steps;
}
