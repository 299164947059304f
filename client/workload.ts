/**
 * The contract of a workload: one model of the course, one file, and not a line of federated code in it.
 *
 * A workload says how to initialise named tensors, how to load examples, what the loss of a batch is and what to count
 * when it is evaluated. The engine trains, clips, noises, masks, sums, evaluates and reports. Tensors that `init` calls
 * private never leave the client.
 */
import type * as tf from '@tensorflow/tfjs-core';
import type { Rng } from '../shared/rng.js';
import type { Formula } from '../shared/run/formula.js';
import type { MetricSum, SumMetrics } from '../shared/run/metrics.js';
import type { Headline, RowName } from '../shared/run/report.js';
import type { Config } from '../shared/run/settings.js';
import type { Hyper, MaskedMetric, PrivacySpec, TrainingSpec } from '../shared/run/spec.js';
import type { Contribution, PhaseSpec } from '../shared/tensors/channels.js';
import type { HostTensors, TensorSpec } from '../shared/tensors/params.js';
import type { Examples } from './data/partition.js';

/** Smoke: seconds, for tests; demo: minutes, with figures that mean something; full: as in the paper. */
export type ScaleName = 'smoke' | 'demo' | 'full';
/** The two parts of the data of a client that every workload has. */
export type Split = 'train' | 'test';
/** What a model can be judged on; of validation examples it is only chosen by. */
export type JudgedSplit = Split | 'validation';
/** Named tensors, each with one row an example. */
export type Batch = Readonly<Record<string, tf.Tensor>>;
/** Parameters by name. */
export type TensorMap = Readonly<Record<string, tf.Tensor>>;

/** What a run of one scale uses unless the user says otherwise. */
export interface Scale {
  readonly clients: number;
  readonly cohort: number;
  readonly rounds: number;
  readonly partition: string;
  readonly strategy?: string;
  readonly training: Pick<TrainingSpec, 'batchSize' | 'clientLr'> & Partial<TrainingSpec>;
  /** How the private run of `--baselines all` differs from the run; default: `{ privacy: 'distributed' }`. */
  readonly private?: OtherSettings & { readonly privacy: PrivacySpec['mode'] };
  /** Learning rates among which reference rows choose; default: a third, one and three of `clientLr`. */
  readonly referenceRates?: readonly number[];
  /** The workload's own settings: sizes of the model and of the data. */
  readonly hyper: Hyper;
}

/** What another run of `--baselines all` does not do as the run does; `hyper` is laid over the run's, a key at a time. */
export type OtherSettings = Readonly<Partial<Omit<Config, OfTheWholeRun>>>;

type OfTheWholeRun =
  | 'workload'
  | 'scale'
  | 'dropout'
  | 'workers'
  | 'transport'
  | 'backend'
  | 'baselines'
  | 'evaluate-on'
  | 'out';

/** A federation that `--baselines all` sets the run beside: the run again, with other settings. */
export interface Comparison {
  /** Its row is `federated/NAME`. */
  readonly name: string;
  /** For people, after "Federated, ". */
  readonly label: string;
  readonly settings: OtherSettings;
}

/** What is known of a workload without running it. */
export interface Manifest {
  readonly name: string;
  /** The course topic, for lists. */
  readonly topic: string;
  readonly paper: string;
  /** Data sets with their licences, and the command or package that brings them. */
  readonly data: string;
  readonly scales: Readonly<Record<ScaleName, Scale>>;
  readonly privacyUnits: readonly ('client' | 'example')[];
  /**
   * Which of its settings (hyper) decide whether an example of a site trains, is tested, or is shown to all: these a site
   * holds fast once it has trained with privacy. Absent: any of them may, and the run's seed too.
   */
  readonly roleKeys?: readonly string[];
  /** Kinds of rounds; absent: one phase 'train' with the update channel over all shared tensors. */
  phases?(hyper: Hyper, shared: readonly TensorSpec[]): readonly PhaseSpec[];
  /**
   * The test metrics with their sizes and the most that one example adds to a sum: what lets them travel inside a masked
   * vector. Absent: the workload cannot be run with secure aggregation.
   */
  maskedMetrics?(hyper: Hyper): readonly MaskedMetric[];
  /**
   * How figures that are no plain means are made of the sums, as data, so that a coordinator without this code has them in
   * every round; their names without `test.`, and none that a raw metric has.
   */
  figures?(hyper: Hyper): Readonly<Record<string, Formula>>;
  /** The metric that a person looks at first, and which way is better. */
  readonly headline: Headline;
  /** Figures from outside, which the workload's page shows beside ours. */
  readonly published?: readonly Published[];
  /** Why a page of this workload has no floor of a kind; without a reason a missing floor makes no page. */
  readonly withoutFloors?: Readonly<Partial<Record<FloorKind, string>>>;
  /**
   * What a metric is measured on, by its name without `test.`, where that is not the test examples of whoever is judged. Claims
   * and tables set no two metrics beside each other that are measured on different things.
   */
  readonly populations?: Readonly<Record<string, string>>;
  /** What clients are judged by on their own test data, where that is not the headline; the same way is better. */
  readonly ownMetric?: string;
  /** Other federations that the run is set beside, with the claims in mind. */
  readonly comparisons?: readonly Comparison[];
  /** What the workload claims of itself at demo scale; its page says of each whether it holds. */
  readonly bars?: readonly Bar[];
}

