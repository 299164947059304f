/**
 * The vocabulary of a round that coordinator, client and report share: what a run is asked to do, what a client is told
 * (the plan), what it answers and what is said of a round when it is over. Plain records; no behaviour.
 */

import type { DropReason } from '../errors.js';
import type { PhaseSpec } from '../tensors/channels.js';
import type { TensorSpec } from '../tensors/params.js';
import type { SumMetrics } from './metrics.js';

/** Local training on one client, all of it engine-side (a workload only gives the loss). */
export interface TrainingSpec {
  /** Exactly one of the two is set. */
  readonly localEpochs?: number;
  readonly localSteps?: number;
  readonly batchSize: number;
  readonly clientLr: number;
  readonly momentum: number;
  readonly weightDecay: number;
  /** Largest L2 norm of one step's gradient; 0 switches it off. Not a privacy mechanism. */
  readonly gradientClipNorm: number;
  /** Learning rate over rounds: constant, or cosine from clientLr to 0 over the run. */
  readonly lrSchedule: 'constant' | 'cosine';
  /** FedProx (Li et al. 2020): weight mu of (mu/2)·|local − global|²; 0 switches it off. */
  readonly proximalMu: number;
}

export type HyperValue = number | string | boolean;
export type Hyper = Readonly<Record<string, HyperValue>>;

/** A metric that travels inside the masked vector: its sums, then its count. */
export interface MaskedMetric {
  readonly name: string;
  /** Length of its vector of sums. */
  readonly size: number;
  /** Largest magnitude that one example adds to one sum; what is larger is clamped. */
  readonly max: number;
}

/** Secure aggregation of a run: the coordinator learns sums over the survivors of a round and nothing of one client. */
export interface SecureSpec {
  /** Elements of an update beyond +- this are clamped. */
  readonly valueRange: number;
  /** Largest weight of a client; examples beyond it do not count. */
  readonly weightCap: number;
  /** What the graph is computed for: fraction of a cohort that may collude, and that may drop out. */
  readonly adversaryFraction: number;
  readonly dropFraction: number;
  /** Fewest clients in a sum; a client signs no smaller survivor set. */
  readonly survivorsMin: number;
  /** Time for each exchange of keys, shares and signatures. */
  readonly phaseDeadlineMs: number;
  /** Least clients in one sum, when a cohort trains in groups; absent: one sum over all. */
  readonly groupSize?: number;
  readonly trainMetrics: readonly MaskedMetric[];
  readonly testMetrics: readonly MaskedMetric[];
}

/**
 * Differential privacy of a run: whose noise, and on what. Under `central`, `distributed` and `local` the unit is a client
 * (its whole update is clipped and noised); under `example` it is one example of a client (DP-SGD, Abadi et al. 2016).
 */
export interface PrivacySpec {
  /** Who adds noise: the coordinator to the sum; all clients together inside the masked sum; each to its own update or steps. */
  readonly mode: 'central' | 'distributed' | 'local' | 'example';
  /** L2 norm that one unit is clipped to: a client's update, or an example's gradient. Under `adaptive`, in round 1. */
  readonly clippingBound: number;
  /** Deviation of all noise that protects a unit / its clipping bound. */
  readonly noiseMultiplier: number;
  readonly delta: number;
  /** The run ends before the round after which a unit's epsilon would lie above this. */
  readonly epsilonBudget?: number;
  /** Client-level modes: most clients in a sum, which is what the integers are sized for. */
  readonly cohortMax?: number;
  /** Client-level modes: the bound follows the median norm of updates (Andrew et al. 2021). */
  readonly adaptive?: boolean;
  /**
   * `central` only: noise that is correlated over rounds (DP-FTRL, Kairouz et al. 2021), which pays where a client takes part
   * seldom. Two rounds of one client are at least `separation` apart.
   */
  readonly tree?: { readonly separation: number };
  /** `example` only: chance of each example to be in a step (Poisson sampling), equal on all clients. */
  readonly samplingRate?: number;
}

