/**
 * One secure aggregation on the coordinator's side: the shell around the pure server machine of `shared/secagg`. It carries
 * frames, keeps the deadlines of the phases and, when the machine says so, takes the masks off the sum: the only numbers
 * that the coordinator ever sees in the clear.
 */

import type { Clock } from '../../shared/clock.js';
import { type DropReason, FlError } from '../../shared/errors.js';
import type { SecureProof } from '../../shared/ledger/entry.js';
import { proofOf } from '../../shared/ledger/secure.js';
import type { Rng } from '../../shared/rng.js';
import { isClientLevel, privateMean } from '../../shared/run/client-level-privacy.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { RoundPlan, TaskId } from '../../shared/run/plan.js';
import { type SecaggSetup, secaggSetupOf, type Unflattened, unflattenMetrics } from '../../shared/run/secagg-params.js';
import {
  aggregationIdOf,
  createEnrolment,
  createKernel,
  dequantize,
  factorsOf,
  nodeSuite,
  paramsFault,
  type SecaggDropReason,
  type ServerContext,
  type ServerOutput,
  type ServerState,
  startServer,
  stepServer,
} from '../../shared/secagg/index.js';
import { reduceSums } from '../../shared/tensors/channels.js';
import { type UnmaskJob, unmaskHere } from '../unmask-pool.js';

/** Of pooled metrics: the largest error of each metric's sums; and clients with one that was larger than can be told. */
export type Exactness = Omit<Unflattened, 'metrics'>;

/** A sum without masks, and what is known of it. */
export interface SecureOutcome {
  readonly survivors: readonly string[];
  /** What the channels make of the survivors' values: weighted means, or sums; empty for an evaluation. */
  readonly mean: Float32Array;
  /** For each tensor, the sum of what multiplied the survivors' values. */
  readonly weights: readonly number[];
  /** With adaptive clipping: the noisy sum of +1 for each update within the bound and -1 for each beyond it. */
  readonly withinBound: number | undefined;
  readonly pooled: SumMetrics;
  /** How exact `pooled` is. */
  readonly exactness: Exactness;
  /** What the ledger states of it. */
  readonly proof: SecureProof;
}

/** Who hears of an aggregation; after `done` or `failed`, nothing more. */
export interface SecureListener {
  send(client: string, frame: Uint8Array): void;
  dropped(client: string, reason: DropReason, detail: string): void;
  done(outcome: SecureOutcome): void;
  failed(detail: string): void;
}

/** What an aggregation needs besides its plan. */
export interface SecureAggregationOptions {
  readonly clock: Clock;
  readonly rng: Rng;
  /** For the coordinator's noise: equal ones give equal noise. */
  readonly noise: Rng;
  readonly listener: SecureListener;
  /** Time for the phase in which clients train. */
  readonly deadlineMs: number;
  /** Absent: on this thread, at once. */
  readonly unmask?: (job: UnmaskJob) => Promise<Int32Array>;
}

/** From the first advertisement to the sum, or to its failure. */
export class SecureAggregation {
  readonly task: TaskId;
  readonly setup: SecaggSetup;
  readonly #context: ServerContext;
  readonly #listener: SecureListener;
  readonly #clock: Clock;
  readonly #deadlinesMs: { readonly phase: number; readonly training: number };
  readonly #unmaskSum: NonNullable<SecureAggregationOptions['unmask']>;
  readonly #plan: RoundPlan;
  readonly #noise: Rng;
  #cancelled = false;
  #state: ServerState;
  /** The last state that says who shared: gone from the one that ends the aggregation. */
  #unmasking: Extract<ServerState, { phase: 'unmask' }> | undefined;
  #cancelTimer = () => {};

