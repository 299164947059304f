/**
 * report.json, the file that others rely on: CONTRACT "report.json", schema starling.report/1.
 */
import type { Lossy } from './lossy.js';
import type { Dropped, Evaluated, RunStatus } from './summary.js';

/** One committed round. */
export interface RoundReport {
  readonly round: number;
  readonly cohort: number;
  readonly survivors: number;
  readonly dropped: readonly Dropped[];
  readonly metrics: Readonly<Record<string, number>>;
  readonly epsilon: number | null;
  readonly durationMs: number;
  readonly overheadMs: number;
  readonly bytesUp: number;
  readonly bytesDown: number;
  /** Under secure aggregation without privacy: how many contributions of the sum were all zeros (shared/run/zeroed.ts). */
  readonly zeroed?: number;
  /** The same of the evaluation. */
  readonly zeroedTests?: number;
  /** What updates lost on their way into the sum, where that is counted. */
  readonly lossy?: Lossy;
  /** Of metrics that came through secure aggregation: differences smaller than this are not seen. */
  readonly resolution?: Readonly<Record<string, number>>;
  /** Who judged the model; absent: the round was not evaluated. */
  readonly evaluated?: Evaluated;
}

/** A metric, and which way is better. */
export interface Headline {
  readonly metric: string;
  readonly better: 'higher' | 'lower';
}

/** Figures on the pooled test data, and on each client's own. */
export interface MetricsReport {
  readonly metrics: Readonly<Record<string, number>>;
  readonly perClient: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/**
 * The rows that a run is compared by. `local` is the mean over clients that train alone, `local-best` the best of them;
 * `federated/NAME` is the run again with other settings, which the workload has named; `floor/NAME` is what a model must be
 * better than.
 */
export type RowName =
  | 'local'
  | 'local-best'
  | 'federated'
  | `federated/${string}`
  | 'private'
  | 'centralised'
  | `floor/${string}`;

/** How a reference row came by its setting: tried on validation examples, with a seed that reports nothing. */
export interface Tuned {
  /** Learning rates that were tried. */
  readonly grid: readonly number[];
  readonly seed: number;
  /** The figure that was looked at, as `validation.NAME`. */
  readonly metric: string;
  /** The best that each rate reached, in the order of the grid; null: it diverged. */
  readonly scores: readonly (number | null)[];
  /** The rate that was chosen. */
  readonly clientLr: number;
  /** The round whose model was best on validation examples, of each that was trained. */
  readonly stoppedAt: Readonly<Record<string, number>>;
  /** Rounds of training that the row has cost, those of the grid included. */
  readonly budgetRounds: number;
}

/** A row that the run is set beside. */
export interface BaselineReport extends MetricsReport {
  /** Of a reference row; absent: it has the run's setting, which may not serve it. */
  readonly tuned?: Tuned;
  /** Rounds of one training, and what was done in each. */
  readonly work?: { readonly rounds: number; readonly localEpochs?: number; readonly localSteps?: number };
  /** The figures of each evaluated round, where it was a run with rounds of its own. */
  readonly curve?: readonly { readonly round: number; readonly metrics: MetricsReport['metrics'] }[];
  /** Trainings that came to nothing, by client (or row), with the reason; they are in no figure. */
  readonly failures?: Readonly<Record<string, string>>;
}

/** Each client alone: `metrics` is the mean over their models on the pooled test set, `perClient` each on its own. */
export interface LocalReport extends BaselineReport {
  /** Each client's model on the pooled test set. */
  readonly pooled?: MetricsReport['perClient'];
  /** The client whose model is the best there by the workload's headline, and its figures there. */
  readonly best?: { readonly client: string; readonly metrics: MetricsReport['metrics'] };
  /** Clients of the federation; where they are many, only some trained alone. */
  readonly clients?: number;
}

/** The run again, with other settings. */
export interface FederationReport extends BaselineReport {
  readonly privacy: Report['privacy'];
  /** How it differs, in words. */
  readonly label?: string;
  /** What it was judged on. */
  readonly population?: Population;
}

/** What a trained model has to be better than. */
export interface FloorReport extends BaselineReport {
  readonly label: string;
  /** `trivial`, `raw-features`, `untrained` or `classical`. */
  readonly kind: string;
}

/** Which test examples: figures on different ones are not to be compared. */
export interface Population {
  readonly examples: number;
  /** SHA-256 (hex) of their labels and groups, in order. */
  readonly sha256: string;
}

/** What a model is worth on examples that belong to no lab. */
export interface CentralFigures {
  /** Under `central.`. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly examples: number;
}

/** The whole file. */
export interface Report {
  readonly schema: 'starling.report/1';
  readonly run: string;
  readonly workload: string;
  readonly scale: string;
  readonly seed: number;
  readonly backend: string | null;
  readonly status: RunStatus;
  readonly reason: string | null;
  readonly rounds: readonly RoundReport[];
  readonly final: MetricsReport;
  /** At equal total gradient steps. */
  readonly baselines: {
    readonly local?: LocalReport;
    readonly centralised?: BaselineReport;
    /** With differential privacy and secure aggregation. */
    readonly private?: FederationReport;
    /** Those that the workload compares itself with, by name. */
    readonly federated?: Readonly<Record<string, FederationReport>>;
    /** By name. */
    readonly floors?: Readonly<Record<string, FloorReport>>;
    /** Of the run, and of all rows that do not name another one. */
    readonly population?: Population;
  };
  readonly privacy: null | {
    readonly mode: string;
    readonly epsilon: number;
    readonly delta: number;
    readonly accountant: string;
    readonly budget: number | null;
    /** Where test figures are noised: how, and the standard deviation that this gives each mean of the last evaluation. */
    readonly tests?: {
      readonly noiseMultiplier: number;
      readonly evaluations: number;
      readonly deviations: Readonly<Record<string, number>>;
    };
    /** Simulated runs only: whether the noise follows from `seed`, or came from the system and is known to nobody. */
    readonly noise?: 'from-seed' | 'secret';
  };
  /** Present when the coordinator learned sums over the clients only; then `final.perClient` is empty. */
  readonly secureAggregation?: true;
  /** The metric to look at first; absent: the run does not say. */
  readonly headline?: Headline;
  /** Over whom the final figures are: of the last evaluation. */
  readonly evaluated?: Evaluated;
  /** Over all rounds: shares on average, clients by contributions. */
  readonly lossy?: Lossy;
  readonly modelSha256: string;
  /**
   * The round whose model was best by `metric`, and where it is kept: chosen on `split`, whose examples are spent by it.
   * `test`: the test figures of that model.
   */
  readonly best?: {
    readonly round: number;
    readonly metric: string;
    readonly better: Headline['better'];
    readonly value: number;
    readonly modelSha256: string;
    readonly path: string;
    /** Absent, of an older version: test. */
    readonly split?: 'train' | 'validation' | 'test';
    readonly test?: MetricsReport['metrics'];
  };
  readonly artefacts: readonly { readonly path: string; readonly mime: string; readonly title: string }[];
  /** The command that does the run again, where one is known. */
  readonly command?: string;
}
