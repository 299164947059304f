/** The audit of example-level privacy: training with noise, and once without any, which shows that attacks find a leak. */
import type { ImageData } from '../../client/data/images.js';
import type { Workload } from '../../client/workload.js';
import { privacyEpsilon } from '../../shared/privacy/index.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { TrainingSpec } from '../../shared/run/spec.js';
import { type AuditOptions, type AuditSetting, anyBound, byLoss, gaussianBound } from './report.js';

const COUNTS = {
  usual: { gradientCanaries: 2000, mislabelledImages: 300, ordinaryImages: 2000, draws: 400 },
  quick: { gradientCanaries: 400, mislabelledImages: 60, ordinaryImages: 200, draws: 60 },
};
const PLAIN = { momentum: 0, weightDecay: 0, gradientClipNorm: 0, lrSchedule: 'constant', proximalMu: 0 } as const;
const CLIPPING_BOUND = 1;

/** With noise and without. @throws FlError data-missing, or invalid-argument: a workload without a loss of each example */
export async function auditExamples(workload: Workload<ImageData>, options: AuditOptions): Promise<AuditSetting[]> {
  const { auditTraining } = await import('../../client/audit/audit.js');
  const { searchExamples } = await import('../../client/audit/search.js');
  const { noiseMultiplier, samplingRate, steps, delta, seed, quick } = options;
  const { draws, ...counts } = quick ? COUNTS.quick : COUNTS.usual;
  const hyper = {
    ...workload.manifest.scales[quick ? 'smoke' : 'demo'].hyper,
    'train-examples': counts.mislabelledImages + counts.ordinaryImages,
    'test-examples': quick ? 100 : 1000,
  };
  const rng = rngFromSeed(seed);
  const data = await workload.load({ hyper, rng: rng.split('data') });
  const common = { workload, hyper, data, rng, ...counts };
  const privacy = { mode: 'example', clippingBound: CLIPPING_BOUND, noiseMultiplier, samplingRate, delta } as const;
  const noisy: TrainingSpec = { ...PLAIN, localSteps: steps, batchSize: 128, clientLr: 1 };
  // As often over the data as the steps with noise, but at least often enough to learn it by heart.
  const localEpochs = Math.max(15, Math.ceil(steps * samplingRate));
  const plain: TrainingSpec = { ...PLAIN, localEpochs, batchSize: 32, clientLr: 0.05, momentum: 0.9 };
  const search = {
    workload,
    hyper,
    data,
    training: noisy,
    clippingBound: CLIPPING_BOUND,
    draws,
    rng: rng.split('search'),
  };
  return [
    {
      name: `example, noise ${noiseMultiplier}`,
      epsilonAtMost: privacyEpsilon({ noiseMultiplier, samplingRate, steps, delta }),
      largestContribution: await searchExamples(search),
      ...found(await auditTraining({ ...common, training: noisy, privacy }), options),
    },
    {
      name: 'example, no noise',
      epsilonAtMost: null,
      largestContribution: null,
      ...found(await auditTraining({ ...common, training: plain }), options),
    },
  ];
}

type Scores = Awaited<ReturnType<typeof import('../../client/audit/audit.js')['auditTraining']>>;

function found(
  { gradientCanaries, mislabelledImages, ordinaryImages, testAccuracy }: Scores,
  { delta, confidence }: AuditOptions,
): Pick<AuditSetting, 'bounds' | 'testAccuracy'> {
  const terms = { delta, confidence };
  return {
    bounds: [
      anyBound('gradient canaries, assuming nothing', gradientCanaries, terms),
      // Each canary has a coordinate of its own, so these are independent trials of one mechanism.
      gaussianBound('gradient canaries, assuming Gaussian noise', gradientCanaries, terms),
      byLoss('mislabelled images, by loss', mislabelledImages, terms),
      byLoss('ordinary images, by loss', ordinaryImages, terms),
    ],
    testAccuracy,
  };
}
