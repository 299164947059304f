/**
 * The shell around a client's session: what the coordinator says becomes events, and for each effect it is the hand that
 * works, keeps, uploads, forgets. The stream (connection.ts), a task under way (work.ts) and transfers have files of their own.
 */
import type { Clock } from '../../shared/clock.js';
import { adviceOn } from '../../shared/disk/faults.js';
import { FlError } from '../../shared/errors.js';
import { toHex } from '../../shared/hex.js';
import { isHeadSignedBy, type SignedHead } from '../../shared/ledger/against.js';
import type { Rng } from '../../shared/rng.js';
import type { Receipt, RoundPlan, TaskId } from '../../shared/run/plan.js';
import type { ParticipantService, PendingUpdate } from '../../shared/service.js';
import { type Answer, signAnswer } from '../../shared/signing/answers.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { type Identity, sha256Hex } from '../../shared/signing/identity.js';
import { type ReceiptCheck, receiptCheck } from '../../shared/signing/receipts.js';
import { type Followed, memoryFollowed } from '../store/followed.js';
import { memoryOpenings } from '../store/openings.js';
import type { SiteEvent, SiteLog } from '../store/site-log.js';
import type { ClientStore } from '../store/updates.js';
import type { SiteRules, TaskRunner } from '../training/task.js';
import { Connection, type WorkFrame } from './connection.js';
import { type AskExamples, askExamples, decisionNotices } from './examples.js';
import { planEvent } from './plan-event.js';
import { drawRefusalOf, type PrivacySite } from './privatize.js';
import { sayable } from './sayable.js';
import type { SecaggSite, SecaggTask } from './secagg-task.js';
import {
  type Decline,
  newSession,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
  sameTask,
  step,
  taskOf,
} from './session.js';
import { tasksOf } from './tasks.js';
import { type SmallModel, Transfers } from './transfers.js';
import { type ModelReader, modelReader, type PlanReader, planReader } from './verify-signed.js';
import { startWork, type Work, type WorkDeps } from './work.js';

/** Who a client is, what it has to work with, and what its site allows. */
export interface ParticipantOptions {
  readonly service: ParticipantService;
  readonly client: string;
  readonly identity: Identity;
  /** Whoever has another is not talked to; plans and receipts count only when signed with it. */
  readonly coordinatorKey: Uint8Array;
  /** The coordinator has another key, to which its own word leads: nothing happens here any more but `stop`. */
  readonly handedOver?: (coordinatorKey: Uint8Array) => void;
  /** Shared by the virtual clients of one process; absent: one of its own. */
  readonly readPlan?: PlanReader;
  readonly checkReceipt?: ReceiptCheck;
  readonly models?: ModelReader;
  /** Keeps what the coordinator has signed about the ledger line of a round; absent: nothing is kept. */
  readonly keepHead?: (head: SignedHead) => Promise<void>;
  /** What the coordinator has signed of its runs' progress; absent: shown to it as long as this process lives. */
  readonly followed?: Followed;
  /** Takes down what comes, what is decided and what leaves; absent: nothing is taken down. */
  readonly siteLog?: SiteLog;
  readonly store: ClientStore;
  /** Absent: plans with secure aggregation are declined. */
  readonly secure?: SecaggSite;
  readonly trainer: TaskRunner;
  /** Absent: plans with differential privacy fail here. */
  readonly privacy?: PrivacySite;
  /** Which share of a data set that many clients divide; absent: all the data of this site. */
  readonly slice?: { readonly index: number; readonly count: number };
  /** What this site decides of its work by itself. */
  readonly site?: SiteRules;
  /**
   * Why a plan is not followed: the site's policy, or a simulated drop-out. While the answer is awaited, what the
   * coordinator says next waits its turn; an error of it is one of this machine, and ends the participant.
   */
  readonly declineReason?: (plan: RoundPlan) => Decline | undefined | Promise<Decline | undefined>;
  /** Lets a task start; the virtual clients of one process share it, so that few hold a model at a time. */
  readonly limit?: <T>(task: () => Promise<T>) => Promise<T>;
  readonly clock: Clock;
  /** For nonces, and the jitter of reconnects; must differ each time that a client starts. */
  readonly rng: Rng;
  readonly version: string;
  /** Stands for what this site allows; absent: the coordinator does not ask again what was declined. */
  readonly policy?: string;
  readonly notice?: (message: string, fields: object) => void;
  /** Hears of each plan that was followed to its end. */
  readonly answered?: (plan: RoundPlan) => void;
}

