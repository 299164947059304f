/** Plans of rounds under differential privacy, for a model of three numbers. */

import type { RoundPlan } from '../../shared/run/plan.js';
import type { PrivacySpec } from '../../shared/run/spec.js';
import { updateChannel } from '../../shared/tensors/channels.js';

const MODEL = [{ name: 'w', shape: [3] }];

export const exampleSpec: PrivacySpec = {
  mode: 'example',
  clippingBound: 1,
  noiseMultiplier: 2,
  delta: 1e-5,
  samplingRate: 0.1,
};

export function privatePlan(
  round: number,
  privacy: PrivacySpec | undefined = exampleSpec,
  more: Partial<RoundPlan> = {},
): RoundPlan {
  return {
    run: 'r',
    kind: 'train',
    round,
    attempt: 1,
    modelSha256: `${round}`.repeat(64).slice(0, 64),
    modelSizeBytes: 12,
    deadlineMs: 1000,
    cohort: 10,
    work: {
      workload: 'w',
      scale: 'smoke',
      hyper: {},
      partition: 'iid',
      seed: 1,
      rounds: 9,
      model: MODEL,
      training: {
        localSteps: 5,
        batchSize: 4,
        clientLr: 1,
        momentum: 0,
        weightDecay: 0,
        gradientClipNorm: 0,
        lrSchedule: 'constant',
        proximalMu: 0,
      },
      phases: [{ name: 'train', channels: [updateChannel(MODEL)] }],
      ...(privacy && { privacy }),
    },
    ...more,
  };
}
