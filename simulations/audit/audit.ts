/**
 * How tight is the claim: the ε that attacks on a training run prove, beside the ε that the accountant promises; once with
 * noise, and once without any, which shows that the attacks can find a leak.
 */
import type { ImageData } from '../../client/data/images.js';
import type { Workload } from '../../client/workload.js';
import { loadWorkload } from '../../client/workloads/index.js';
import {
  areaUnderCurve,
  gaussianAttackEpsilon,
  oneRunBound,
  privacyEpsilon,
  thresholdAttack,
} from '../../shared/privacy/index.js';
import { rngFromSeed } from '../../shared/rng.js';
import type { TrainingSpec } from '../../shared/run/spec.js';

/** What is trained and attacked; `confidence` in (0, 1) is that of each bound. */
export interface AuditOptions {
  readonly workload: string;
  readonly noiseMultiplier: number;
  readonly samplingRate: number;
  readonly steps: number;
  readonly delta: number;
  readonly confidence: number;
  readonly seed: number;
  /** A small model on drawn digits: seconds instead of most of a minute. */
  readonly quick: boolean;
}

/** What one attack proves of one setting. */
export interface AuditBound {
  readonly attack: string;
  /** ε >= this at the confidence asked for. */
  readonly epsilonAtLeast: number;
  /** Area under the curve, where the attack is one by a single score that someone outside has. */
  readonly auc?: number;
}

/** One training, with noise or without, and what the attacks proved of it. */
export interface AuditSetting {
  readonly name: string;
  /** null: no noise, no bound. */
  readonly epsilonAtMost: number | null;
  readonly bounds: readonly AuditBound[];
  readonly testAccuracy: number;
}

/** What was asked and what was found. */
export interface AuditReport extends AuditOptions {
  readonly counts: AuditCounts;
  readonly settings: readonly AuditSetting[];
  /** Whether an attack proved more than the accountant allows. */
  readonly refuted: boolean;
}

interface AuditCounts {
  readonly gradientCanaries: number;
  readonly mislabelledImages: number;
  readonly ordinaryImages: number;
}

const COUNTS = {
  usual: { gradientCanaries: 2000, mislabelledImages: 300, ordinaryImages: 2000 },
  quick: { gradientCanaries: 400, mislabelledImages: 60, ordinaryImages: 200 },
};
const PLAIN = { momentum: 0, weightDecay: 0, gradientClipNorm: 0, lrSchedule: 'constant', proximalMu: 0 } as const;
const CLIPPING_BOUND = 1;

/** Trains twice. @throws FlError not-found, data-missing, or invalid-argument: a workload without a loss of each example */
export async function auditPrivacy(options: AuditOptions): Promise<AuditReport> {
  const { noiseMultiplier, samplingRate, steps, delta, seed, quick } = options;
  const { auditTraining } = await import('../../client/audit/audit.js');
  const { selectBackend } = await import('../../client/backends/index.js');
  await selectBackend();
  const workload = (await loadWorkload(options.workload)) as Workload<ImageData>;
  const counts = quick ? COUNTS.quick : COUNTS.usual;
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
  const epsilonAtMost = privacyEpsilon({ noiseMultiplier, samplingRate, steps, delta });
  const settings = [
    settingOf(
      `noise ${noiseMultiplier}`,
      epsilonAtMost,
      await auditTraining({ ...common, training: noisy, privacy }),
      options,
    ),
    settingOf('no noise', null, await auditTraining({ ...common, training: plain }), options),
  ];
  const refuted = settings[0].bounds.some((bound) => bound.epsilonAtLeast > epsilonAtMost);
  return { ...options, counts, settings, refuted };
}

type Scores = Awaited<ReturnType<typeof import('../../client/audit/audit.js')['auditTraining']>>;

function settingOf(
  name: string,
  epsilonAtMost: number | null,
  { gradientCanaries, mislabelledImages, ordinaryImages, testAccuracy }: Scores,
  { delta, confidence }: AuditOptions,
): AuditSetting {
  const [members, others] = divided(gradientCanaries);
  // Each canary has a coordinate of its own, so these are independent trials of one mechanism.
  const gaussian = thresholdAttack(members, others, (counts) => gaussianAttackEpsilon(counts, { delta, confidence }));
  const byLoss = (attack: string, scored: Scores['ordinaryImages']): AuditBound => ({
    attack,
    epsilonAtLeast: oneRunBound({ ...scored, delta, confidence }).epsilon,
    auc: areaUnderCurve(...divided(scored)),
  });
  return {
    name,
    epsilonAtMost,
    bounds: [
      {
        attack: 'gradient canaries, assuming nothing',
        epsilonAtLeast: oneRunBound({ ...gradientCanaries, delta, confidence }).epsilon,
      },
      { attack: 'gradient canaries, assuming Gaussian noise', epsilonAtLeast: gaussian.epsilon },
      byLoss('mislabelled images, by loss', mislabelledImages),
      byLoss('ordinary images, by loss', ordinaryImages),
    ],
    testAccuracy,
  };
}

/** Scores of those that were in, and of those that were not. */
function divided({ scores, included }: Scores['ordinaryImages']): [number[], number[]] {
  return [scores.filter((_, i) => included[i]), scores.filter((_, i) => !included[i])];
}
