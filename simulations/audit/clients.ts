/** The audit of client-level privacy: a small federation in which whole clients are canaries. */
import type { ClientAuditSetup, Mechanism } from '../../client/audit/clients.js';
import type { ImageData } from '../../client/data/images.js';
import type { Workload } from '../../client/workload.js';
import { rngFromSeed } from '../../shared/rng.js';
import { encodePrivately, latticeFor } from '../../shared/run/client-level-privacy.js';
import { costOf, epsilonAfter } from '../../shared/run/privacy-cost.js';
import type { TrainingSpec } from '../../shared/run/spec.js';
import { type AuditOptions, type AuditSetting, anyBound, byLoss, gaussianBound } from './report.js';

const COUNTS = {
  usual: { canaryClients: 2000, trainingClients: 60, imagesEach: 20, draws: 400 },
  quick: { canaryClients: 400, trainingClients: 16, imagesEach: 10, draws: 60 },
};
/** 1, so that sums in units of it are sums. */
const CLIPPING_BOUND = 1;
const TRAINING: TrainingSpec = {
  ...{ momentum: 0.9, weightDecay: 0, gradientClipNorm: 0, lrSchedule: 'constant', proximalMu: 0 },
  ...{ localEpochs: 3, batchSize: 10, clientLr: 0.05 },
};

/** The sum as it is: clipped and rounded, and nothing hides it. */
const NO_NOISE: Mechanism = {
  encode: encodePrivately, // adds none in mode central
  decode({ work, round }, integers) {
    const { granularity } = latticeFor(work, round);
    return { sums: Float64Array.from(integers, (value) => value * granularity), withinBound: undefined };
  },
};

/** Mode central whose coordinator forgets its noise, which shows that the attacks find a leak. */
export async function auditWithoutNoise(workload: Workload<ImageData>, options: AuditOptions): Promise<AuditSetting> {
  const setting = await auditClientLevel(workload, 'central', options, NO_NOISE);
  return { ...setting, name: 'client, no noise', epsilonAtMost: null };
}

/** `mechanism`: what becomes of updates; another than a run's only to see whether the audit finds it out. */
export async function auditClientLevel(
  workload: Workload<ImageData>,
  mode: ClientAuditSetup['mode'],
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
    'test-examples': 10,
  };
  const rng = rngFromSeed(seed).split(mode);
  const privacy = { mode, clippingBound: CLIPPING_BOUND, noiseMultiplier, delta, rounds };
  const data = await workload.load({ hyper, rng: rng.split('data') });
  const setup = {
    workload,
    hyper,
    data,
    training: TRAINING,
    ...privacy,
    ...counts,
    rng,
    ...(mechanism && { mechanism }),
  };
  const work = workOf(setup);
  const { canaryClients, trainingClients } = await auditClients(setup);
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
    testAccuracy: null, // labels are wrong
  };
}
