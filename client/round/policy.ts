/**
 * What a site allows, in its own words (`policy.yaml`) and in its own hands: the client checks every plan against it and
 * declines what it forbids. A key that is not known is an error, so that a misspelt rule is never a missing one.
 */
import { z } from 'zod';
import { FlError } from '../../shared/errors.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { costOf } from '../../shared/run/privacy-cost.js';
import { leastSumOf } from '../../shared/run/secagg-groups.js';
import type { PrivacySpec } from '../../shared/run/spec.js';
import { type ClientPolicy, DEFAULT_POLICY } from '../../shared/secagg/index.js';
import { checkYaml, parseYaml } from '../../shared/yaml.js';

const schema = z.strictObject({
  /** Names of workloads that may train here; absent: all. */
  workloads: z.array(z.string()).optional(),
  /** Fewest clients in what is summed: the cohort, or the client's group of it. */
  'min-cohort': z.int().min(1).optional(),
  'max-local-epochs': z.number().positive().optional(),
  'max-local-steps': z.int().min(1).optional(),
  'max-rounds': z.int().min(1).optional(),
  'max-model-bytes': z.int().min(1).optional(),
  /** Whether a plan without secure aggregation is declined. */
  'require-secure-aggregation': z.boolean().optional(),
  /** Which kinds of differential privacy are good enough; absent: any, and none. */
  'require-privacy': z
    .array(z.enum(['central', 'distributed', 'local', 'example']))
    .min(1)
    .optional(),
  /** Least noise, as a multiple of the clipping bound. */
  'min-noise-multiplier': z.number().positive().optional(),
  /** Most that one example of this site may be charged over all runs and coordinators, at `delta`. */
  'max-epsilon': z.number().positive().optional(),
  delta: z.number().gt(0).lt(1).optional(),
  /** Fewest clients in a secure sum. */
  'min-survivors': z.int().min(2).optional(),
  /** A file with this site's own list of who is enrolled: what `starling token enrolled` prints, come by another way. */
  enrolment: z.string().optional(),
  /** Fraction of a cohort that may collude with the coordinator and still learn nothing. */
  'adversary-fraction': z.number().min(0).lt(1).optional(),
});

/** A site's rules; what is absent is allowed. */
export type Policy = z.infer<typeof schema>;

/** Of a site without a file. */
export const allowAll: Policy = {};

/** @throws FlError invalid-argument naming the key. */
export function parsePolicy(text: string, source: string): Policy {
  return checkYaml(schema, parseYaml(text, source), source);
}

/** Why the plan may not run here, or undefined. */
export function declineReasonOf(policy: Policy, plan: RoundPlan): string | undefined {
  const { training, workload, rounds } = plan.work;
  if (policy.workloads !== undefined && !policy.workloads.includes(workload)) {
    return `policy: workloads: expected one of ${policy.workloads.join(', ')}, got ${workload}`;
  }
  if (policy['require-secure-aggregation'] && plan.work.secure === undefined) {
    return 'policy: require-secure-aggregation: expected secure aggregation, got none';
  }
  return (
    privacyDeclineReason(policy, plan.work.privacy) ??
    priceDeclineReason(plan) ??
    atLeast('min-cohort', policy['min-cohort'], leastSumOf(plan)) ??
    atMost('max-local-epochs', policy['max-local-epochs'], training.localEpochs) ??
    atMost('max-local-steps', policy['max-local-steps'], training.localSteps) ??
    atMost('max-rounds', policy['max-rounds'], rounds) ??
    atMost('max-model-bytes', policy['max-model-bytes'], plan.modelSizeBytes)
  );
}

function privacyDeclineReason(policy: Policy, privacy: PrivacySpec | undefined): string | undefined {
  const modes = policy['require-privacy'];
  if (modes !== undefined && !modes.some((mode) => mode === privacy?.mode)) {
    return `policy: require-privacy: expected one of ${modes.join(', ')}, got ${privacy?.mode ?? 'none'}`;
  }
  return atLeast('min-noise-multiplier', policy['min-noise-multiplier'], privacy?.noiseMultiplier ?? 0);
}

/** A plan whose privacy has no price, since nobody can have meant its noise or its steps, is declined under any policy. */
function priceDeclineReason({ work }: RoundPlan): string | undefined {
  try {
    costOf(work);
    return undefined;
  } catch (error) {
    return `plan: ${FlError.from(error).message}`;
  }
}

/**
 * Why a plan is not taken part in whose run would take the site's own account past its limit before the last round: asked
 * with every plan, so that a run is declined at its start and not in its middle.
 */
export function budgetDeclineReasonOf(
  policy: Policy,
  plan: RoundPlan,
  account: { readonly epsilon: number; epsilonAfterRun(plan: RoundPlan): number },
): string | undefined {
  const limit = policy['max-epsilon'];
  if (limit === undefined) return undefined;
  try {
    const reason = atMost('max-epsilon', limit, Number(account.epsilonAfterRun(plan).toPrecision(6)));
    const { rounds } = plan.work;
    return reason && `${reason} after the last of the run's ${rounds} rounds; ${account.epsilon.toPrecision(4)} so far`;
  } catch (error) {
    return `policy: max-epsilon: ${FlError.from(error).message}`; // more steps over all runs than anything adds up
  }
}

/** What the client's machine of secure aggregation insists on; where the policy is silent, the safe defaults. */
export function secaggPolicyOf(policy: Policy): ClientPolicy {
  return {
    cohortMin: policy['min-cohort'] ?? DEFAULT_POLICY.cohortMin,
    survivorsMin: policy['min-survivors'] ?? DEFAULT_POLICY.survivorsMin,
    adversaryFraction: policy['adversary-fraction'] ?? DEFAULT_POLICY.adversaryFraction,
  };
}

function atMost(key: string, limit: number | undefined, got: number | undefined): string | undefined {
  if (limit === undefined || got === undefined || got <= limit) return undefined;
  return `policy: ${key}: expected at most ${limit}, got ${got}`;
}

function atLeast(key: string, limit: number | undefined, got: number): string | undefined {
  return limit === undefined || got >= limit ? undefined : `policy: ${key}: expected at least ${limit}, got ${got}`;
}
