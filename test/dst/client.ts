/**
 * A client of a simulated world: the shell of `client/round/participant.ts` in small, around the real session. Its store
 * outlives its crashes; its stream, its work and its memory do not.
 */
import { newSession, type SessionEffect, type SessionEvent, type SessionState } from '../../client/round/session.js';
import type { RoundPlan, TaskId } from '../../shared/run/plan.js';
import type { ClientFrame, PendingUpdate } from '../../shared/service.js';
import type { Answer } from '../../shared/signing/answers.js';
import type { ControlStream, Frame, SimulatedCoordinator } from './coordinator.js';
import * as must from './invariants.js';
import { type ClientPlan, DEADLINE_MS, type Mishap } from './scenario.js';
import type { Subject } from './subject.js';
import { Stream, type World } from './world.js';

export class SimulatedClient {
  readonly name: string;
  readonly #refuses: boolean;
  readonly #world: World;
  readonly #ledger: must.Ledger;
  readonly #subject: Subject;
  readonly #coordinator: SimulatedCoordinator;
  readonly #store: PendingUpdate[] = [];
  readonly #mishaps: Mishap[] = [];
  #state: SessionState = newSession([]);
  #stream: ControlStream | undefined;
  #welcome = false;
  #work: TaskId | undefined;
  #uploading = new Set<string>();
  #made = 0;
  #life = 0;
  #up = false;
  #left = false;