/** One published figure. */
export interface Published {
  readonly metric: string;
  readonly value: number;
  /** The figure is what the federation has more than this row. */
  readonly against?: RowName;
  /** Paper and table. */
  readonly source: string;
  /** What was not as it is here: data, model, budget. */
  readonly note?: string;
}

/**
 * A claim: what is compared lies within `atLeast` and `atMost`. Compared is a row's metric, as the mean over seeds; with
 * `against`, its difference from another row's, or its ratio to it.
 */
export interface Bar {
  /** With `gainsOf`, what their mean is called. */
  readonly metric: string;
  readonly row: RowName;
  /**
   * Whose test data: those of all clients (the default), or each client's own on average; `each`: each client's own, of
   * which the claim is about the client that is furthest from keeping it, among those that have the metric.
   */
  readonly on?: 'pooled' | 'own' | 'each';
  readonly against?: RowName;
  /** Of `against`; default: `metric`. */
  readonly againstMetric?: string;
  readonly by?: 'difference' | 'ratio';
  /**
   * Instead of `metric`: by what share of `against` each of these is better, on average, as multi-task learning is judged
   * (Maninis, Radosavovic and Kokkinos 2019, arXiv:1904.08918, section 4: the average per-task drop, its sign turned).
   */
  readonly gainsOf?: readonly Headline[];
  readonly atLeast?: number;
  readonly atMost?: number;
  /** Why it is a bar, in a few words. */
  readonly note?: string;
}

/** What a workload is told when it loads data. */
export interface LoadContext {
  readonly hyper: Hyper;
  /** Where this site keeps its data; absent: the data sets that packages bring. */
  readonly dataDir?: string;
  /** For generated data only; equal on all clients of a run. */
  readonly rng: Rng;
}

/** One client's share of the loaded data: indices into each split. */
export interface Shard {
  readonly train: Int32Array;
  readonly test: Int32Array;
  /** Absent: none. In the workload's validation split; without one, in the training split, and not in `train`. */
  readonly validation?: Int32Array;
  /** Which of how many; a site with its own data is 0 of 1. */
  readonly index: number;
  readonly count: number;
}

/** Whose examples a batch is made of. */
export interface BatchContext {
  readonly hyper: Hyper;
  readonly shard: Shard;
  readonly split: Split;
}

/** What a floor is; a page has one of each kind, or says why not. `untrained` is the engine's: the first model, evaluated. */
export const FLOOR_KINDS = ['trivial', 'raw-features', 'untrained', 'classical'] as const;
export type FloorKind = (typeof FLOOR_KINDS)[number];

/** What a floor learns from: the examples that the run's clients train on, all in one place. */
export interface FloorContext<Data> {
  readonly data: Data;
  readonly hyper: Hyper;
  /** Of each client. */
  readonly shards: readonly Shard[];
  /** Tensors of the run's batches; inside a tidy of the caller's. */
  batch(indices: Int32Array, of: { readonly shard: Shard; readonly split: Split }): Batch;
  readonly rng: Rng;
}

/** Sums over the test examples of one client, by names of the workload's metrics: those that the floor has a word on. */
export type FloorJudge = (shard: Shard) => SumMetrics;

/** What a trained model has to be better than: a small function over the same examples, judged on the same test examples. */
export interface Floor<Data = unknown> {
  /** Its row is `floor/NAME`. */
  readonly name: string;
  /** For people. */
  readonly label: string;
  readonly kind: Exclude<FloorKind, 'untrained'>;
  fit(context: FloorContext<Data>): FloorJudge | Promise<FloorJudge>;
}

/** Given to a workload that brings its own local procedure. */
export interface TrainContext {
  readonly phase: PhaseSpec;
  readonly hyper: Hyper;
  readonly training: TrainingSpec;
  readonly shard: Shard;
  readonly round: number;
  /** Rounds of the whole run. */
  readonly rounds: number;
  readonly rng: Rng;
  /**
   * Numbers that are not finite do not end training: every step is taken, and they come out. How long a client takes, and
   * how far it says it is, would tell at which of its examples the loss stops being a number.
   */
  readonly toTheEnd?: boolean;
  readonly signal?: AbortSignal;
  readonly onProgress?: (stepsDone: number, stepsTotal: number) => void;
}

/** What a client is asked beside its update, when its training is done. */
export interface AdditionContext<Data> extends BatchContext {
  /** The model that the round began with. */
  readonly shared: HostTensors;
  /** The private tensors as training left them. */
  readonly privateTensors: HostTensors;
  readonly data: Data;
  readonly rng: Rng;
}

