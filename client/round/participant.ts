/**
 * The shell around a client's session: keeps one control stream to the coordinator, comes back when it breaks, and is
 * the hand for each effect: download, train, keep, upload, forget. Outbound connections only.
 */
import type { Clock } from '../../shared/clock.js';
import { FlError } from '../../shared/errors.js';
import { toHex } from '../../shared/hex.js';
import { isHeadSignedBy, type SignedHead } from '../../shared/ledger/against.js';
import type { Rng } from '../../shared/rng.js';
import type { RoundPlan, TaskId, UpdateHeader } from '../../shared/run/plan.js';
import {
  type ClientFrame,
  type ControlEnd,
  type CoordinatorFrame,
  type DeclineReason,
  type ParticipantService,
  type PendingUpdate,
  SMALL_BYTES,
} from '../../shared/service.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { type Identity, sha256Hex, signedBytes } from '../../shared/signing/identity.js';
import { type ReceiptCheck, receiptCheck } from '../../shared/signing/receipts.js';
import { bytesOf, sha256Of } from '../../shared/tensors/bytes.js';
import type { ClientStore } from '../store/updates.js';
import type { TaskOptions, TaskRunner } from '../training/task.js';
import { type PlainContribution, type SecureSite, SecureTask } from './secagg-task.js';
import {
  newSession,
  type SessionEffect,
  type SessionEvent,
  type SessionState,
  sameTask,
  step,
  taskOf,
} from './session.js';
import { type PrivacySite, type Tasks, tasksOf } from './tasks.js';
import { backoffMs, Transfers } from './transfers.js';
import { type ModelReader, modelReader, type PlanReader, planReader } from './verify-signed.js';

const PROGRESS_EVERY_MS = 1_000;

export interface ParticipantOptions {
  readonly service: ParticipantService;
  readonly client: string;
  readonly identity: Identity;
  /** Plans and receipts count only when signed with it. */
  readonly coordinatorKey: Uint8Array;
  /** Shared by the virtual clients of one process; absent: one of its own. */
  readonly readPlan?: PlanReader;
  readonly checkReceipt?: ReceiptCheck;
  readonly models?: ModelReader;
  /** Keeps what the coordinator has signed about the ledger line of a round; absent: nothing is kept. */
  readonly keepHead?: (head: SignedHead) => Promise<void>;
  readonly store: ClientStore;
  /** Absent: plans with secure aggregation are declined. */
  readonly secure?: SecureSite;
  readonly trainer: TaskRunner;
  /** Absent: plans with differential privacy fail here. */
  readonly privacy?: PrivacySite;
  /** Which share of a data set that many clients divide; absent: all the data of this site. */
  readonly slice?: { readonly index: number; readonly count: number };
  /** Why a plan is not followed: the site's policy, or a simulated drop-out. */
  readonly refuse?: (plan: RoundPlan) => { readonly reason: DeclineReason; readonly detail: string } | undefined;
  /** Lets a task start; the virtual clients of one process share it, so that few hold a model at a time. */
  readonly limit?: <T>(task: () => Promise<T>) => Promise<T>;
  readonly clock: Clock;
  /** For the jitter of reconnects. */
  readonly rng: Rng;
  readonly version: string;
  readonly notice?: (message: string, fields: object) => void;
}

export class Participant {
  readonly #options: ParticipantOptions;
  readonly #readPlan: PlanReader;
  readonly #checkReceipt: ReceiptCheck;
  readonly #transfers: Transfers;
  readonly #tasks: Tasks;
  #state: SessionState;
  #stream: ControlEnd<ClientFrame> | undefined;
  #session: Uint8Array | undefined;
  #failures = 0;
  #work: { task: TaskId; abort: AbortController } | undefined;
  /** The aggregation that the current task goes through, if it is a secure one. */
  #secure: { readonly plan: RoundPlan; readonly task: SecureTask } | undefined;
  readonly #uploading = new Set<string>();
  /** What came with the last plan. */
  #smallModel: { readonly sha256: string; readonly file: Uint8Array } | undefined;
  /** Resolves when the ledger lines that came are durable: an update goes only after the line that it is in. */
  #heads: Promise<void> = Promise.resolve();
  #stopped = false;
  /** Each ends a wait, which would otherwise keep the process alive for up to half a minute after the end. */
  readonly #waits = new Set<() => void>();
  #finish: (error?: FlError) => void = () => {};
  /** Settles when the participant has stopped; rejects when coming back is of no use. */
  readonly done: Promise<void>;

