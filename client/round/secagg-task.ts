/**
 * One secure aggregation on a client's side: the shell around the pure client machine of `shared/secagg`. It saves the
 * state before anything that depends on it is said, trains when the cohort is frozen, quantizes, and hands out nothing but
 * what the machine lets out.
 */
import { FlError } from '../../shared/errors.js';
import { fromHex, toHex } from '../../shared/hex.js';
import { type Rng, rngFromKey } from '../../shared/rng.js';
import { lossOf, lossyPart, ownLossWords } from '../../shared/run/lossy.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { RoundPlan, TaskId } from '../../shared/run/plan.js';
import { planOfMember } from '../../shared/run/secagg-groups.js';
import { cutMetricsWords, flattenMetrics, type SecaggSetup, secaggSetupOf } from '../../shared/run/secagg-params.js';
import {
  aggregationIdOf,
  type ClientContext,
  type ClientPolicy,
  type ClientState,
  type ClientStep,
  createEnrolment,
  createKernel,
  type Enrolment,
  type FrameType,
  nodeSuite,
  quantize,
  restoreState,
  saveState,
  startClient,
  stepClient,
  summedKeys,
} from '../../shared/secagg/index.js';
import { memberIdOf, type Openings } from '../store/openings.js';
import type { SecaggStore } from '../store/secagg.js';
import { isNoisedByClients, type Opening, wordsOf } from './differencing.js';

/** What goes into the vector: values of the contribution, and what weighs and judges them. */
export interface PlainContribution {
  readonly values: Float32Array;
  /** One for each tensor. */
  readonly weights: readonly number[];
  readonly metrics: SumMetrics;
}

/** What secure aggregation needs of a site. */
export interface SecaggSite {
  /** Ed25519, 32 bytes; the same key as `identity`. */
  readonly signingSeed: Uint8Array;
  readonly policy: ClientPolicy;
  readonly store: SecaggStore;
  /** What this home has helped to open; absent: remembered as long as the process lives. */
  readonly openings?: Openings;
  /** Fewest labs by which two sums of one base model may differ; absent: as many as the sum has survivors at least. */
  readonly minDifference?: number;
  /** The site's own list of who is enrolled; absent: the list that the coordinator signed into the plan. */
  readonly enrolled?: ReadonlyMap<string, Uint8Array>;
  /** For keys, seeds and shares: from the operating system, except in a simulation. */
  readonly rng: Rng;
}

interface SecaggTaskOptions {
  readonly plan: RoundPlan;
  readonly client: string;
  /** Ed25519, 32 bytes: signs this client's keys and the survivor set. */
  readonly signingSeed: Uint8Array;
  readonly policy: ClientPolicy;
  /** The site's own enrolment list; absent: the one that the coordinator signed into the plan. */
  readonly enrolled?: ReadonlyMap<string, Uint8Array>;
  readonly rng: Rng;
  readonly store: SecaggStore;
  readonly openings: Openings;
  readonly minDifference?: number;
  /** Trains or evaluates; asked for once the cohort is frozen. */
  contribute(): Promise<PlainContribution>;
  /** Takes down what is about to be sent, before it is. */
  record?(type: FrameType, frame: Uint8Array): Promise<void>;
  send(frame: Uint8Array): void;
  /** To this site, of what its own contribution loses. */
  notice?(message: string, fields: object): void;
  /** The machine has ended; `refusal` says which check failed. */
  ended(refusal: string | undefined): void;
  failed(error: FlError): void;
}

/** Scratch memory; a step leaves nothing in it that another reads, so all virtual clients of a process share it. */
const kernel = createKernel();

/** One aggregation on this client, from `start` until it tells its end by `ended` or `failed`. */
export class SecaggTask {
  readonly task: TaskId;
  readonly #options: SecaggTaskOptions;
  readonly #setup: SecaggSetup;
  readonly #context: ClientContext;
  readonly #id: string;
  #state: ClientState | undefined;
  /** Quantized once: what is asked for again, by a client that is back, is the same vector and no second training. */
  #vector: Int32Array | undefined;
  /** Whether the masked vector has been sent over the connection of now. */
  #given = false;
  #leaving = false;
  /** One input after the other: a step is over when its outputs are. */
  #work: Promise<void> = Promise.resolve();

