/** The report of a run as the coordinator knows it: no workload code, so the means of the pooled sums and no artefacts. */
import { meansOf } from '../shared/metrics.js';
import { privacyReport } from '../shared/privacy-cost.js';
import type { Report } from '../shared/report.js';
import { buildReport } from './report/build.js';
import type { Run } from './run.js';

export function reportOf({ history, spec, state }: Pick<Run, 'history' | 'spec' | 'state'>): Report {
  const perClient = Object.entries(history.perClient).map(([client, sums]) => [client, meansOf(sums, 'test')] as const);
  return buildReport({
    run: state.run,
    work: spec.work,
    status: state.status,
    reason: state.reason === '' ? null : state.reason,
    backend: null,
    rounds: history.summaries,
    final: { metrics: meansOf(history.pooled, 'test'), perClient: Object.fromEntries(perClient) },
    baselines: {},
    artefacts: [],
    modelSha256: state.modelSha256,
    privacy: privacyReport(spec.work, history.summaries),
    secureAggregation: spec.work.secure !== undefined,
  });
}