  private constructor(options: ParticipantOptions, kept: readonly PendingUpdate[]) {
    this.#options = options;
    this.#state = newSession(kept);
    this.#readPlan = options.readPlan ?? planReader(options.coordinatorKey);
    this.#checkReceipt = options.checkReceipt ?? receiptCheck(options.coordinatorKey);
    this.#transfers = new Transfers({
      ...{ service: options.service, identity: options.identity, rng: options.rng },
      ...{ models: options.models ?? modelReader(), notice: options.notice ?? (() => {}) },
      session: () => this.#session,
      sendFrame: (frame) => this.#stream?.send(frame),
      after: (delayMs, fire) => this.#after(delayMs, fire),
    });
    this.#tasks = tasksOf(options, (plan, signal) => this.#transfers.model(plan, this.#smallModel, signal));
    this.done = new Promise((resolve, reject) => {
      this.#finish = (error) => {
        for (const cancel of this.#waits) cancel();
        return error === undefined ? resolve() : reject(error);
      };
    });
  }

  /** Connects and stays until `stop`. */
  static async start(options: ParticipantOptions): Promise<Participant> {
    const participant = new Participant(options, await options.store.list());
    participant.#connect();
    return participant;
  }

  /** Leaves the current round, says so, and closes. Kept updates stay on disk. */
  stop(): void {
    if (this.#stopped) return;
    const detail = 'the client shuts down';
    if (this.#work !== undefined) {
      this.#stream?.send({ kind: 'decline', task: this.#work.task, reason: 'dropout', detail });
      this.#work.abort.abort();
    }
    this.#hangUp(detail);
    this.#finish();
  }

  /** Whatever is still at work, or being written, says nothing more: the next process does. */
  #hangUp(reason: string): void {
    this.#stopped = true;
    this.#stream?.close(reason);
    this.#stream = undefined;
    this.#session = undefined;
  }

  // ---- the control stream --------------------------------------------------------------------------------------

  #connect(): void {
    if (this.#stopped) return;
    const { service, client, version } = this.#options;
    let ended = false;
    const end = (reason: string) => {
      if (ended) return;
      ended = true;
      this.#disconnected(reason);
    };
    const stream = service.connect({ send: (frame) => ended || this.#receive(frame), close: end });
    if (ended) return;
    this.#stream = stream;
    stream.send({ kind: 'hello', client, version, pending: this.#state.kept });
  }

  #disconnected(reason: string): void {
    this.#stream = undefined;
    this.#session = undefined;
    this.#post({ kind: 'disconnected' });
    if (this.#stopped) return;
    const delayMs = backoffMs(this.#failures, this.#options.rng);
    this.#failures++;
    this.#options.notice?.('disconnected', { reason, delayMs: Math.round(delayMs) });
    this.#after(delayMs, () => this.#connect());
  }

  /** Calls `fire` in a while; never, if this participant ends before. */
  #after(delayMs: number, fire: () => void): void {
    if (this.#stopped) return;
    const cancel = this.#options.clock.after(delayMs, () => {
      this.#waits.delete(cancel);
      fire();
    });
    this.#waits.add(cancel);
  }

  #receive(frame: CoordinatorFrame): void {
    const { identity, client } = this.#options;
    switch (frame.kind) {
      case 'challenge': {
        const signature = identity.sign(signedBytes('session', { client, nonce: frame.nonce }));
        return this.#stream?.send({ kind: 'proof', signature });
      }
      case 'welcome':
        this.#session = frame.session;
        this.#failures = 0;
        this.#options.notice?.('connected', {});
        return this.#post({ kind: 'connected' });
      case 'plan':
        return this.#onPlan(frame);
      case 'withdrawal':
        return this.#post({ kind: 'withdrawn', task: frame.task });
      case 'secure':
        if (this.#secure === undefined || !sameTask(this.#secure.plan, frame.task)) return;
        return this.#secure.task.receive(frame.frame);
      case 'receipt':
        if (frame.receipt.client === client && this.#checkReceipt(frame))
          return this.#post({ kind: 'receipt', receipt: frame.receipt });
        return this.#options.notice?.('receipt ignored: not signed by the coordinator for this client', {});
      case 'ledger-head':
        return this.#onHead(frame);
      case 'goodbye':
        this.#options.notice?.('sent away', { reason: frame.reason });
        if (frame.retry) return;
        this.#stopped = true;
        return this.#finish(new FlError('permission-denied', `the coordinator refused this client: ${frame.reason}`));
    }
  }

  #onHead({ head, signature }: SignedHead): void {
    const { keepHead, coordinatorKey, notice } = this.#options;
    if (keepHead === undefined) return;
    if (!isHeadSignedBy({ head, signature }, toHex(coordinatorKey))) {
      return notice?.('ledger head ignored: not signed by the coordinator', {});
    }
    this.#heads = this.#heads.then(() => keepHead({ head, signature }));
    this.#heads.catch((error) => this.#fail(error));
  }

  #onPlan({ body, signature, model }: Extract<CoordinatorFrame, { kind: 'plan' }>): void {
    let plan: RoundPlan;
    try {
      plan = this.#readPlan(body, signature);
    } catch (error) {
      return this.#options.notice?.('plan ignored', { reason: FlError.from(error).message });
    }
    this.#smallModel = { sha256: plan.modelSha256, file: model };
    if (this.#secure !== undefined && sameTask(this.#secure.plan, plan)) {
      if (this.#secure.plan.secure?.nonce === plan.secure?.nonce) return this.#secure.task.resume();
      this.#post({ kind: 'withdrawn', task: taskOf(plan) }); // the coordinator started over, with new keys
    }
    const refusal = this.#options.refuse?.(plan);
    this.#post({ kind: 'plan', plan, ...(refusal === undefined ? {} : { refusal }) });
  }

  // ---- effects -------------------------------------------------------------------------------------------------

  #post(event: SessionEvent): void {
    if (this.#stopped) return;
    const [state, effects] = step(this.#state, event);
    this.#state = state;
    for (const effect of effects) this.#perform(effect);
  }

  #perform(effect: SessionEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#stream?.send(effect.frame);
      case 'cancel':
        return this.#cancel();
      case 'work':
        return void this.#startWork(effect.plan);
      case 'upload':
        return void this.#upload(effect.update);
      case 'forget':
        return void this.#heads
          .then(() => this.#options.store.forget(effect.update))
          .catch((error) => this.#fail(error));
    }
  }

  /** A fault of this machine (its disk, mostly): nothing more may be promised. */
  #fail(error: unknown): void {
    this.#hangUp('the client failed');
    this.#finish(FlError.from(error));
  }

  #cancel(): void {
    this.#work?.abort.abort();
    this.#secure?.task.withdraw();
    this.#secure = undefined;
  }

  #startWork(plan: RoundPlan): void {
    const abort = new AbortController();
    this.#work = { task: taskOf(plan), abort };
    if (plan.work.secure !== undefined) return this.#startSecure(plan, abort);
    const { limit = atOnce } = this.#options;
    void limit(() => this.#doWork(plan, abort));
  }

  /** Keys and shares first; training when the cohort is frozen; then only what is masked goes out. */
  #startSecure(plan: RoundPlan, abort: AbortController): void {
    const { client, secure: site, limit = atOnce } = this.#options;
    const task = taskOf(plan);
    if (site === undefined) {
      return this.#post({ kind: 'failed', task, detail: 'this client has no secure aggregation' });
    }
    /** An aggregation ends in its own time; if it was cancelled, another has taken its place, perhaps for the same task. */
    const end = (event: SessionEvent, detail: string | undefined) => {
      if (this.#work?.abort === abort) this.#work = undefined;
      if (abort.signal.aborted) return;
      this.#secure = undefined;
      if (detail !== undefined) this.#options.notice?.('refused', { ...task, detail });
      this.#post(event);
    };
    try {
      const options = { signal: abort.signal, onProgress: inPercent(this.#progressOf(task)) };
      const secure = SecureTask.start({
        ...{ plan, client, store: site.store, signingSeed: site.signingSeed, policy: site.policy },
        ...(site.enrolled !== undefined && { enrolled: site.enrolled }),
        rng: site.rng.split(`${plan.run}/${plan.kind}/${plan.round}/${plan.attempt}/${plan.secure?.nonce}`),
        contribute: () => limit(() => this.#contribute(plan, options)),
        send: (frame) => this.#sendSecure(plan, frame),
        ended: (refusal) => end({ kind: 'finished', task }, refusal),
        failed: ({ message }) => end({ kind: 'failed', task, detail: message }, message),
      });
      this.#secure = { plan, task: secure };
    } catch (error) {
      const { message } = FlError.from(error);
      end({ kind: 'failed', task, detail: message }, message);
    }
  }

  async #contribute(plan: RoundPlan, options: TaskOptions): Promise<PlainContribution> {
    if (plan.kind === 'train') return this.#tasks.train(plan, options);
    return { values: new Float32Array(0), weights: [], metrics: await this.#tasks.evaluate(plan, options) };
  }

  /** A small frame through the stream; a large masked vector by an upload of its own. */
  #sendSecure(plan: RoundPlan, frame: Uint8Array): void {
    if (frame.length <= SMALL_BYTES) return this.#stream?.send({ kind: 'secure', task: taskOf(plan), frame });
    const { run, round, attempt } = plan;
    const header = { run, round, attempt, weights: [], metrics: {}, sha256: sha256Hex(frame), sizeBytes: frame.length };
    void this.#transfers.send(header, frame);
  }

  async #doWork(plan: RoundPlan, abort: AbortController): Promise<void> {
    const task = taskOf(plan);
    try {
      if (abort.signal.aborted) return;
      const options = { signal: abort.signal, onProgress: this.#progressOf(task) };
      if (plan.kind === 'train') await this.#train(plan, options);
      else await this.#evaluate(plan, options);
    } catch (error) {
      if (abort.signal.aborted) return;
      const { message } = FlError.from(error);
      this.#options.notice?.('task failed', { ...task, message });
      this.#post({ kind: 'failed', task, detail: message });
    } finally {
      if (this.#work?.abort === abort) this.#work = undefined;
    }
  }

  async #train(plan: RoundPlan, options: TaskOptions): Promise<void> {
    const { values, weights, metrics } = await this.#tasks.train(plan, options);
    if (options.signal?.aborted) return;
    const { run, round, attempt } = plan;
    const header: UpdateHeader = {
      ...{ run, round, attempt, weights, metrics },
      sha256: sha256Of({ values }),
      sizeBytes: values.byteLength,
    };
    await this.#options.store.keep({ header, values });
    this.#post({ kind: 'trained', task: taskOf(plan), sha256: header.sha256 });
  }

  async #evaluate(plan: RoundPlan, options: TaskOptions): Promise<void> {
    const metrics = await this.#tasks.evaluate(plan, options);
    if (!options.signal?.aborted) this.#post({ kind: 'evaluated', task: taskOf(plan), metrics });
  }

  #progressOf(task: TaskId): NonNullable<TaskOptions['onProgress']> {
    let lastMs = this.#options.clock.nowMs();
    return (stepsDone, stepsTotal) => {
      const nowMs = this.#options.clock.nowMs();
      if (nowMs - lastMs < PROGRESS_EVERY_MS) return;
      lastMs = nowMs;
      this.#stream?.send({ kind: 'progress', task, stepsDone, stepsTotal });
    };
  }

  /** Sends a kept update until the coordinator has answered, or the stream is gone: then its plan comes again. */
  async #upload(update: PendingUpdate): Promise<void> {
    const key = canonicalJson(update);
    if (this.#uploading.has(key)) return;
    this.#uploading.add(key);
    try {
      const { header, values } = await this.#options.store.read(update);
      await this.#transfers.send(header, bytesOf(values));
    } catch (error) {
      this.#options.notice?.('upload failed', { ...update, reason: FlError.from(error).message });
    } finally {
      this.#uploading.delete(key);
    }
  }
}

const atOnce = <T>(task: () => Promise<T>): Promise<T> => task();

/** How many steps there are says how many examples a client has; how far it is does not. */
function inPercent(report: NonNullable<TaskOptions['onProgress']>): NonNullable<TaskOptions['onProgress']> {
  return (stepsDone, stepsTotal) => report(Math.floor((100 * stepsDone) / Math.max(1, stepsTotal)), 100);
}
