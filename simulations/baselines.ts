/**
 * What federation is worth: the same model trained by each client alone, and on all data in one place, with the same
 * number of gradient steps, judged on the same test sets.
 */

import type { TaskRunner } from '../client/training/task.js';
import { addMetrics, meansOf, type SumMetrics, sumMetrics } from '../shared/metrics.js';
import type { HostTensors, Params } from '../shared/params.js';
import type { MetricsReport, Report } from '../shared/report.js';
import { rngFromSeed } from '../shared/rng.js';
import type { RunSpec, WorkSpec } from '../shared/round.js';
import { limiter } from './limit.js';

/** Clients that train alone; more are sampled, by the run's seed. Each is judged on every test set, so cost is square. */
export const MAX_LOCAL_CLIENTS = 20;

export interface BaselineInput {
  readonly spec: RunSpec;
  readonly model: Params;
  readonly clients: readonly string[];
  /** Training examples of all clients together. */
  readonly trainExamples: number;
  readonly trainer: TaskRunner;
  readonly width: number;
  /** Turns pooled sums into figures; the means of the scalar metrics are among them. */
  readonly figures: (sums: SumMetrics) => Record<string, number>;
  readonly onProgress?: (what: string) => void;
}

export async function baselines(input: BaselineInput): Promise<Report['baselines']> {
  const admit = limiter(input.width);
  const [centralised, local] = await Promise.all([admitted(admit, input, centralModel), localModels(admit, input)]);
  return { local, centralised };
}

type Admit = ReturnType<typeof limiter>;

async function localModels(admit: Admit, input: BaselineInput): Promise<MetricsReport> {
  const { clients, spec, figures } = input;
  const everyone = [...clients.keys()];
  const chosen = rngFromSeed(spec.engine.seed).split('local-baseline').shuffle(everyone).slice(0, MAX_LOCAL_CLIENTS);
  const judged = await Promise.all(
    chosen
      .sort((a, b) => a - b)
      .map(async (index) => {
        const model = await admit(() => trainAlone(input, localWork(input), clients[index], index));
        return { index, sums: await evaluateEverywhere(admit, input, model) };
      }),
  );
  const pooled = judged.map(({ sums }) => figures(sumMetrics(sums)));
  const own = judged.map(({ index, sums }) => [clients[index], figures(sums[clients[index]])] as const);
  return { metrics: meanOf(pooled), perClient: Object.fromEntries(own) };
}

async function admitted(
  admit: Admit,
  input: BaselineInput,
  train: (input: BaselineInput) => Promise<Trained>,
): Promise<MetricsReport> {
  const model = await admit(() => train(input));
  const sums = await evaluateEverywhere(admit, input, model);
  const perClient = Object.entries(sums).map(([client, own]) => [client, input.figures(own)] as const);
  return { metrics: input.figures(sumMetrics(sums)), perClient: Object.fromEntries(perClient) };
}

interface Trained {
  readonly values: Float32Array;
  readonly own: HostTensors | undefined;
}

/** As often as a client is in a cohort on average. */
function localWork({ spec, clients }: BaselineInput): WorkSpec {
  const { rounds, cohort } = spec.engine;
  return { ...spec.work, rounds: Math.max(1, Math.round((rounds * cohort) / clients.length)) };
}

/** All examples in one place; each round as many steps as a cohort makes together. */
function centralModel(input: BaselineInput): Promise<Trained> {
  const { work, engine } = input.spec;
  const { localSteps, localEpochs = 1, batchSize } = work.training;
  const perClient = localSteps ?? localEpochs * Math.ceil(input.trainExamples / input.clients.length / batchSize);
  const { localEpochs: _, ...training } = work.training;
  const steps = Math.max(1, Math.round(engine.cohort * perClient));
  return trainAlone(input, { ...work, training: { ...training, localSteps: steps } }, 'centralised', undefined);
}

async function trainAlone(
  { model, clients, trainer, onProgress }: BaselineInput,
  work: WorkSpec,
  client: string,
  index: number | undefined,
): Promise<Trained> {
  let trained: Trained = { values: model.values, own: undefined };
  const slice = index === undefined ? {} : { slice: { index, count: clients.length } };
  for (let round = 1; round <= work.rounds; round++) {
    const { values, own } = trained;
    const result = await trainer.run({
      kind: 'train',
      work,
      client,
      round,
      model: values,
      ...slice,
      ...(own && { own }),
    });
    const update = result.contribution.values;
    trained = { values: values.map((value, i) => value + update[i]), own: result.own ?? own };
  }
  onProgress?.(client);
  return trained;
}

/** The model's sums on the test set of each client. */
async function evaluateEverywhere(
  admit: Admit,
  { spec, clients, trainer }: BaselineInput,
  { values: model, own }: Trained,
): Promise<Record<string, SumMetrics>> {
  const { work } = spec;
  const entries = clients.map(async (client, index) => {
    const slice = { index, count: clients.length };
    const task = { kind: 'evaluate', work, client, slice, round: work.rounds, model, ...(own && { own }) } as const;
    const { metrics } = await admit(() => trainer.run(task));
    return [client, metrics] as const;
  });
  return Object.fromEntries(await Promise.all(entries));
}

function meanOf(rows: readonly Record<string, number>[]): Record<string, number> {
  const sums = rows.map((row) =>
    Object.fromEntries(Object.entries(row).map(([name, value]) => [name, { sum: [value], count: 1 }])),
  );
  const total = sums.reduce<SumMetrics>(addMetrics, {});
  return Object.fromEntries(Object.entries(meansOf(total, '')).map(([name, value]) => [name.slice(1), value]));
}
