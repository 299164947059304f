/**
 * What a site allows, in its own words (`policy.yaml`, client/policy) and in its own hands: the client checks every plan
 * against it and declines what it forbids, in words that name the key, what it expected, what came and what to do next.
 */
import type { RoundPlan } from '../../shared/run/plan.js';
import { type ClientPolicy, DEFAULT_POLICY } from '../../shared/secagg/index.js';
import { type Asked, type Policy, type PolicyKeyName, policyRows } from '../policy/table.js';

export { parsePolicy } from '../policy/file.js';
export { POLICY_DEFAULTS, type Policy } from '../policy/table.js';

/** Asks nothing: for a client whose plans are its own, never for a site. */
export const allowAll: Policy = {};

/** What each key that has something to say of the plan says, in the order of the table. */
export function answersOf(policy: Policy, plan: RoundPlan): (Asked & { readonly key: PolicyKeyName })[] {
  return policyRows().flatMap(([key, { ask }]) => {
    const limit = policy[key];
    const asked = limit === undefined ? undefined : ask?.(limit, plan);
    return asked === undefined ? [] : [{ key, ...asked }];
  });
}

/** Why the plan may not run here, or undefined. */
export function declineReasonOf(policy: Policy, plan: RoundPlan): string | undefined {
  const forbidden = answersOf(policy, plan).find(({ ok }) => !ok);
  return forbidden && declineText(forbidden.key, forbidden);
}

/** What both sides are told. */
export function declineText(key: PolicyKeyName, { expected, got, next }: Omit<Asked, 'ok'>): string {
  return `policy: ${key}: expected ${expected}, got ${got}; next: ${next}`;
}

/** Why a round that would take the site's own account to `epsilonAfter` is not taken part in. */
export function budgetDeclineReasonOf(policy: Policy, epsilonAfter: () => number): string | undefined {
  const limit = policy['max-epsilon'];
  const got = limit === undefined ? 0 : Number(epsilonAfter().toPrecision(6));
  if (limit === undefined || got <= limit) return undefined;
  const next = "more noise or fewer rounds in the run, or raise this key in the site's policy";
  return declineText('max-epsilon', { expected: `at most ${limit}`, got: `${got}`, next });
}

/** What the client's machine of secure aggregation insists on; where the policy is silent, the safe defaults. */
export function secaggPolicyOf(policy: Policy): ClientPolicy {
  return {
    cohortMin: policy['min-cohort'] ?? DEFAULT_POLICY.cohortMin,
    survivorsMin: policy['min-survivors'] ?? DEFAULT_POLICY.survivorsMin,
    adversaryFraction: policy['adversary-fraction'] ?? DEFAULT_POLICY.adversaryFraction,
  };
}

/** How large a crowd this site hides in, and by which keys it grows: one line for the site's own console. */
export function crowdOf(policy: Policy): string {
  const { cohortMin, survivorsMin } = secaggPolicyOf(policy);
  if (policy['require-secure-aggregation'] !== true) {
    return 'policy: updates may go to the coordinator in the clear; require-secure-aggregation: true forbids it';
  }
  return `policy: an update of this site leaves in a sum of at least ${survivorsMin} clients of a cohort of at least ${cohortMin}; min-survivors and min-cohort raise that (starling client policy)`;
}
