/**
 * One secure aggregation on a client's side: the shell around the pure client machine of `shared/secagg`. It saves the
 * state before anything that depends on it is said, trains when the cohort is frozen, quantizes, and hands out nothing but
 * what the machine lets out.
 */
import { FlError } from '../shared/errors.js';
import type { SumMetrics } from '../shared/metrics.js';
import { type Rng, rngFromKey } from '../shared/rng.js';
import type { RoundPlan, TaskId } from '../shared/round.js';
import {
  aggregationIdOf,
  type ClientContext,
  type ClientPolicy,
  type ClientState,
  type ClientStep,
  createEnrolment,
  createKernel,
  type Enrolment,
  nodeSuite,
  quantize,
  restoreState,
  saveState,
  startClient,
  stepClient,
} from '../shared/secagg/index.js';
import { agree, flattenMetrics, type SecureAgreement } from '../shared/secure.js';
import type { SecureStore } from './secure-store.js';

/** What goes into the vector: values of the contribution, and what weighs and judges them. */
export interface PlainContribution {
  readonly values: Float32Array;
  readonly weight: number;
  readonly metrics: SumMetrics;
}

export interface SecureTaskOptions {
  readonly plan: RoundPlan;
  readonly client: string;
  /** Ed25519, 32 bytes: signs this client's keys and the survivor set. */
  readonly signingSeed: Uint8Array;
  readonly policy: ClientPolicy;
  /** The site's own enrolment list; absent: the one that the coordinator signed into the plan. */
  readonly enrolled?: ReadonlyMap<string, Uint8Array>;
  readonly rng: Rng;
  readonly store: SecureStore;
  /** Trains or evaluates; asked for once the cohort is frozen. */
  contribute(): Promise<PlainContribution>;
  send(frame: Uint8Array): void;
  /** The machine has ended; `refusal` says which check failed. */
  ended(refusal: string | undefined): void;
  failed(error: FlError): void;
}

/** Scratch memory; a step leaves nothing in it that another reads, so all virtual clients of a process share it. */
const kernel = createKernel();

export class SecureTask {
  readonly task: TaskId;
  readonly #options: SecureTaskOptions;
  readonly #agreement: SecureAgreement;
  readonly #context: ClientContext;
  readonly #id: string;
  #state: ClientState | undefined;
  /** One input after the other: a step is over when its outputs are. */
  #work: Promise<void> = Promise.resolve();

  /** @throws FlError invalid-argument: a plan under which no sum is correct */
  constructor(options: SecureTaskOptions, known: { used: boolean }) {
    const { plan, client, signingSeed, policy, rng } = options;
    const { run, kind, round, attempt } = plan;
    this.task = { run, kind, round, attempt };
    this.#options = options;
    this.#agreement = agree(plan);
    const { params, aggregation } = this.#agreement;
    this.#id = Buffer.from(aggregationIdOf(nodeSuite, params, aggregation)).toString('hex');
    this.#context = {
      ...{ suite: nodeSuite, kernel, rng, policy, params, aggregation },
      identity: { id: client, signingSeed },
      enrolment: enrolmentOf(options),
      isUsed: () => known.used,
    };
  }

  /** Begins, or goes on where a crash interrupted. */
  static start(options: SecureTaskOptions): SecureTask {
    const known = { used: false };
    const task = new SecureTask(options, known);
    task.#enqueue(async () => {
      const { used, state } = await options.store.find(task.#id);
      known.used = used;
      if (state === undefined) return task.#take(startClient(task.#context));
      task.#state = restoreState<ClientState>(state);
      return task.#take(stepClient(task.#context, task.#state, { kind: 'resume' }));
    });
    return task;
  }

  receive(frame: Uint8Array): void {
    this.#step({ kind: 'frame', bytes: frame });
  }

  /** The connection is back, or the plan came again. */
  resume(): void {
    this.#step({ kind: 'resume' });
  }

  /** The site leaves: policy, shutdown, or the coordinator's withdrawal. */
  withdraw(): void {
    this.#step({ kind: 'withdraw' });
  }

  #step(input: Parameters<typeof stepClient>[2]): void {
    this.#enqueue(async () => {
      if (this.#state !== undefined) await this.#take(stepClient(this.#context, this.#state, input));
    });
  }

  #enqueue(job: () => Promise<void>): void {
    this.#work = this.#work.then(job).catch((error: unknown) => this.#options.failed(FlError.from(error)));
  }

  async #take([state, outputs]: ClientStep): Promise<void> {
    this.#state = state;
    const { store, send, ended } = this.#options;
    for (const output of outputs) {
      if (output.kind === 'persist') await store.keep(this.#id, saveState(state));
      else if (output.kind === 'send') send(output.frame);
      else if (output.kind === 'vector-wanted') await this.#giveVector();
      else if (output.kind === 'refused') ended(output.reason);
      else ended(undefined);
    }
  }

  async #giveVector(): Promise<void> {
    const { values, weight, metrics } = await this.#options.contribute();
    // By round and not by attempt, under the client's own secret: a round that is repeated rounds to the same integers.
    const { run, kind, round } = this.task;
    const rng = rngFromKey(this.#options.signingSeed, `quantize/${run}/${kind}/${round}`);
    const flat = { values, weight: Math.max(1, Math.round(weight)), metrics: flattenMetrics(this.#agreement, metrics) };
    const vector = quantize({ kernel, suite: nodeSuite, rng }, this.#agreement.quantize, flat);
    if (this.#state === undefined) return;
    await this.#take(stepClient(this.#context, this.#state, { kind: 'vector', values: vector }));
  }
}

function enrolmentOf({ enrolled, plan }: SecureTaskOptions): Enrolment {
  if (enrolled !== undefined) return createEnrolment(nodeSuite, enrolled);
  const listed = Object.entries(plan.secure?.enrolled ?? {});
  return createEnrolment(nodeSuite, new Map(listed.map(([id, key]) => [id, Buffer.from(key, 'hex')])));
}