/** Named `channel/tensor`, as in the layout of the phase. */
export interface Addition {
  /** All tensors of all channels but the update. */
  readonly tensors?: HostTensors;
  /** Weights that are not the number of the client's training examples; 0: the client does not hold this tensor. */
  readonly weights?: Readonly<Record<string, number>>;
}

/** A file for people. */
export interface Artefact {
  /** File name below artefacts/. */
  readonly path: string;
  readonly mime: string;
  readonly title: string;
  readonly bytes: Uint8Array;
}

/** One tensor that a forward pass takes: [batch, ...shape]. */
export interface InputSpec {
  /** Without the batch. */
  readonly shape: readonly number[];
  /** Default: float32. */
  readonly dtype?: 'float32' | 'int32';
  /** For people: what its numbers are. */
  readonly about: string;
}

/** The model in use: from inputs to outputs, as `starling predict` and `starling export` have it. */
export interface Prediction<Data = unknown> {
  inputs(hyper: Hyper): Readonly<Record<string, InputSpec>>;
  /** For people, by name: what the numbers of each output are. */
  readonly outputs: Readonly<Record<string, string>>;
  /**
   * Each output [batch, ...], an example's from that example alone; `params` holds the shared tensors. Called inside
   * `tf.tidy`. What is neither a parameter nor computed from an input is a constant in an exported model, so no tensor's
   * size may follow the batch's but by way of an input.
   */
  forward(params: TensorMap, inputs: TensorMap, hyper: Hyper): TensorMap;
  /** The inputs of examples; absent: the tensors of the workload's `batch` that have the inputs' names. */
  batch?(data: Data, indices: Int32Array, ctx: BatchContext): Batch;
}

/**
 * @typeParam Data what `load` gives and `batch` reads.
 *
 * Ownership of tensors: whatever a method makes inside `tf.tidy` of the engine is freed by it; `batch`, `loss` and
 * `metrics` are always called inside one.
 */
export interface Workload<Data = unknown> {
  readonly manifest: Manifest;
  /** Equal for equal rng and hyper. Insertion order of the names is the manifest order of the model. */
  init(rng: Rng, hyper: Hyper): { shared: HostTensors; private?: HostTensors };
  load(ctx: LoadContext): Promise<Data>;
  /** Counts, labels and groups that the partitioners work on. */
  examples(data: Data, hyper: Hyper): { train: Examples; test: Examples };
  /** Tensors of the examples at `indices` (positions in the split, not in the shard). */
  batch(data: Data, indices: Int32Array, ctx: BatchContext): Batch;
  /**
   * A validation split of its own, by which `stop-when` chooses a model; tensors as of `batch`. Absent: `validation-fraction`
   * may hold out training examples instead.
   */
  readonly validation?: {
    examples(data: Data, hyper: Hyper): Examples;
    batch(data: Data, indices: Int32Array, ctx: Omit<BatchContext, 'split'>): Batch;
  };
  /** Scalar mean loss of a batch; the engine's localSgd drives it. `params` holds shared and private tensors. */
  loss?(params: TensorMap, batch: Batch, rng: Rng): tf.Scalar;
  /** Instead of `loss`: the workload's own local procedure. Returns the contribution and the new private tensors. */
  train?(
    shared: HostTensors,
    privateTensors: HostTensors,
    data: Data,
    ctx: TrainContext,
  ): Promise<{ contribution: Contribution; private?: HostTensors }>;
  /** Beside `loss`: what a client sends in the phase's other channels, and how it weighs tensors of its own weight. */
  contribute?(ctx: AdditionContext<Data>): Promise<Addition>;
  /** Per-example loss [batch]; present means that example-level DP-SGD is offered. */
  perExampleLoss?(params: TensorMap, batch: Batch): tf.Tensor1D;
  /** Sums over one batch: 1-D tensors with a count. */
  metrics(params: TensorMap, batch: Batch): Readonly<Record<string, { sum: tf.Tensor; count: number }>>;
  /**
   * Pooled sums to figures that are no plain means (ECE, AUROC ...); the means are there already. What `manifest.figures` can
   * say belongs there: of what is said here a deployed run knows only roots, exponentials and ratios.
   */
  finish?(sums: SumMetrics): Record<string, number>;
  /** What the workload's models have to be better than: rows of `--baselines all` and of its page. */
  readonly floors?: readonly Floor<Data>[];
  /** Present means that `starling predict` and `starling export` are offered. */
  readonly predict?: Prediction<Data>;
  /** What a person opens when the run has ended. */
  artefacts?(ctx: {
    shared: HostTensors;
    data: Data;
    hyper: Hyper;
    /** Pooled test sums of the final model. */
    sums: SumMetrics;
    /** Each client's own; under secure aggregation there are none, and reading this is an error that says so. */
    perClient: Readonly<Record<string, SumMetrics>>;
    rng: Rng;
  }): AsyncIterable<Artefact> | Iterable<Artefact>;
}

export type { MetricSum };

/** Gives a workload its types; returns it unchanged. */
export function defineWorkload<Data>(workload: Workload<Data>): Workload<Data> {
  return workload;
}
