/**
 * Local-only: each client trains a model alone, on its own data, as a federation of one, for as many rounds as the run and
 * with as many local steps in each. Where a cohort is only a part of the clients, that is more than a client does in the
 * run. It helps, until a client knows its own data by heart: then the best of them is the one to compare with.
 *
 * Each model is judged on the pooled test set and on its own client's: under label skew, training alone looks hopeless on
 * the first and may look good on the second.
 */
import { findMetric, metricValue } from '../../server/report/metrics.js';
import { sumMetrics } from '../../shared/run/metrics.js';
import type { LocalReport, Report, Tuned } from '../../shared/run/report.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { evaluateAll } from './evaluate-all.js';
import { type BaselineInput, divergence, unprotected } from './input.js';
import { chooseSetting, type Trainee, trainStopped } from './tuning.js';

/** Clients that train alone, at most: with all of many clients, the baseline would cost more than the run. */
const MAX_LOCAL_CLIENTS = 10;
/** Of them, those by whom a rate is chosen for all. */
const MAX_TUNING_CLIENTS = 3;

type Figures = Readonly<Record<string, number>>;
type Outcome =
  | { readonly client: string; readonly pooled: Figures; readonly own: Figures; readonly round: number }
  | { readonly client: string; readonly failure: string };

/** The row `local` of a report: clients alone, each judged on its own test data and on all. */
export async function localOnly(input: BaselineInput): Promise<Report['baselines']> {
  const chosen = evenlyBySize(input.trainExamples, MAX_LOCAL_CLIENTS);
  const trainees = evenlyBySize(input.trainExamples, MAX_TUNING_CLIENTS).map((index) => traineeOf(input, index));
  const setting = await chooseSetting(input, { spec: unprotected(input.spec), trainees }).catch((thrown) =>
    divergence(thrown, input.signal),
  );
  if (typeof setting === 'string') return { local: { metrics: {}, perClient: {}, failures: { local: setting } } };
  const { spec, choice } = setting;
  const outcomes = await Promise.all(chosen.map((index) => alone(input, spec, index)));
  const failures = outcomes.flatMap((one) => ('failure' in one ? [[one.client, one.failure] as const] : []));
  const models = outcomes.flatMap((one) => ('failure' in one ? [] : [one]));
  const { localEpochs, localSteps } = input.spec.work.training;
  const pooled = Object.fromEntries(models.map((one) => [one.client, one.pooled]));
  const best = bestOf(pooled, input.headline);
  const local: LocalReport = {
    metrics: meanOf(Object.values(pooled)),
    perClient: Object.fromEntries(models.map(({ client, own }) => [client, own])),
    pooled,
    ...(best !== undefined && { best: { client: best, metrics: pooled[best] } }),
    clients: input.clients.length,
    ...(choice && { tuned: tunedOf(choice, models, input) }),
    work: { rounds: input.spec.work.rounds, ...(localSteps === undefined ? { localEpochs } : { localSteps }) },
    ...(failures.length > 0 && { failures: Object.fromEntries(failures) }),
  };
  return { local };
}

function traineeOf({ clients }: BaselineInput, index: number): Trainee {
  return { client: clients[index], slice: { index, count: clients.length } };
}

function tunedOf(
  choice: Omit<Tuned, 'stoppedAt'>,
  models: readonly { readonly client: string; readonly round: number }[],
  { spec }: BaselineInput,
): Tuned {
  const stoppedAt = Object.fromEntries(models.map(({ client, round }) => [client, round]));
  return { ...choice, stoppedAt, budgetRounds: choice.budgetRounds + models.length * spec.work.rounds };
}

async function alone(input: BaselineInput, spec: RunSpec, index: number): Promise<Outcome> {
  const { signal, figures } = input;
  const who = traineeOf(input, index);
  const { client } = who;
  try {
    const trained = await input.limit(() => trainStopped(input, spec, who));
    input.onProgress?.(`${client} alone`);
    const judged = await evaluateAll(input, trained);
    return { client, pooled: figures(sumMetrics(judged)), own: figures(judged[client]), round: trained.round ?? 0 };
  } catch (thrown) {
    return { client, failure: divergence(thrown, signal) };
  }
}

/** At most `most` clients, evenly spread from the one with the most examples to those with few; by index. */
export function evenlyBySize(examples: readonly number[], most: number): number[] {
  const bySize = [...examples.keys()].sort((a, b) => examples[b] - examples[a] || a - b);
  const picked = Math.min(bySize.length, most);
  const chosen = Array.from({ length: picked }, (_, i) => bySize[Math.floor((i * bySize.length) / picked)]);
  return chosen.sort((a, b) => a - b);
}

/** Whose figures are best by the headline; undefined when nobody's have it. */
function bestOf(
  pooled: Readonly<Record<string, Figures>>,
  { metric, better }: BaselineInput['headline'],
): string | undefined {
  const sign = better === 'higher' ? 1 : -1;
  const scores = Object.entries(pooled).flatMap(([client, figures]) => {
    const name = findMetric(metric, (name) => metricValue(figures, name) !== null);
    return name === undefined ? [] : [{ client, score: sign * figures[name] }];
  });
  return scores.sort((a, b) => b.score - a.score)[0]?.client;
}

/** Each figure's mean over the rows that have it. */
function meanOf(rows: readonly Figures[]): Figures {
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  const means = [...names].sort().map((name) => {
    const values = rows.flatMap((row) => (Object.hasOwn(row, name) ? [row[name]] : []));
    return [name, values.reduce((sum, value) => sum + value, 0) / values.length] as const;
  });
  return Object.fromEntries(means);
}
