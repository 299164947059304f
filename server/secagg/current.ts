/** The secure aggregation of now: a run has one after another, each of which ends the one before. */
import type { Clock } from '../../shared/clock.js';
import { FlError } from '../../shared/errors.js';
import type { SecureProof } from '../../shared/ledger/entry.js';
import type { Rng } from '../../shared/rng.js';
import { type Lossy, nextRangeOf, takeLossy } from '../../shared/run/lossy.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { RoundPlan, TaskId } from '../../shared/run/plan.js';
import type { RunSpec } from '../../shared/run/spec.js';
import type { EventOf, Untimed } from '../round/state.js';
import type { UnmaskPool } from '../unmask-pool.js';
import { type Aggregate, parseAggregator } from '../updates/aggregator.js';
import type { Exactness } from './aggregation.js';
import { GroupedAggregation } from './grouped.js';

/** What it asks of its run. */
interface CurrentDeps {
  readonly clock: Clock;
  /** For the server's side of secure aggregation. */
  readonly rng: Rng;
  readonly engine: RunSpec['engine'];
  readonly unmasking: Pick<UnmaskPool, 'unmask'>;
  send(client: string, task: TaskId, frame: Uint8Array): void;
  post(event: Untimed<EventOf<'secure-dropped'> | EventOf<'secured'> | EventOf<'unsecured'>>): void;
}

/** Forwards to the aggregation that goes on, if one does, and keeps what the last one came to. */
export class CurrentAggregation {
  readonly #deps: CurrentDeps;
  #aggregation: GroupedAggregation | undefined;
  #sum: Aggregate | undefined;
  #proofs: readonly SecureProof[] | undefined;

  constructor(deps: CurrentDeps) {
    this.#deps = deps;
  }

  /** Begins with this plan, whose cohort may turn out to be one that cannot be summed; another may. */
  open(plan: RoundPlan, noise: Rng): void {
    this.cancel();
    const { clock, rng, engine, unmasking, send, post } = this.#deps;
    const { run, kind, round, attempt } = plan;
    const task = { run, kind, round, attempt };
    try {
      this.#aggregation = new GroupedAggregation(plan, {
        clock,
        rng: rng.split(`secure/${plan.secure?.nonce}`),
        noise,
        deadlineMs: engine.deadlineMs,
        aggregator: parseAggregator(engine.aggregator),
        minSurvivors: kind === 'train' ? engine.minSurvivors : 0,
        unmask: (job) => unmasking.unmask(job),
        listener: {
          send: (client, frame) => send(client, task, frame),
          dropped: (client, reason, detail) => post({ kind: 'secure-dropped', client, task, reason, detail }),
          failed: (detail) => post({ kind: 'unsecured', task, detail }),
          done: ({ survivors, mean, withinBound, pooled, exactness, proofs }) => {
            if (kind === 'train') {
              this.#sum = { mean, withinBound };
              this.#proofs = proofs;
            }
            const { adaptiveRange = false } = engine;
            const told = toldOf(plan, { pooled, exactness, clients: survivors.length, adaptiveRange });
            post({ kind: 'secured', task, survivors, ...told });
          },
        },
      });
    } catch (error) {
      const { code, message } = FlError.from(error);
      if (code !== 'invalid-argument') throw error;
      post({ kind: 'unsecured', task, detail: message });
    }
  }

  /** Nothing more is heard of it. */
  cancel(): void {
    this.#aggregation?.cancel();
    this.#aggregation = undefined;
  }

  /** Of the frame that carries a masked vector, in bytes; undefined: nothing goes on. */
  get maskedBytes(): number | undefined {
    return this.#aggregation?.maskedBytes;
  }

  /** A frame as it came; a wrong one costs its sender its place and nobody else anything. */
  receive(client: string, frame: Uint8Array): void {
    this.#aggregation?.receive(client, frame);
  }

  /** The client takes no further part. */
  left(client: string): void {
    this.#aggregation?.left(client);
  }

  /** A client is back: says again to it what may have been lost. */
  resume(client: string): void {
    this.#aggregation?.resume(client);
  }

  /** What the training of the round came to; the caller owns it. Undefined: there was none. */
  takeSum(): Aggregate | undefined {
    const sum = this.#sum;
    this.#sum = undefined;
    return sum;
  }

  /** What the ledger says of each sum of the last training; undefined: there was none. */
  get proofs(): readonly SecureProof[] | undefined {
    return this.#proofs;
  }
}

interface Summed {
  readonly pooled: SumMetrics;
  readonly exactness: Exactness;
  readonly clients: number;
  readonly adaptiveRange: boolean;
}

/** The metrics of a sum, and beside them what it lost, and the value range that follows from that. */
function toldOf({ work, valueRange = work.secure!.valueRange }: RoundPlan, summed: Summed) {
  const { exactness, clients, adaptiveRange } = summed;
  const { weightCap } = work.secure!;
  const { metrics: pooled, lossy: counted } = takeLossy(summed.pooled, { valueRange, weightCap });
  const nextValueRange = adaptiveRange ? nextRangeOf(summed.pooled, counted, clients) : undefined;
  const lossy: Lossy = {
    ...counted,
    ...(nextValueRange && { valueRange: { ...counted!.valueRange!, next: nextValueRange } }),
    ...(exactness.tooLarge > 0 && { cutMetrics: exactness.tooLarge }),
  };
  const { errors } = exactness;
  return { pooled, errors, ...(Object.keys(lossy).length > 0 && { lossy }), ...(nextValueRange && { nextValueRange }) };
}