  constructor(
    world: World,
    plan: ClientPlan,
    around: { ledger: must.Ledger; subject: Subject; coordinator: SimulatedCoordinator },
  ) {
    this.name = plan.name;
    this.#refuses = plan.refuses;
    this.#world = world;
    this.#ledger = around.ledger;
    this.#subject = around.subject;
    this.#coordinator = around.coordinator;
    world.after(plan.joinsAtMs, () => this.#start());
  }

  get left(): boolean {
    return this.#left;
  }

  /** At the end of the world. */
  checkEmpty(): void {
    must.nothingIsKeptForEver(this.name, this.#state, this.#store);
  }

  // ---- faults --------------------------------------------------------------------------------------------------

  arm(mishap: Mishap): void {
    this.#mishaps.push(mishap);
  }

  disarm(): void {
    this.#mishaps.length = 0;
  }

  cut(): void {
    this.#stream?.cut();
  }

  crash(downMs: number): void {
    if (!this.#up || this.#left) return;
    this.#world.note(`${this.name} dies`);
    this.#die();
    this.#world.after(downMs, () => this.#start());
  }

  leave(): void {
    this.#left = true;
    if (!this.#up) return;
    if (this.#work !== undefined) this.#say({ kind: 'decline', task: this.#work, reason: 'dropout', detail: 'leaves' });
    this.#stream?.closeByClient();
    this.#stream = undefined;
    this.#die();
  }

  #die(): void {
    this.#up = false;
    this.#life++;
    this.#stream?.cut();
    this.#stream = undefined;
    this.#welcome = false;
    this.#work = undefined;
    this.#uploading = new Set();
  }

  #happens(mishap: Mishap): boolean {
    const at = this.#mishaps.indexOf(mishap);
    if (at >= 0) this.#mishaps.splice(at, 1);
    return at >= 0;
  }

  /** Later, if this process still lives. */
  #after(delayMs: number, run: () => void): void {
    const life = this.#life;
    this.#world.after(delayMs, () => {
      if (life === this.#life) run();
    });
  }

  // ---- the control stream --------------------------------------------------------------------------------------

  #start(): void {
    if (this.#left) return;
    this.#up = true;
    this.#state = newSession([...this.#store]);
    this.#connect();
  }

  #connect(): void {
    const pending = this.#state.kept;
    for (const { sha256 } of pending) this.#ledger.offered.add(sha256);
    this.#after(this.#world.dice.between(1, 120), () => {
      const stream: ControlStream = new Stream<ClientFrame, Frame>(
        this.#world,
        {
          receive: (frame) => this.#coordinator.receive(this.name, frame),
          broken: () => this.#coordinator.gone(this.name, stream),
        },
        { receive: (frame) => this.#receive(frame), broken: () => this.#broken(stream) },
      );
      this.#stream = stream;
      if (!this.#coordinator.accept(this, stream, pending)) {
        this.#stream = undefined;
        this.#after(this.#world.dice.between(200, 1500), () => this.#connect());
      }
    });
  }

  #broken(stream: ControlStream): void {
    if (this.#stream !== stream) return;
    this.#stream = undefined;
    this.#welcome = false;
    this.#post({ kind: 'disconnected' });
    this.#after(this.#world.dice.between(200, 1000), () => this.#connect());
  }

  #receive(frame: Frame): void {
    switch (frame.kind) {
      case 'welcome':
        this.#welcome = true;
        return this.#post({ kind: 'connected' });
      case 'plan':
        return this.#onPlan(frame.plan);
      case 'withdraw':
        return this.#post({ kind: 'withdrawn', task: frame.task });
      case 'receipt':
        this.#ledger.told.set(`${this.name}/${frame.receipt.updateSha256}`, frame.receipt);
        return this.#post({ kind: 'receipt', receipt: frame.receipt });
    }
  }

  #onPlan(plan: RoundPlan): void {
    if (this.#refuses && plan.kind === 'train') {
      return this.#post({ kind: 'plan', plan, decline: { reason: 'refused', detail: 'policy' } });
    }
    const drops = this.#happens('drop-out');
    this.#post({ kind: 'plan', plan, ...(drops && { decline: { reason: 'dropout', detail: 'mishap' } }) });
  }

  #say(answer: Answer): void {
    this.#stream?.toServer({ ...answer, signature: new Uint8Array(64) });
  }

  // ---- the session and its effects -------------------------------------------------------------------------------

  #post(event: SessionEvent): void {
    const before = this.#state;
    const [state, effects] = this.#subject.clientStep(before, event);
    this.#state = state;
    this.#world.note(`${this.name} ${event.kind} ${effects.map(({ kind }) => kind)}`);
    for (const effect of effects) this.#carryOut(effect);
  }

  #carryOut(effect: SessionEffect): void {
    switch (effect.kind) {
      case 'send':
        return this.#say(effect.frame);
      case 'cancel':
        this.#work = undefined;
        return;
      case 'work':
        must.onePlanInWork(this.#work !== undefined, effect);
        must.keptIsNotTrainedAgain(this.#state, effect);
        return this.#doWork(effect.plan);
      case 'upload':
        return this.#upload(effect.update);
      case 'forget':
        must.forgottenOnlyWhenTold(this.#ledger, this.name, effect.update);
        return this.#drop(effect.update);
    }
  }

  /** Stored by round and attempt, as the file store does. */
  #drop({ round, attempt }: PendingUpdate): void {
    const at = this.#store.findIndex((kept) => kept.round === round && kept.attempt === attempt);
    if (at >= 0) this.#store.splice(at, 1);
  }

  #doWork(plan: RoundPlan): void {
    const { run, kind, round, attempt } = plan;
    const task: TaskId = { run, kind, round, attempt };
    this.#work = task;
    const { dice } = this.#world;
    const workMs = this.#happens('slow') ? DEADLINE_MS + dice.between(1, 3000) : dice.between(50, 1200);
    this.#after(workMs, () => {
      if (this.#work !== task) return;
      if (kind === 'train' && this.#happens('fail-training'))
        return this.#end(task, { kind: 'failed', task, detail: 'mishap' });
      if (kind === 'evaluate') {
        return this.#end(task, { kind: 'evaluated', task, metrics: { loss: { sum: [round], count: 1 } } });
      }
      const update = this.#make(task);
      this.#drop(update);
      this.#store.push(update); // durable; a crash or a withdrawal may come before the session hears of it
      this.#after(dice.between(1, 30), () => this.#end(task, { kind: 'trained', task, sha256: update.sha256 }));
    });
  }

  #end(task: TaskId, event: SessionEvent): void {
    if (this.#work === task) this.#work = undefined;
    this.#post(event);
  }

  #make({ run, round, attempt }: TaskId, valid = !this.#happens('bad-update')): PendingUpdate {
    const sha256 = `${this.name}-${++this.#made}`;
    const value = this.#world.dice.between(1, 2 ** 20);
    this.#ledger.updates.set(sha256, { client: this.name, round, attempt, value, valid });
    return { run, round, attempt, sha256 };
  }

  // ---- uploads ---------------------------------------------------------------------------------------------------

  #upload(update: PendingUpdate): void {
    if (this.#uploading.has(update.sha256)) return;
    this.#uploading.add(update.sha256);
    this.#ledger.offered.add(update.sha256);
    this.#tryUpload(update);
    if (this.#happens('second-update')) this.#tryUpload(this.#make({ ...update, kind: 'train' }, true));
  }

  #tryUpload(update: PendingUpdate): void {
    const stream = this.#stream;
    if (!this.#welcome || stream === undefined) {
      this.#uploading.delete(update.sha256);
      return; // its plan comes again
    }
    const { dice } = this.#world;
    const again = () => this.#after(dice.between(250, 1000), () => this.#tryUpload(update));
    if (this.#happens('lose-request')) return again();
    const losesReply = this.#happens('lose-reply');
    const call = { client: this.name, update };
    this.#world.after(dice.between(5, 400), () =>
      this.#coordinator.upload(stream, call, (reply) => {
        const stale = reply === 'denied' && this.#stream !== stream; // the call was older than the stream of today
        if (reply === undefined || losesReply || stale) return again();
        this.#after(dice.between(1, 120), () => this.#uploading.delete(update.sha256));
      }),
    );
    if (this.#happens('twice'))
      this.#world.after(dice.between(5, 3000), () => this.#coordinator.upload(stream, call, () => {}));
  }
}