  /** @throws FlError invalid-argument: a plan under which no sum is correct */
  constructor(options: SecaggTaskOptions, known: { used: boolean }) {
    const { plan, client, signingSeed, policy, rng } = options;
    const { run, kind, round, attempt } = plan;
    this.task = { run, kind, round, attempt };
    this.#options = options;
    const own = planOfMember(plan, client);
    this.#setup = secaggSetupOf(own);
    const { params, aggregation } = this.#setup;
    this.#id = toHex(aggregationIdOf(nodeSuite, params, aggregation));
    this.#context = {
      suite: nodeSuite,
      kernel,
      rng,
      policy,
      params,
      aggregation,
      identity: { id: client, signingSeed },
      enrolment: enrolmentOf(options, own),
      isUsed: () => known.used,
    };
  }

  /** Begins, or goes on where a crash interrupted. */
  static start(options: SecaggTaskOptions): SecaggTask {
    const known = { used: false };
    const task = new SecaggTask(options, known);
    task.#enqueue(async () => {
      const { used, state } = await options.store.find(task.#id);
      known.used = used;
      if (state === undefined) {
        if (!options.store.mayMask(task.#id, task.task)) throw secondVector(task.task);
        return task.#take(startClient(task.#context));
      }
      const restored = restoreState<ClientState>(state);
      task.#state = restored;
      await task.#take(stepClient(task.#context, restored, { kind: 'resume' }));
      if (restored.phase === 'refused') options.ended(restored.reason);
    });
    return task;
  }

  receive(frame: Uint8Array): void {
    this.#step({ kind: 'frame', bytes: frame });
  }

  /** The connection is back, or the plan came again. */
  resume(): void {
    this.#enqueue(async () => {
      this.#given = false;
    });
    this.#step({ kind: 'resume' });
  }

  /** The site leaves: policy, shutdown, or the coordinator's withdrawal. No vector goes out from now on. */
  withdraw(): void {
    this.#leaving = true;
    this.#step({ kind: 'withdraw' });
  }

  #step(input: Parameters<typeof stepClient>[2]): void {
    this.#enqueue(async () => {
      if (this.#state !== undefined) await this.#take(stepClient(this.#context, this.#state, input));
    });
  }

  #enqueue(job: () => Promise<void>): void {
    this.#work = this.#work.then(job).catch((error: unknown) => this.#fail(FlError.from(error)));
  }

  /** Takes no further part, and keeps no key or share: whoever trained in vain says no more about it. */
  async #fail(error: FlError): Promise<void> {
    const state = this.#state;
    this.#forget();
    if (state !== undefined) {
      const [withdrawn] = stepClient(this.#context, state, { kind: 'withdraw' });
      await this.#options.store.keep(this.#id, saveState(withdrawn)).catch(() => undefined); // the first error is told
    }
    this.#options.failed(error);
  }

  #forget(): void {
    this.#state = undefined;
    this.#vector = undefined;
  }

  async #take([state, outputs]: ClientStep): Promise<void> {
    this.#state = state;
    const { store, record, send, ended } = this.#options;
    await this.#checkDifference(outputs);
    for (const output of outputs) {
      if (output.kind === 'send' && record !== undefined) await record(output.type, output.frame);
      if (output.kind === 'persist') await store.keep(this.#id, saveState(state));
      // Whoever has left while the disk was slow gives no vector; the step that comes next says so.
      else if (output.kind === 'send' && output.type === 'masked' && this.#leaving) return;
      else if (output.kind === 'send') send(output.frame);
      else if (output.kind === 'vector-wanted') await this.#giveVector();
      else {
        this.#vector = undefined;
        ended(output.kind === 'refused' ? output.reason : undefined);
      }
    }
  }

  /**
   * Before anything is written or said of it: a roster that only drop-outs could make acceptable is declined before this
   * client trains, survivors before it signs them, and those that it signs are remembered first.
   */
  async #checkDifference(outputs: ClientStep[1]): Promise<void> {
    const { openings, plan, minDifference = this.#setup.params.survivorsMin } = this.#options;
    const says = (type: string) => outputs.some((output) => output.kind === 'send' && output.type === type);
    if (this.#state === undefined || !(says('shares') || says('consistency'))) return;
    const keys = summedKeys(this.#context.enrolment, this.#state);
    if (keys === undefined) return;
    const { identity, suite } = this.#context;
    const opening: Opening = {
      ...{ kind: plan.kind, modelSha256: plan.modelSha256, isNoised: isNoisedByClients(plan) },
      own: memberIdOf(suite.ed25519PublicKey(identity.signingSeed)),
      members: keys.map(memberIdOf).sort(),
    };
    const ask = says('consistency') ? openings.admit : openings.conflict;
    const conflict = await ask(opening, minDifference);
    if (conflict !== undefined) throw new FlError('permission-denied', wordsOf(conflict, opening, minDifference));
  }

  /** The binding is durable before the masked vector leaves: after a crash, too, it goes to this aggregation alone. */
  async #giveVector(): Promise<void> {
    if (this.#given) return;
    this.#vector ??= await this.#quantized();
    if (this.#leaving || this.#state === undefined) return;
    if (!(await this.#options.store.bind(this.#id, this.task))) throw secondVector(this.task);
    this.#given = true;
    await this.#take(stepClient(this.#context, this.#state, { kind: 'vector', values: this.#vector }));
  }

  async #quantized(): Promise<Int32Array> {
    const contributed = await this.#options.contribute();
    const { values, weights, metrics } = contributed;
    const { plan, notice } = this.#options;
    const { valueRange } = this.#setup.quantize;
    const loss = plan.kind === 'train' ? lossOf(plan.work, valueRange, contributed) : undefined;
    // under privacy this log is the only place that says it
    const key = plan.work.privacy === undefined ? 'told' : 'cause';
    const told = [...ownLossWords(plan.work, loss, valueRange), ...cutMetricsWords(this.#setup, metrics)];
    for (const words of told) notice?.('lossy', { ...this.task, [key]: words });
    // By round and not by attempt, under the client's own secret: a round that is repeated rounds to the same integers.
    const { run, kind, round } = this.task;
    const rng = rngFromKey(this.#options.signingSeed, `quantize/${run}/${kind}/${round}`);
    const flat = {
      values,
      ...wholeWeights(this.#setup, weights),
      metrics: flattenMetrics(this.#setup, { ...metrics, ...lossyPart(plan.work, loss) }),
    };
    return quantize({ kernel, suite: nodeSuite, rng }, this.#setup.quantize, flat);
  }
}

/** The client's weight, 1 if no tensor takes it, and those of tensors that have their own: whole, and 0 only if they were. */
function wholeWeights({ layout }: SecaggSetup, weights: readonly number[]) {
  const shared = weights[layout.findIndex(({ weighs }) => weighs === 'client')] ?? 1;
  const own = weights.filter((_, tensor) => layout[tensor].weighs === 'own');
  return {
    weight: Math.max(1, Math.round(shared)),
    ownWeights: own.map((weight) => (weight > 0 ? Math.max(1, Math.round(weight)) : 0)),
  };
}

/** The sums of two aggregations of one round, over cohorts that differ by a client, differ by its update. */
function secondVector({ kind, round, attempt }: TaskId): FlError {
  const task = `${kind} round ${round} attempt ${attempt}`;
  return new FlError(
    'failed-precondition',
    `second-vector: ${task}: this or a later vector was given to another aggregation`,
  );
}

/** The virtual clients of a process share a plan, and with it the list that it makes. */
const enrolments = new WeakMap<RoundPlan, Enrolment>();

/** Who may be in the sum. A site with a list of its own takes no key from the coordinator. */
function enrolmentOf({ enrolled, plan }: SecaggTaskOptions, own: RoundPlan): Enrolment {
  if (enrolled === undefined) {
    const made = enrolments.get(own) ?? createEnrolment(nodeSuite, listed(own));
    enrolments.set(own, made);
    return made;
  }
  if (own === plan) return createEnrolment(nodeSuite, enrolled);
  // Names that nobody holds would let the coordinator shuffle until the groups suit it.
  for (const [id, key] of listed(plan)) {
    const pinned = enrolled.get(id);
    if (pinned === undefined || Buffer.compare(pinned, key) !== 0) {
      throw new FlError('permission-denied', `plan: client "${id}" is not enrolled here with this key`);
    }
  }
  return createEnrolment(nodeSuite, listed(own));
}

function listed({ secure }: RoundPlan): Map<string, Uint8Array> {
  return new Map(Object.entries(secure?.enrolled ?? {}).map(([id, key]) => [id, fromHex(key)]));
}
