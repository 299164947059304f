/** The plan that a run's first round would bring to a lab, before there is a run: what policies are held against. */
import type { RoundPlan } from '../../shared/run/plan.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { encode } from '../../shared/tensors/safetensors.js';
import type { Resolved } from './resolve.js';

/** Of a whole cohort, whose names and keys nobody knows yet. */
export function firstPlanOf({ spec: { work, engine }, model }: Resolved): RoundPlan {
  const secure = work.secure && { nonce: '0'.repeat(32), enrolled: namesOf(engine.cohort) };
  return {
    ...{
      run: 'check',
      kind: 'train',
      round: 1,
      attempt: 1,
      deadlineMs: engine.deadlineMs,
      cohort: engine.cohort,
      work,
    },
    ...{ modelSha256: sha256Of(model), modelSizeBytes: encode(model).length },
    ...(secure && { secure }),
  };
}

/** As many names as a cohort has: the sizes of its groups follow. */
function namesOf(cohort: number): Record<string, string> {
  return Object.fromEntries(Array.from({ length: cohort }, (_, i) => [`lab-${i + 1}`, '0'.repeat(64)]));
}