/** One client, from `start` until `stop` or an end that coming back does not mend. */
export class Participant {
  readonly #options: ParticipantOptions;
  readonly #notice: (message: string, fields: object) => void;
  readonly #readPlan: PlanReader;
  readonly #checkReceipt: ReceiptCheck;
  readonly #connection: Connection;
  readonly #followed: Followed;
  readonly #transfers: Transfers;
  readonly #workDeps: WorkDeps;
  #state: SessionState;
  /** The task that was begun last; it may have ended. */
  #work: Work | undefined;
  readonly #uploading = new Set<string>();
  readonly #askExamples: AskExamples;
  readonly #sayDecided: (plan: RoundPlan, decline: Decline | undefined) => void;
  /** What came with the last plan. */
  #smallModel: SmallModel | undefined;
  /** Resolves when the ledger lines that came are durable: an update goes only after the line that it is in. */
  #heads: Promise<void> = Promise.resolve();
  /** Pending while a plan is being decided on. */
  #turn: Promise<void> | undefined;
  #stopped = false;
  #finish: (error?: FlError) => void = () => {};
  /** Settles when the participant has stopped; rejects when coming back is of no use. */
  readonly done: Promise<void>;

  private constructor(options: ParticipantOptions, kept: readonly PendingUpdate[]) {
    const { service, client, identity, coordinatorKey, clock, rng, version, policy, limit = atOnce } = options;
    const notice = (message: string, fields: object) => {
      options.notice?.(message, fields);
      if (!UNNOTED.has(message)) void this.#note({ event: 'noticed', message, fields: { ...fields } });
    };
    this.#options = options;
    this.#notice = notice;
    this.#askExamples = askExamples(options);
    this.#sayDecided = decisionNotices(notice);
    this.#state = newSession(kept);
    this.#readPlan = options.readPlan ?? planReader(coordinatorKey);
    this.#checkReceipt = options.checkReceipt ?? receiptCheck(coordinatorKey);
    this.#followed = options.followed ?? memoryFollowed();
    this.#connection = new Connection({
      service,
      client,
      identity,
      coordinatorKey,
      handedOver: options.handedOver,
      version,
      policy,
      clock,
      rng,
      notice,
      pending: () => this.#state.kept,
      shown: () => this.#followed.shown(),
      connected: () => this.#post({ kind: 'connected' }),
      disconnected: () => this.#post({ kind: 'disconnected' }),
      receive: (frame) => this.#receive(frame),
      sentAway: (reason) => {
        this.#end(reason, new FlError('permission-denied', `the coordinator refused this client: ${reason}`));
      },
    });
    const models = options.models ?? modelReader();
    this.#transfers = new Transfers({ service, identity, rng, models, notice, connection: this.#connection });
    this.#workDeps = {
      client,
      clock,
      limit,
      notice,
      answered: options.answered,
      store: options.store,
      secure: options.secure && { ...options.secure, openings: options.secure.openings ?? memoryOpenings() },
      tasks: tasksOf(options, (plan, signal) => this.#transfers.model(plan, this.#smallModel, signal)),
      post: (event) => this.#post(event),
      broke: (error) => this.#fail(error),
      send: (frame) => this.#connection.send(frame),
      upload: (header, bytes) => void this.#transfers.send(header, bytes),
      record: options.siteLog && ((task, what, bytes) => this.#recordSent(task, what, bytes)),
    };
    this.done = new Promise((resolve, reject) => {
      this.#finish = (error) => (error === undefined ? resolve() : reject(error));
    });
  }

  /** Connects and stays until `stop`. @throws FlError corrupt: an update that is kept here is damaged */
  static async start(options: ParticipantOptions): Promise<Participant> {
    const participant = new Participant(options, await options.store.list());
    participant.#connection.open();
    return participant;
  }

  /** Leaves the current round, says so, and closes. Kept updates stay on disk. */
  stop(): void {
    if (this.#stopped) return;
    const detail = 'the client shuts down';
    const { working } = this.#state;
    if (working !== undefined) {
      this.#say({ kind: 'decline', task: taskOf(working), reason: 'dropout', detail });
      this.#work?.stop();
    }
    this.#end(detail);
  }

  /** A fault of this machine (its disk, mostly): nothing more may be promised. */
  #fail(error: unknown): void {
    this.#end('the client failed', FlError.from(error));
  }

  /** Whatever is still at work, or being written, says nothing more: the next process does. */
  #end(reason: string, error?: FlError): void {
    this.#stopped = true;
    this.#connection.close(reason);
    this.#finish(error);
  }

  // ---- what the coordinator says -------------------------------------------------------------------------------

  /** In the order in which it was said, also while a plan is being decided on. */
  #receive(frame: WorkFrame): void {
    const asked = this.#turn === undefined ? this.#hear(frame) : this.#turn.then(() => this.#hear(frame));
    if (asked === undefined) return;
    const turn = asked
      .catch((error) => this.#fail(error))
      .finally(() => {
        if (this.#turn === turn) this.#turn = undefined;
      });
    this.#turn = turn;
  }

  /** Undefined: all is done. */
  #hear(frame: WorkFrame): Promise<void> | undefined {
    if (this.#stopped) return undefined;
    if (frame.kind === 'plan') return this.#onPlan(frame);
    this.#onWord(frame);
    return undefined;
  }

  #onWord(frame: Exclude<WorkFrame, { kind: 'plan' }>): void {
    switch (frame.kind) {
      case 'withdrawal':
        return this.#post({ kind: 'withdrawn', task: frame.task });
      case 'secure':
        return this.#aggregationOf(frame.task)?.receive(frame.frame);
      case 'receipt':
        if (frame.receipt.client === this.#options.client && this.#checkReceipt(frame))
          return this.#onReceipt(frame.receipt);
        return this.#notice('receipt ignored: not signed by the coordinator for this client', {});
      case 'ledger-head':
        return this.#onHead(frame);
    }
  }

  #onPlan({ body, signature, model, taskSignature }: Extract<WorkFrame, { kind: 'plan' }>): Promise<void> | undefined {
    let plan: RoundPlan;
    try {
      plan = this.#readPlan(body, signature);
    } catch (error) {
      this.#notice('plan ignored', { reason: FlError.from(error).message });
      return undefined;
    }
    if (taskSignature !== undefined) {
      const task = { task: taskOf(plan), signature: taskSignature };
      this.#followed.task(task).catch((error) => this.#fail(error));
    }
    this.#smallModel = { sha256: plan.modelSha256, file: model };
    const aggregation = this.#aggregationOf(plan);
    if (aggregation !== undefined) {
      if (this.#work?.plan.secure?.nonce === plan.secure?.nonce) {
        aggregation.resume();
        return undefined;
      }
      this.#post({ kind: 'withdrawn', task: taskOf(plan) }); // the coordinator started over, with new keys
    }
    const decline = this.#options.declineReason?.(plan);
    if (decline instanceof Promise) return decline.then((said) => this.#answerIfAble(plan, said));
    return this.#answerIfAble(plan, decline);
  }

  /** Also a plan that nothing forbids is declined by who has nothing to follow it with. */
  #answerIfAble(plan: RoundPlan, forbidden: Decline | undefined): Promise<void> | undefined {
    const decline = forbidden ?? this.#drawDecline(plan) ?? this.#askExamples(plan);
    if (decline instanceof Promise) return decline.then((said) => this.#answer(plan, said));
    this.#answer(plan, decline);
    return undefined;
  }

  /** The site's own console hears what the coordinator is told. */
  #answer(plan: RoundPlan, decline: Decline | undefined): void {
    if (this.#options.siteLog !== undefined) void this.#note(planEvent(plan, decline));
    this.#sayDecided(plan, decline);
    this.#post({ kind: 'plan', plan, decline });
  }

  /** A run that goes backwards would have noise drawn again: both sides are told, the operator what to do about it. */
  #drawDecline(plan: RoundPlan): Decline | undefined {
    const detail = drawRefusalOf(plan, this.#options.privacy);
    return detail === undefined ? undefined : { reason: 'refused', detail };
  }

  /** What is in a model, or in a run that nobody knows, is asked for no more. */
  #onReceipt(receipt: Receipt): void {
    const { run, round, outcome, reason } = receipt;
    if (outcome === 'committed' || reason === 'unknown') this.#settle(run, round);
    if (outcome === 'dropped') this.#notice('update dropped', { run, round, reason });
    this.#post({ kind: 'receipt', receipt });
  }

  /** Erases what was released for rounds that are over, before the word on that is kept: after a crash it comes again. */
  #settle(run: string, round: number): void {
    const releases = this.#options.privacy?.releases;
    if (releases === undefined) return;
    this.#heads = this.#heads.then(() => releases.settle(run, round));
    this.#heads.catch((error) => this.#fail(error));
  }

  /** The aggregation under way for this task, if that is the one. */
  #aggregationOf(task: TaskId): SecaggTask | undefined {
    return this.#work !== undefined && sameTask(this.#work.plan, task) ? this.#work.aggregation : undefined;
  }

  #onHead({ head, signature }: SignedHead): void {
    const { keepHead, coordinatorKey } = this.#options;
    if (keepHead === undefined) return;
    if (!isHeadSignedBy({ head, signature }, toHex(coordinatorKey))) {
      return this.#notice('ledger head ignored: not signed by the coordinator', {});
    }
    this.#followed.head({ head, signature });
    this.#settle(head.run, head.round);
    this.#notice('round committed', { run: head.run, round: head.round });
    this.#heads = this.#heads.then(() => keepHead({ head, signature }));
    this.#heads.catch((error) => this.#fail(error));
  }

  // ---- what the site's log is told ------------------------------------------------------------------------------

  /** Resolves in any case: a log that cannot be written ends this client. */
  async #note(event: SiteEvent): Promise<void> {
    try {
      await this.#options.siteLog?.add(event);
    } catch (error) {
      this.#fail(error);
    }
  }

  /** Before it leaves. @throws FlError: the disk failed, and it must not leave */
  async #recordSent(task: TaskId, what: string, bytes: Uint8Array): Promise<void> {
    const { siteLog } = this.#options;
    if (siteLog === undefined) return;
    await siteLog.add({ event: 'sent', ...task, what, sizeBytes: bytes.length, sha256: sha256Hex(bytes) });
  }

  // ---- what the session decides --------------------------------------------------------------------------------

  #post(event: SessionEvent): void {
    if (this.#stopped) return;
    const [state, effects] = step(this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: SessionEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#say(effect.frame);
      case 'cancel':
        return this.#work?.cancel();
      case 'work':
        this.#work = startWork(effect.plan, this.#workDeps);
        return;
      case 'upload':
        return void this.#upload(effect.update);
      case 'forget':
        return void this.#heads
          .then(() => this.#options.store.forget(effect.update))
          .catch((error) => this.#fail(error));
    }
  }

  #say(answer: Answer): void {
    const { identity, client } = this.#options;
    this.#connection.send(signAnswer(identity, client, sayable(answer)));
  }

  /** Sends a kept update until the coordinator has answered, or the stream is gone: then its plan comes again. */
  async #upload(update: PendingUpdate): Promise<void> {
    const key = canonicalJson(update);
    if (this.#uploading.has(key)) return;
    this.#uploading.add(key);
    try {
      const { header, bytes } = await this.#options.store.read(update);
      const { run, round, attempt } = header;
      await this.#recordSent({ run, kind: 'train', round, attempt }, 'update', bytes);
      await this.#transfers.send(header, bytes);
    } catch (error) {
      if (adviceOn(error) !== undefined) return this.#fail(error);
      this.#notice('upload failed', { ...update, reason: FlError.from(error).message });
    } finally {
      this.#uploading.delete(key);
    }
  }
}

/** Comings and goings, of which a network that is down makes thousands; and what the site's log says in lines of its own. */
const UNNOTED: ReadonlySet<string> = new Set(['connected', 'disconnected', 'plan followed', 'round committed']);

const atOnce = <T>(task: () => Promise<T>): Promise<T> => task();
