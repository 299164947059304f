/** The report of a run from what the coordinator knows of it; who has the workload's code adds what that says. */
import { figuresOfEvaluation } from '../../shared/run/figures.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import { privacyReport } from '../../shared/run/privacy-cost.js';
import type { CentralFigures, Report } from '../../shared/run/report.js';
import type { RoundSummary } from '../../shared/run/summary.js';
import { deviationOf } from '../../shared/run/test-noise.js';
import type { RunState } from '../round/state.js';
import { type History, readHistory } from '../run/history.js';
import { BEST_MODEL } from '../run/model.js';
import type { Run } from '../run/run.js';
import { type BuildInput, buildReport } from './build.js';

/** What whoever has the workload's code knows beside the coordinator. */
export interface KnownBeside extends Partial<Pick<BuildInput, 'backend' | 'baselines' | 'artefacts' | 'command'>> {
  /** Pooled sums to figures under `test.` that the run's specification does not know of; default: none. */
  readonly figures?: (sums: SumMetrics) => Record<string, number>;
  /** Figures of rounds, where more are known than the coordinator had. */
  readonly roundFigures?: ReadonlyMap<number, Readonly<Record<string, number>>>;
  /** What a central test set says of rounds. */
  readonly centralFigures?: ReadonlyMap<number, CentralFigures>;
  /** Where a simulation's noise came from. */
  readonly noise?: NonNullable<Report['privacy']>['noise'];
}

/** A run, and its past. */
type KnownRun = Pick<Run, 'spec' | 'state'> & { readonly history: History };

/** The report of a run that is at work, or was until now. @throws FlError naming the file of its past that is wrong */
export async function readReport({
  directory,
  spec,
  state,
}: Pick<Run, 'directory' | 'spec' | 'state'>): Promise<Report> {
  return reportOf({ spec, state, history: await readHistory(directory) });
}

/** The report of a run as it stands, also while it goes on. */
export function reportOf(
  { history, spec, state }: KnownRun,
  { figures, roundFigures, centralFigures, noise, ...known }: KnownBeside = {},
): Report {
  const { headline, formulas } = spec.engine.figures ?? {};
  const finish = (sums: SumMetrics) => ({ ...figuresOfEvaluation(sums, { formulas }).metrics, ...figures?.(sums) });
  const perClient = Object.entries(history.perClient).map(([client, sums]) => [client, finish(sums)] as const);
  // a figure that its round left out is below what can be seen
  const lost = lostIn(history.summaries.findLast(({ evaluated }) => evaluated !== undefined));
  const seen = Object.entries(finish(history.pooled)).filter(([name]) => !lost.has(name));
  const lastRound = history.summaries.at(-1)?.round ?? 0;
  const privacy = privacyReport(spec.work, history.summaries);
  const rounds = history.summaries.map((summary) => {
    const { round, metrics } = summary;
    const known = roundFigures?.get(round) ?? metrics;
    return { ...summary, metrics: { ...known, ...centralFigures?.get(round)?.metrics } };
  });
  return buildReport({
    run: state.run,
    work: spec.work,
    status: state.status,
    reason: state.reason === '' ? null : state.reason,
    backend: known.backend ?? null,
    rounds,
    final: {
      metrics: { ...Object.fromEntries(seen), ...centralFigures?.get(lastRound)?.metrics },
      perClient: Object.fromEntries(perClient),
    },
    headline,
    baselines: known.baselines ?? {},
    artefacts: known.artefacts ?? [],
    modelSha256: state.modelSha256,
    best: bestOf(state, rounds),
    privacy: privacy && { ...privacy, ...testsOf({ history, spec, state }), ...(noise && { noise }) },
    secureAggregation: spec.work.secure !== undefined,
    command: known.command,
  });
}

/** The model that the run has kept because of a figure, which it is flattered by. */
function bestOf({ spec: { stopWhen }, judgement }: RunState, rounds: readonly RoundSummary[]): Report['best'] {
  const best = judgement?.best;
  if (best === undefined || stopWhen === undefined) return undefined;
  const { metric, better } = stopWhen;
  const figures = Object.entries(rounds.find(({ round }) => round === best.round)?.metrics ?? {});
  const test = Object.fromEntries(
    figures.filter(([name, value]) => name.startsWith('test.') && Number.isFinite(value)),
  );
  return { ...best, metric, better, path: BEST_MODEL, split: splitOf(metric), test };
}

function splitOf(metric: string): NonNullable<Report['best']>['split'] {
  return (['validation', 'train'] as const).find((split) => metric.startsWith(`${split}.`)) ?? 'test';
}

/** Figures that have a resolution and no value. */
function lostIn(summary: RoundSummary | undefined): ReadonlySet<string> {
  const { resolution = {}, metrics = {} } = summary ?? {};
  return new Set(Object.keys(resolution).filter((name) => !Object.hasOwn(metrics, name)));
}

/** What the noise does to the figures; under secure aggregation as many are taken to have answered as were there. */
function testsOf({ history, spec, state }: KnownRun) {
  const { tests } = spec.work.privacy ?? {};
  if (tests === undefined) return {};
  const { pooled, perClient } = history;
  const there = Math.max(state.online.length, history.summaries.at(-1)?.cohort ?? 0);
  const clients = Object.keys(perClient).length || spec.engine.evaluateClients || there;
  const deviations = tests.metrics.flatMap(({ name }) => {
    const deviation = deviationOf(tests, name, { pooled, clients });
    return deviation === undefined ? [] : [[`test.${name}`, deviation] as const];
  });
  const { noiseMultiplier, evaluations } = tests;
  return { tests: { noiseMultiplier, evaluations, deviations: Object.fromEntries(deviations) } };
}
