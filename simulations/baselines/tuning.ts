/**
 * Reference rows at their best: a learning rate of their own, tried on a small grid with a seed that reports nothing, and the
 * round whose model is best on validation examples. Without `tuning` in the input a row keeps the run's rate and all rounds.
 */
import { FlError } from '../../shared/errors.js';
import type { Tuned } from '../../shared/run/report.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { type BaselineInput, divergence } from './input.js';
import { type Alone, type Trained, trainAlone } from './train-alone.js';

/** The seed of all trials, of every run: no run that reports has it. */
export const TUNING_SEED = 1_000_003;
/** Of the run's learning rate, where a workload declares no rates for its scale. */
export const RATE_FACTORS = [1 / 3, 1, 3] as const;

/** Who trains: one client, or all data in one place. */
export type Trainee = Pick<Alone, 'client' | 'slice'>;

/** A setting that was chosen, or the run's. */
export interface Setting {
  readonly spec: RunSpec;
  /** Absent: nothing was tried. */
  readonly choice?: Omit<Tuned, 'stoppedAt'>;
}

/**
 * The rate of the grid that is best for these on average.
 * @throws FlError aborted: every rate diverged, or the signal fired
 */
export async function chooseSetting(
  input: BaselineInput,
  { spec, trainees }: { readonly spec: RunSpec; readonly trainees: readonly Trainee[] },
): Promise<Setting> {
  const { tuning } = input;
  if (tuning === undefined) return { spec };
  const withRate = (clientLr: number): RunSpec => ({
    ...spec,
    work: { ...spec.work, training: { ...spec.work.training, clientLr } },
  });
  const trial = { ...input, model: tuning.model };
  const scores = await Promise.all(
    tuning.rates.map(async (rate) => {
      const { work, engine } = withRate(rate);
      const seeded = { engine, work: { ...work, seed: tuning.seed } };
      const found = await Promise.all(trainees.map((who) => bestScore(trial, seeded, who)));
      return found.includes(null) ? null : (found as number[]).reduce((sum, one) => sum + one, 0) / found.length;
    }),
  );
  input.onProgress?.(`${tuning.rates.length} learning rates for ${trainees.map(({ client }) => client).join(', ')}`);
  const sign = signOf(input);
  const best = scores.reduce<number | undefined>((at, score, i) => {
    if (score === null) return at;
    return at === undefined || sign * score > sign * (scores[at] as number) ? i : at;
  }, undefined);
  if (best === undefined) throw new FlError('aborted', `training diverged at every rate of ${tuning.rates.join(', ')}`);
  const clientLr = tuning.rates[best];
  const budgetRounds = tuning.rates.length * trainees.length * spec.work.rounds;
  const choice = {
    grid: tuning.rates,
    seed: tuning.seed,
    metric: validationMetric(input),
    scores,
    clientLr,
    budgetRounds,
  };
  return { spec: withRate(clientLr), choice };
}

/** Trains and, where settings are tuned, gives the model of the round that was best on the trainee's validation examples. */
export function trainStopped(input: BaselineInput, spec: RunSpec, who: Trainee): Promise<Trained> {
  const { model, trainer, signal, tuning } = input;
  const scoreOf = tuning && ((trained: Trained) => scoreOn(input, spec, who, trained));
  return trainAlone({ ...who, spec, model, trainer, signal, scoreOf });
}

async function bestScore(input: BaselineInput, spec: RunSpec, who: Trainee): Promise<number | null> {
  try {
    const trained = await input.limit(() => trainStopped(input, spec, who));
    const score = await scoreOn(input, spec, who, trained);
    return score === null ? null : signOf(input) * score;
  } catch (thrown) {
    divergence(thrown, input.signal);
    return null;
  }
}

/** The larger, the better; null: there are no validation examples, or no such figure of them. */
async function scoreOn(
  input: BaselineInput,
  { work }: RunSpec,
  who: Trainee,
  trained: Trained,
): Promise<number | null> {
  const { values: model, privateTensors } = trained;
  const { privacy: _, ...open } = work;
  const task = { kind: 'evaluate', work: open, ...who, round: work.rounds, model, privateTensors } as const;
  const { metrics } = await input.trainer.run(task, { signal: input.signal });
  const value = input.figures(metrics)[validationMetric(input)];
  return value === undefined ? null : signOf(input) * value;
}

function signOf({ headline }: BaselineInput): 1 | -1 {
  return headline.better === 'higher' ? 1 : -1;
}

/** The headline on validation examples. */
function validationMetric({ headline }: BaselineInput): string {
  return `validation.${headline.metric.replace(/^test\./, '')}`;
}
