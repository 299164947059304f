/**
 * One secure aggregation on the coordinator's side: the shell around the pure server machine of `shared/secagg`. It carries
 * frames, keeps the deadlines of the phases and, when the machine says so, takes the masks off the sum: the only numbers
 * that the coordinator ever sees in the clear.
 */
import type { Clock } from '../shared/clock.js';
import type { DropReason } from '../shared/errors.js';
import type { SumMetrics } from '../shared/metrics.js';
import type { Rng } from '../shared/rng.js';
import type { RoundPlan, TaskId } from '../shared/round.js';
import {
  aggregationIdOf,
  createEnrolment,
  createKernel,
  dequantize,
  nodeSuite,
  paramsFault,
  type SecaggDropReason,
  type ServerContext,
  type ServerOutput,
  type ServerState,
  startServer,
  stepServer,
  unmaskSum,
} from '../shared/secagg/index.js';
import { agree, type SecureAgreement, unflattenMetrics } from '../shared/secure.js';

export interface SecureOutcome {
  readonly survivors: readonly string[];
  /** Weighted mean of the survivors' values; empty for an evaluation. */
  readonly mean: Float32Array;
  readonly pooled: SumMetrics;
  /** What a signed round receipt states. */
  readonly proof: { readonly rosterRoot: Uint8Array; readonly survivorRoot: Uint8Array };
}

export interface SecureListener {
  send(client: string, frame: Uint8Array): void;
  dropped(client: string, reason: DropReason, detail: string): void;
  done(outcome: SecureOutcome): void;
  failed(detail: string): void;
}

export class SecureRound {
  readonly task: TaskId;
  readonly agreement: SecureAgreement;
  readonly #context: ServerContext;
  readonly #listener: SecureListener;
  readonly #clock: Clock;
  readonly #deadlinesMs: { readonly phase: number; readonly training: number };
  #state: ServerState;
  #cancelTimer = () => {};

  /**
   * Waits for advertisements from now on; with a cohort that is too small for any sum it has failed at once, which is how
   * an evaluation ends to which too few clients are there.
   * @throws FlError invalid-argument: a plan whose encoding cannot be correct for any cohort
   */
  constructor(
    plan: RoundPlan,
    { clock, rng, listener, deadlineMs }: { clock: Clock; rng: Rng; listener: SecureListener; deadlineMs: number },
  ) {
    const { run, kind, round, attempt } = plan;
    this.task = { run, kind, round, attempt };
    this.agreement = agree(plan);
    const enrolled = Object.entries(plan.secure?.enrolled ?? {});
    const keys = new Map(enrolled.map(([client, key]) => [client, Buffer.from(key, 'hex')] as const));
    const { params, aggregation } = this.agreement;
    const enrolment = createEnrolment(nodeSuite, keys);
    this.#context = { suite: nodeSuite, params, aggregation, enrolment, sum: createKernel(), rng };
    this.#listener = listener;
    this.#clock = clock;
    this.#deadlinesMs = { phase: plan.work.secure?.phaseDeadlineMs ?? deadlineMs, training: deadlineMs };
    const fault = paramsFault(params);
    const aggregationId = aggregationIdOf(nodeSuite, params, aggregation);
    this.#state = fault ? { phase: 'aborted', aggregationId, reason: 'cohort-too-small' } : startServer(this.#context);
    this.#setDeadline();
    if (fault !== undefined) listener.failed(`secure aggregation: ${fault.message}`);
  }

  /** A frame as it came; a wrong one costs its sender its place and nobody else anything. */
  receive(client: string, frame: Uint8Array): void {
    this.#take(stepServer(this.#context, this.#state, { kind: 'frame', from: client, bytes: frame }));
  }

  /** The client takes no further part. */
  left(client: string): void {
    this.#take(stepServer(this.#context, this.#state, { kind: 'left', id: client }));
  }

  /** A client is back: says again, to it alone, what may have been lost. */
  resume(client: string): void {
    const [, outputs] = stepServer(this.#context, this.#state, { kind: 'resume' });
    for (const output of outputs) if (output.kind === 'send' && output.to === client) this.#perform(output);
  }

  /** Forgets everything; the listener hears no more. */
  cancel(): void {
    this.#cancelTimer();
    [this.#state] = stepServer(this.#context, this.#state, { kind: 'cancel' });
  }

  #take([state, outputs]: readonly [ServerState, readonly ServerOutput[]]): void {
    const moved = state.phase !== this.#state.phase;
    this.#state = state;
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
        return this.#unmask(output);
      case 'aborted':
        return this.#listener.failed(`secure aggregation: ${output.reason}`);
    }
  }

  #unmask({ masks, survivorIds, rosterRoot, survivorRoot }: Extract<ServerOutput, { kind: 'unmask' }>): void {
    const { suite, sum } = this.#context;
    const { quantize, params, metrics } = this.agreement;
    const integers = unmaskSum({ suite, sum, ringBits: params.ring.bits }, masks);
    const sums = dequantize(quantize, integers);
    const count = survivorIds.length;
    if (!(sums.weight >= count && sums.weight <= count * quantize.weightCap)) {
      // A vector cannot be looked at, but each honest weight is within these bounds, and random words are not.
      return this.#listener.failed(`secure aggregation: the weights of ${count} clients add up to ${sums.weight}`);
    }
    const mean = Float32Array.from(sums.values, (value) => value / sums.weight);
    const pooled = unflattenMetrics(metrics, sums.metrics);
    this.#listener.done({ survivors: [...survivorIds].sort(), mean, pooled, proof: { rosterRoot, survivorRoot } });
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
