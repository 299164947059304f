/**
 * report.json, the file that others rely on: CONTRACT "report.json", schema starling.report/1.
 */
import type { Dropped, RunStatus } from './round.js';

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
}

export interface MetricsReport {
  readonly metrics: Readonly<Record<string, number>>;
  readonly perClient: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

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
  /** `local.metrics` is the mean over clients of a model trained alone, judged on the pooled test set. */
  readonly baselines: { readonly local?: MetricsReport; readonly centralised?: MetricsReport };
  readonly privacy: null | {
    readonly mode: string;
    readonly epsilon: number;
    readonly delta: number;
    readonly accountant: string;
    readonly budget: number | null;
  };
  /** Present when the coordinator learned sums over the clients only; then `final.perClient` is empty. */
  readonly secureAggregation?: true;
  readonly modelSha256: string;
  readonly artefacts: readonly { readonly path: string; readonly mime: string; readonly title: string }[];
}
