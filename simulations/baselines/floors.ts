/**
 * Floors: what a trained model has to be better than. The workload's own, which learn from the training examples of all
 * clients in one place, and the first model as it is. All are judged as a model is: each client's test examples, and their sum.
 */
import { setImmediate } from 'node:timers/promises';
import { type BackendName, selectBackend } from '../../client/backends/index.js';
import { batchOf } from '../../client/training/batch.js';
import type { Floor, FloorContext } from '../../client/workload.js';
import { FlError } from '../../shared/errors.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { SumMetrics } from '../../shared/run/metrics.js';
import type { FloorReport, MetricsReport } from '../../shared/run/report.js';
import { evaluateAll, reportOf } from './evaluate-all.js';
import type { Baseline, BaselineInput } from './input.js';

/** The name of the engine's own floor. */
export const UNTRAINED = 'untrained';

/** The row of each floor; one that fails is named with the reason, and the run stands without it. */
export const floors: Baseline = async (input) => {
  const { model, signal, onProgress } = input;
  const rows: Record<string, FloorReport> = {};
  const add = async (name: string, about: Pick<FloorReport, 'label' | 'kind'>, make: () => Promise<MetricsReport>) => {
    if (signal?.aborted) return;
    try {
      rows[name] = { ...about, ...(await make()) };
    } catch (thrown) {
      if (signal?.aborted) return;
      rows[name] = {
        ...about,
        metrics: {},
        perClient: {},
        failures: { [`floor/${name}`]: FlError.from(thrown).message },
      };
    }
    onProgress?.(`floor: ${about.label}`);
  };
  const untrained = { label: 'the untrained network', kind: 'untrained' };
  await add(UNTRAINED, untrained, async () => reportOf(input, await evaluateAll(input, { values: model.values })));
  const { workload, backend } = input.floors;
  const { floors: declared = [] } = workload;
  if (declared.length > 0) await selectBackend(backend as BackendName); // rows come out of tensors
  for (const floor of declared) {
    await add(floor.name, { label: floor.label, kind: floor.kind }, async () =>
      reportOf(input, await judged(input, floor)),
    );
  }
  return { floors: rows };
};

async function judged(
  { clients, floors: about, spec }: BaselineInput,
  floor: Floor,
): Promise<Record<string, SumMetrics>> {
  const rng = rngFromSeed(spec.work.seed).split(`floor/${floor.name}`);
  const judge = await floor.fit({ ...contextOf(about, spec.work.hyper), rng });
  const sums: Record<string, SumMetrics> = {};
  for (const [index, client] of clients.entries()) {
    await setImmediate(); // other rows have tasks to hand out
    sums[client] = judge(about.shards[index]);
  }
  return sums;
}

function contextOf(
  { workload, data, shards }: BaselineInput['floors'],
  hyper: FloorContext<unknown>['hyper'],
): Omit<FloorContext<unknown>, 'rng'> {
  const batch: FloorContext<unknown>['batch'] = (indices, of) => batchOf(workload, data, indices, { hyper, ...of });
  return { data, hyper, shards, batch };
}
