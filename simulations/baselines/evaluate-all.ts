/** One trained model on the test data of every client. */
import { type SumMetrics, sumMetrics } from '../../shared/run/metrics.js';
import type { MetricsReport } from '../../shared/run/report.js';
import type { WorkSpec } from '../../shared/run/spec.js';
import type { BaselineInput } from './input.js';
import type { Trained } from './train-alone.js';

type Judged = Readonly<Record<string, SumMetrics>>;

/**
 * Sums by client, each on its own test data as it takes it; together they are the pooled test set. Private tensors are
 * those that were trained with the model, whichever client is tested.
 */
export async function evaluateAll(
  { spec, clients, trainer, limit, signal }: BaselineInput,
  { values: model, privateTensors }: Trained,
): Promise<Judged> {
  const { tests: _, ...privacy } = spec.work.privacy ?? {}; // what stays here is judged exactly
  const work = spec.work.privacy === undefined ? spec.work : ({ ...spec.work, privacy } as WorkSpec);
  const entries = clients.map(async (client, index) => {
    const slice = { index, count: clients.length };
    const task = { kind: 'evaluate', work, client, slice, round: work.rounds, model, privateTensors } as const;
    const { metrics } = await limit(() => trainer.run(task, { signal }));
    return [client, metrics] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

/** The figures on the pooled test set, and on each client's own. */
export function reportOf({ figures }: BaselineInput, judged: Judged): MetricsReport {
  const perClient = Object.entries(judged).map(([client, sums]) => [client, figures(sums)] as const);
  return { metrics: figures(sumMetrics(judged)), perClient: Object.fromEntries(perClient) };
}
