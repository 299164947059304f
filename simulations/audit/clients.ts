/** The audit of client-level privacy: a small federation in which whole clients are canaries. */
import type { ClientAuditPlan, Mechanism } from '../../client/audit/clients.js';
import type { ImageData } from '../../client/data/images.js';
import type { Workload } from '../../client/workload.js';
import { rngFromSeed } from '../../shared/rng.js';
import { costOf, epsilonAfter } from '../../shared/run/privacy-cost.js';
import type { TrainingSpec } from '../../shared/run/spec.js';
import { type AuditOptions, type AuditSetting, anyBound, byLoss, gaussianBound } from './report.js';

const COUNTS = {
  usual: { canaryClients: 2000, trainingClients: 60, imagesEach: 20, draws: 400 },
  quick: { canaryClients: 400, trainingClients: 16, imagesEach: 10, draws: 60 },
};
const TRAINING: TrainingSpec = {
  ...{ momentum: 0.9, weightDecay: 0, gradientClipNorm: 0, lrSchedule: 'constant', proximalMu: 0 },
  ...{ localEpochs: 3, batchSize: 10, clientLr: 0.05 },
};

/** `mechanism`: what becomes of updates; another than a run's only to see whether the audit finds it out. */
export async function auditClientLevel(
  workload: Workload<ImageData>,
  mode: ClientAuditPlan['mode'],
  options: AuditOptions,
  mechanism?: Mechanism,
): Promise<AuditSetting> {
  const { auditClients, workOf } = await import('../../client/audit/clients.js');
  const { searchContributions } = await import('../../client/audit/search.js');
  const { noiseMultiplier, rounds, delta, confidence, seed, quick } = options;
  const { draws, ...counts } = quick ? COUNTS.quick : COUNTS.usual;
  const hyper = {
    ...workload.manifest.scales.smoke.hyper,
    'train-examples': counts.trainingClients * counts.imagesEach,
    'test-examples': 100,
  };
  const rng = rngFromSeed(seed).split(mode);
  const about = {
    workload,
    hyper,
    training: TRAINING,
    mode,
    clippingBound: 1,
    noiseMultiplier,
    delta,
    rounds,
    ...counts,
  };
  const plan = {
    ...about,
    rng,
    data: await workload.load({ hyper, rng: rng.split('data') }),
    ...(mechanism && { mechanism }),
  };
  const work = workOf(plan);
  const { canaryClients, trainingClients, testAccuracy } = await auditClients(plan);
  const turning = {
    scores: canaryClients.scores.filter((_, i) => i % 2 === 1),
    included: canaryClients.included.filter((_, i) => i % 2 === 1),
  };
  const terms = { delta, confidence };
  const search = { work, draws, rng: rng.split('search'), ...(mechanism && { encode: mechanism.encode }) };
  return {
    name: `${mode}, noise ${noiseMultiplier}`,
    epsilonAtMost: epsilonAfter(costOf(work)!, rounds),
    largestContribution: await searchContributions(search),
    bounds: [
      anyBound('canary clients, assuming nothing', canaryClients, terms),
      gaussianBound('canary clients, assuming Gaussian noise', canaryClients, terms),
      gaussianBound('those that turn, assuming Gaussian noise', turning, terms),
      byLoss('training clients, by loss', trainingClients, terms),
    ],
    testAccuracy,
  };
}
