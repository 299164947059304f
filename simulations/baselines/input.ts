/** What every baseline is made from: the run, as it was resolved, and the means to train and to judge. */
import type { TaskRunner } from '../../client/training/task.js';
import type { Shard, Workload } from '../../client/workload.js';
import { FlError } from '../../shared/errors.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { Headline, Population, Report } from '../../shared/run/report.js';
import type { RunSpec } from '../../shared/run/spec.js';
import type { Params } from '../../shared/tensors/params.js';
import type { Federation } from './federations.js';

/** The run that rows are made for. */
export interface BaselineInput {
  readonly spec: RunSpec;
  /** The first model. */
  readonly model: Params;
  readonly clients: readonly string[];
  /** Training examples of each client, in the order of `clients`. */
  readonly trainExamples: readonly number[];
  readonly trainer: TaskRunner;
  /** What floors learn from and are judged on: the workload, its data, and the share of each client. */
  readonly floors: {
    readonly workload: Workload;
    readonly data: unknown;
    readonly shards: readonly Shard[];
    /** The trainer's, so that nothing else is started beside it. */
    readonly backend: string;
  };
  /** Reference rows choose a rate and a round; absent: they have the run's. */
  readonly tuning?: {
    readonly rates: readonly number[];
    readonly seed: number;
    /** The first model of that seed. */
    readonly model: Params;
  };
  /** Starts a task when there is room for it. */
  readonly limit: <T>(task: () => Promise<T>) => Promise<T>;
  /** Pooled sums to figures; the means of the scalar metrics are among them. */
  readonly figures: (sums: SumMetrics) => Record<string, number>;
  /** The metric that the best client is chosen by, as `figures` names it. */
  readonly headline: Headline;
  /** Other federations, and what runs one. */
  readonly federations: readonly Federation[];
  readonly runAgain: (
    federation: Federation,
  ) => Promise<
    Pick<Report, 'status' | 'reason' | 'final' | 'rounds' | 'privacy'> & { readonly population?: Population }
  >;
  readonly onProgress?: (what: string) => void;
  readonly signal?: AbortSignal;
}

/** One row of the comparison: a part of the report's `baselines`. */
export type Baseline = (input: BaselineInput) => Promise<Report['baselines']>;

/** The run without protection: a client that trains alone, or data that lie in one place, hide nothing from anyone. */
export function unprotected(spec: RunSpec): RunSpec {
  const { secure: _, privacy: __, ...work } = spec.work;
  return { ...spec, work };
}

/** Why a training came to nothing; whatever else went wrong is thrown on. */
export function divergence(thrown: unknown, signal: AbortSignal | undefined): string {
  const { code, message } = FlError.from(thrown);
  if (signal?.aborted || (code !== 'failed-precondition' && code !== 'aborted')) throw thrown;
  return message;
}