  /**
   * Waits for advertisements from now on; with a cohort that is too small for any sum it has failed at once, which is how
   * an evaluation ends to which too few clients are there.
   * @throws FlError invalid-argument: a plan whose encoding cannot be correct for any cohort
   */
  constructor(plan: RoundPlan, { clock, rng, noise, listener, deadlineMs, unmask }: SecureAggregationOptions) {
    const { run, kind, round, attempt } = plan;
    this.task = { run, kind, round, attempt };
    this.#plan = plan;
    this.setup = secaggSetupOf(plan);
    const enrolled = Object.entries(plan.secure?.enrolled ?? {});
    const keys = new Map(enrolled.map(([client, key]) => [client, Buffer.from(key, 'hex')] as const));
    const { params, aggregation } = this.setup;
    const enrolment = createEnrolment(nodeSuite, keys);
    this.#context = { suite: nodeSuite, params, aggregation, enrolment, sum: createKernel(), rng };
    this.#noise = noise;
    this.#listener = listener;
    this.#clock = clock;
    this.#unmaskSum = unmask ?? (async (job) => unmaskHere(job));
    this.#deadlinesMs = { phase: plan.work.secure?.phaseDeadlineMs ?? deadlineMs, training: deadlineMs };
    const fault = paramsFault(params);
    const aggregationId = aggregationIdOf(nodeSuite, params, aggregation);
    this.#state = fault ? { phase: 'aborted', aggregationId, reason: 'cohort-too-small' } : startServer(this.#context);
    this.#setDeadline();
    if (fault === undefined) return;
    queueMicrotask(() => this.#cancelled || listener.failed(`secure aggregation: ${fault.message}`)); // once it is made
  }

  /** A frame as it came; a wrong one costs its sender its place and nobody else anything. */
  receive(client: string, frame: Uint8Array): void {
    this.#take(stepServer(this.#context, this.#state, { kind: 'frame', from: client, bytes: frame }));
  }

  /** The client takes no further part. */
  left(client: string): void {
    this.#take(stepServer(this.#context, this.#state, { kind: 'left', id: client }));
  }

  /** A client is back: says again to it, and to nobody else, what may have been lost. */
  resume(client: string): void {
    if (this.#state.phase === 'advertise') return; // its plan is all there is yet
    const [, outputs] = stepServer(this.#context, this.#state, { kind: 'resume' });
    for (const output of outputs) if (output.kind === 'send' && output.to === client) this.#perform(output);
  }

  /** Forgets everything; the listener hears no more. */
  cancel(): void {
    this.#cancelled = true;
    this.#cancelTimer();
    [this.#state] = stepServer(this.#context, this.#state, { kind: 'cancel' });
  }

  #take([state, outputs]: readonly [ServerState, readonly ServerOutput[]]): void {
    const moved = state.phase !== this.#state.phase;
    this.#state = state;
    if (state.phase === 'unmask') this.#unmasking = state;
    if (moved) this.#setDeadline();
    for (const output of outputs) this.#perform(output);
  }

  /** Each phase has its time; the one in which clients train has the round's. */
  #setDeadline(): void {
    this.#cancelTimer();
    const { phase } = this.#state;
    if (phase === 'done' || phase === 'aborted') return;
    const delayMs = phase === 'mask' ? this.#deadlinesMs.training : this.#deadlinesMs.phase;
    this.#cancelTimer = this.#clock.after(delayMs, () =>
      this.#take(stepServer(this.#context, this.#state, { kind: 'deadline' })),
    );
  }

  #perform(output: ServerOutput): void {
    switch (output.kind) {
      case 'send':
        return this.#listener.send(output.to, output.frame);
      case 'drop': {
        const blamed = output.culpritId === undefined ? '' : `, about ${output.culpritId}`;
        const detail = `secure aggregation, ${output.phase}: ${output.refusal ?? output.reason}${blamed}`;
        return this.#listener.dropped(output.id, DROP_REASONS[output.reason], detail);
      }
      case 'phase':
        return;
      case 'unmask':
        return void this.#unmask(output);
      case 'aborted':
        return this.#listener.failed(`secure aggregation: ${output.reason}`);
    }
  }

  /** The last thing that an aggregation does; by then its deadline has been taken away. */
  async #unmask(output: Extract<ServerOutput, { kind: 'unmask' }>): Promise<void> {
    const { quantize, params, layout } = this.setup;
    const { aggregationId, roster, included } = this.#unmasking!;
    let integers: Int32Array;
    try {
      const masked = this.#context.sum.read();
      integers = await this.#unmaskSum({ masked, ringBits: params.ring.bits, masks: output.masks });
    } catch (error) {
      if (!this.#cancelled) this.#listener.failed(`secure aggregation: ${FlError.from(error).message}`);
      return;
    }
    if (this.#cancelled) return;
    const { values: sums, weight, ownWeights, metrics: measured } = dequantize(quantize, integers);
    const count = output.survivorIds.length;
    const isPossible = (sum: number, least: number) => sum >= least && sum <= count * quantize.weightCap;
    if (!isPossible(weight, count) || !ownWeights.every((own) => isPossible(own, 0))) {
      // A vector cannot be looked at, but each honest weight is within these bounds, and random words are not.
      const got = [weight, ...ownWeights].join(', ');
      return this.#listener.failed(`secure aggregation: the weights of ${count} clients add up to ${got}`);
    }
    const weights = factorsOf(layout, { client: weight, one: count, own: ownWeights });
    const isPrivate = this.task.kind === 'train' && isClientLevel(this.#plan.work.privacy);
    const { mean, withinBound } = isPrivate
      ? privateMean(this.#plan, { integers: integers.slice(0, sums.length), weights }, this.#noise)
      : { mean: reduceSums(layout, { sums, weights }), withinBound: undefined };
    const { metrics: pooled, ...exactness } = unflattenMetrics(this.setup, measured, count);
    const rosterIds = roster.members.map(({ id }) => id);
    const proof = proofOf(this.#plan, this.setup, { ...output, aggregationId, rosterIds, included, integers });
    this.#listener.done({
      survivors: [...output.survivorIds].sort(),
      mean,
      weights,
      withinBound,
      pooled,
      exactness,
      proof,
    });
  }
}

const DROP_REASONS: Readonly<Record<SecaggDropReason, DropReason>> = {
  refused: 'refused',
  unenrolled: 'invalid-update',
  malformed: 'invalid-update',
  'bad-signature': 'invalid-update',
  'bad-key': 'invalid-update',
  deadline: 'deadline',
  'cohort-full': 'superseded',
  'bad-share': 'invalid-update',
};
