/**
 * What a site allows, in its own words (`policy.yaml`, client/policy) and in its own hands: the client checks every plan
 * against it and declines what it forbids, in words that name the key, what it expected, what came and what to do next.
 */
import { FlError } from '../../shared/errors.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { costOf } from '../../shared/run/privacy-cost.js';
import { type ClientPolicy, DEFAULT_POLICY } from '../../shared/secagg/index.js';
import { type Asked, type Policy, type PolicyKeyName, policyRows } from '../policy/table.js';
import type { PrivacyAccount } from '../store/privacy-account.js';
import type { SiteRules } from '../training/task.js';

export { parsePolicy } from '../policy/file.js';
export { POLICY_DEFAULTS, type Policy } from '../policy/table.js';

/** Asks nothing: for a client whose plans are its own, never for a site. */
export const allowAll: Policy = {};

/** What each key that has something to say of the plan says, in the order of the table. */
export function answersOf(policy: Policy, plan: RoundPlan): (Asked & { readonly key: PolicyKeyName })[] {
  return policyRows().flatMap(([key, { ask }]) => {
    const limit = policy['local-work'] === 'fewer' && CUT.has(key) ? undefined : policy[key];
    const asked = limit === undefined ? undefined : ask?.(limit, plan);
    return asked === undefined ? [] : [{ key, ...asked }];
  });
}

/** Keys that cut a plan's work instead of declining it, where `local-work` says so. */
const CUT: ReadonlySet<PolicyKeyName> = new Set(['max-local-epochs', 'max-local-steps']);

/** What a site decides of the work that it does, beside which plans it follows. */
export function siteRulesOf(policy: Policy): SiteRules {
  const {
    'validation-fraction': validationFraction,
    'max-local-epochs': localEpochs,
    'max-local-steps': localSteps,
  } = policy;
  return {
    ...(validationFraction !== undefined && { validationFraction }),
    ...(policy['local-work'] === 'fewer' && { most: { localEpochs, localSteps } }),
  };
}

/** Why the plan may not run here, or undefined. */
export function declineReasonOf(policy: Policy, plan: RoundPlan): string | undefined {
  const forbidden = answersOf(policy, plan).find(({ ok }) => !ok);
  return priceDeclineReasonOf(plan) ?? (forbidden && declineText(forbidden.key, forbidden));
}

/** What both sides are told. */
export function declineText(key: PolicyKeyName, { expected, got, next }: Omit<Asked, 'ok'>): string {
  return `policy: ${key}: expected ${expected}, got ${got}; next: ${next}`;
}

/** A plan whose privacy has no price, since nobody can have meant its noise or its steps, is declined under any policy. */
export function priceDeclineReasonOf({ work }: RoundPlan): string | undefined {
  try {
    costOf(work);
    return undefined;
  } catch (error) {
    return `plan: ${FlError.from(error).message}`;
  }
}

/**
 * Why a plan is not taken part in whose run would take the site's own account past its limit before the last round: asked
 * with every plan, so that a run is declined at its start and not in its middle. Of a run with a budget it is asked at its
 * start, with the rounds that the budget allows, and then of each plan by itself: how many of those rounds are behind this
 * client, its account does not say.
 */
export function budgetDeclineReasonOf(
  policy: Policy,
  plan: RoundPlan,
  account: Pick<PrivacyAccount, 'epsilon' | 'epsilonAfter' | 'epsilonAfterRun'>,
  isBegun = false,
): string | undefined {
  const limit = policy['max-epsilon'];
  if (limit === undefined) return undefined;
  try {
    const { rounds, privacy } = plan.work;
    const budget = privacy?.epsilonBudget;
    const isSingle = isBegun && budget !== undefined;
    const got = Number((isSingle ? account.epsilonAfter(plan) : account.epsilonAfterRun(plan)).toPrecision(6));
    if (got <= limit) return undefined;
    const upTo = budget === undefined ? '' : ` that epsilon-budget ${budget} allows`;
    const last = isSingle ? 'after this plan' : `after the last of the run's ${rounds} rounds${upTo}`;
    const when = `${last}; ${account.epsilon.toPrecision(4)} so far`;
    const next = "take more noise or fewer rounds in the run, or raise this key in the site's policy";
    return declineText('max-epsilon', { expected: `at most ${limit}`, got: `${got} ${when}`, next });
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

/** How large a crowd this site hides in, and by which keys it grows: one line for the site's own console. */
export function crowdOf(policy: Policy): string {
  const { cohortMin, survivorsMin } = secaggPolicyOf(policy);
  if (policy['require-secure-aggregation'] !== true) {
    return 'policy: updates may go to the coordinator in the clear; require-secure-aggregation: true forbids it';
  }
  return `policy: an update of this site leaves in a sum of at least ${survivorsMin} clients of a cohort of at least ${cohortMin}; min-survivors and min-cohort raise that (starling client policy)`;
}
