/**
 * Centralised: what could be had if all data lay in one place. One client holds all of them and trains as a federation of
 * one: the run's rounds, phases and strategy, and in each round as many local steps as a whole cohort makes together, so
 * that the total of gradient steps is that of the run.
 */
import { countSteps } from '../../client/training/local-sgd.js';
import type { Report } from '../../shared/run/report.js';
import { evaluateAll, reportOf } from './evaluate-all.js';
import { type BaselineInput, divergence, unprotected } from './input.js';
import { chooseSetting, trainStopped } from './tuning.js';

/** The row `centralised` of a report: one client with all data, at the cohort's steps. */
export async function centralised(input: BaselineInput): Promise<Report['baselines']> {
  const { signal } = input;
  const { work, engine } = unprotected(input.spec);
  const { localEpochs: _, ...training } = work.training;
  const localSteps = cohortSteps(input);
  const spec = { engine, work: { ...work, training: { ...training, localSteps } } };
  const about = { rounds: work.rounds, localSteps };
  try {
    const who = { client: 'centralised' };
    const { spec: own, choice } = await chooseSetting(input, { spec, trainees: [who] });
    const trained = await input.limit(() => trainStopped(input, own, who));
    input.onProgress?.('all data in one place');
    const stoppedAt = { centralised: trained.round ?? 0 };
    const tuned = choice && { ...choice, stoppedAt, budgetRounds: choice.budgetRounds + work.rounds };
    const figures = reportOf(input, await evaluateAll(input, trained));
    return { centralised: { ...figures, work: about, ...(tuned && { tuned }) } };
  } catch (thrown) {
    const failures = { centralised: divergence(thrown, signal) };
    return { centralised: { metrics: {}, perClient: {}, work: about, failures } };
  }
}

/** Steps of a cohort in one round, on average over which clients are in it. */
function cohortSteps({ spec, trainExamples }: BaselineInput): number {
  const steps = trainExamples.map((examples) => countSteps(spec.work.training, examples));
  const mean = steps.reduce((sum, count) => sum + count, 0) / steps.length;
  return Math.max(1, Math.round(spec.engine.cohort * mean));
}