/** The part of a run that every client is told, so that all train the same thing. */
export interface WorkSpec {
  readonly workload: string;
  readonly scale: string;
  readonly hyper: Hyper;
  readonly training: TrainingSpec;
  /** How a data set that many clients share is divided between them: iid, dirichlet:A, shards:K, natural. */
  readonly partition: string;
  readonly seed: number;
  readonly rounds: number;
  readonly phases: readonly PhaseSpec[];
  /** The shared tensors of the model, in manifest order. */
  readonly model: readonly TensorSpec[];
  /** Absent: the coordinator sees each update. */
  readonly secure?: SecureSpec;
  /** Absent: no noise is added. */
  readonly privacy?: PrivacySpec;
}

/** The part of a run that only the round engine uses. */
export interface EngineSpec {
  readonly rounds: number;
  readonly cohort: number;
  /** Clients that must be there before a cohort is drawn. */
  readonly minClients: number;
  /** Fewest updates that make a round. */
  readonly minSurvivors: number;
  /** Extra fraction of the cohort that is invited; the round ends when `cohort` updates are in. */
  readonly overSelection: number;
  readonly deadlineMs: number;
  /** Failed attempts at one round before the run fails. */
  readonly maxAttempts: number;
  /** Evaluate after every n-th round, and always after the last; 0: only after the last. */
  readonly evaluateEvery: number;
  /** How many clients evaluate; 0: all that are there. */
  readonly evaluateClients: number;
  readonly strategy: string;
  readonly seed: number;
  /** What becomes of many updates, or of the means of groups: mean (the default), trimmed-mean[:fraction] or median. */
  readonly aggregator?: string;
  /** Whether rounds go through secure aggregation; then `work.secure` says how. */
  readonly secure?: boolean;
}

export interface RunSpec {
  readonly work: WorkSpec;
  readonly engine: EngineSpec;
}

export type TaskKind = 'train' | 'evaluate';

/** What one client is asked to do. Signed by the coordinator; a client checks it before it spends anything. */
export interface RoundPlan {
  readonly run: string;
  readonly kind: TaskKind;
  readonly round: number;
  /** Rises when a round has to be repeated; an answer to an older attempt is stale. */
  readonly attempt: number;
  readonly modelSha256: string;
  readonly modelSizeBytes: number;
  /** Time that was left when the plan was sent. */
  readonly deadlineMs: number;
  readonly cohort: number;
  readonly work: WorkSpec;
  /** With adaptive clipping: the clipping bound of this round. */
  readonly clippingBound?: number;
  /** With secure aggregation: what makes this aggregation's id unique, and who is enrolled (Ed25519, hex, by name). */
  readonly secure?: { readonly nonce: string; readonly enrolled: Readonly<Record<string, string>> };
}

/** Says which plan an answer belongs to. */
export interface TaskId {
  readonly run: string;
  readonly kind: TaskKind;
  readonly round: number;
  readonly attempt: number;
}

/** Goes ahead of an upload; signed by the client over every field. */
export interface UpdateHeader {
  readonly run: string;
  readonly round: number;
  readonly attempt: number;
  /** SHA-256 of the values' bytes (float32, little-endian). */
  readonly sha256: string;
  readonly sizeBytes: number;
  readonly weights: readonly number[];
  readonly metrics: SumMetrics;
}

/** The coordinator's last word on an update; only now does the client forget it. Signed. */
export interface Receipt {
  readonly run: string;
  readonly round: number;
  readonly attempt: number;
  readonly client: string;
  readonly updateSha256: string;
  readonly outcome: 'committed' | 'dropped';
  readonly reason?: DropReason | 'unknown';
  /** Of the model that the round made; empty when the update is not in one. */
  readonly modelSha256: string;
}

export interface Dropped {
  readonly client: string;
  readonly reason: DropReason;
  readonly detail?: string;
}

/** What is said of a round when it is over: one for the terminal, the report, the dashboard and the ledger. */
export interface RoundSummary {
  readonly round: number;
  readonly attempt: number;
  readonly cohort: number;
  readonly survivors: number;
  readonly dropped: readonly Dropped[];
  readonly modelSha256: string;
  readonly metrics: Readonly<Record<string, number>>;
  readonly durationMs: number;
  /** Part of durationMs in which no client was working: planning, summing, storing. */
  readonly overheadMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** With differential privacy: what the run has cost the client that took part most often, this round included. */
  readonly epsilon?: number;
}

export type RunStatus = 'running' | 'completed' | 'stopped' | 'budget-exhausted' | 'failed';
