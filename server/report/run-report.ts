/** The report of a run from what the coordinator knows of it; who has the workload's code adds what that says. */
import { meansOf, type SumMetrics } from '../../shared/run/metrics.js';
import { privacyReport } from '../../shared/run/privacy-cost.js';
import type { Report } from '../../shared/run/report.js';
import { deviationOf } from '../../shared/run/test-noise.js';
import { type History, readHistory } from '../run/history.js';
import type { Run } from '../run/run.js';
import { type BuildInput, buildReport } from './build.js';

/** What whoever has the workload's code knows beside the coordinator. */
export interface KnownBeside extends Partial<Pick<BuildInput, 'backend' | 'baselines' | 'artefacts' | 'command'>> {
  /** Pooled sums to figures; default: the means, under `test.`. */
  readonly figures?: (sums: SumMetrics) => Record<string, number>;
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
  { figures = (sums) => meansOf(sums, 'test'), noise, ...known }: KnownBeside = {},
): Report {
  const perClient = Object.entries(history.perClient).map(([client, sums]) => [client, figures(sums)] as const);
  const privacy = privacyReport(spec.work, history.summaries);
  return buildReport({
    run: state.run,
    work: spec.work,
    status: state.status,
    reason: state.reason === '' ? null : state.reason,
    backend: known.backend ?? null,
    rounds: history.summaries,
    final: { metrics: figures(history.pooled), perClient: Object.fromEntries(perClient) },
    baselines: known.baselines ?? {},
    artefacts: known.artefacts ?? [],
    modelSha256: state.modelSha256,
    privacy: privacy && { ...privacy, ...testsOf({ history, spec, state }), ...(noise && { noise }) },
    secureAggregation: spec.work.secure !== undefined,
    command: known.command,
  });
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
