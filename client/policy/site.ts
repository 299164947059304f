/** A site's policy with what the site has: the runs that were begun here, and the workloads that a plan may name. */
import { readFile } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import type { Clock } from '../../shared/clock.js';
import { FlError } from '../../shared/errors.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { answersOf, declineText, priceDeclineReasonOf } from '../round/policy.js';
import { type BegunRun, openBegunRuns } from '../store/begun-runs.js';
import type { Workload } from '../workload.js';
import { plannedCodeSha256 } from '../workloads/code.js';
import { loadPlannedWorkload } from '../workloads/planned.js';
import { askMemory, begunRunOf, isBegun } from './memory.js';
import type { Asked, Policy, PolicyKeyName } from './table.js';
import { askWorkloadCode } from './workload-code.js';

/** What a policy is held against beside the plan. */
export interface SiteFacts {
  /** Models of the ledger that the policy names; absent: none. */
  readonly ledgerModels?: readonly string[];
  /** Workloads that this site has named itself: files. */
  readonly workloadModules: Readonly<Record<string, string>>;
  /** What was followed before; absent: nothing. */
  readonly begun?: readonly BegunRun[];
  readonly clock: Pick<Clock, 'nowMs'>;
}

/** What one key says of a plan. */
export type Answer = Asked & { readonly key: PolicyKeyName };

/** What every key has to say of a plan but `max-epsilon`, which asks the account; in the order of the asking. */
export async function siteAnswersOf(policy: Policy, plan: RoundPlan, facts: SiteFacts): Promise<Answer[]> {
  const answers = answersOf(policy, plan);
  if (answers.some(({ ok }) => !ok)) return answers; // a workload that may not run here is not loaded
  const workload = await loadPlannedWorkload(plan.work.workload, facts.workloadModules);
  const code = await askWorkloadCode(policy, plan, () => plannedCodeSha256(plan.work.workload, facts.workloadModules));
  if (code !== undefined) answers.push({ key: 'workload-code', ...code });
  answers.push(...(await lookBack(policy, plan, workload, facts)));
  const { askFirstModel, startOf } = await import('./first-model.js'); // TensorFlow comes with it
  const ledger = facts.ledgerModels ?? [];
  const first = askFirstModel(policy, plan, { workload: () => startOf(workload, plan.work), ledger });
  if (first !== undefined) answers.push({ key: 'first-model', ...first });
  return answers;
}

/** The models of the ledger that a policy names, which lies beside its file. @throws FlError as reading it */
export async function ledgerModelsOf({ ledger }: Policy, policyFile = ''): Promise<readonly string[]> {
  if (ledger === undefined) return [];
  const { modelsOf } = await import('./first-model.js');
  return modelsOf(await readFile(resolve(dirname(policyFile), ledger)));
}

async function lookBack(policy: Policy, plan: RoundPlan, workload: Workload, { begun = [], clock }: SiteFacts) {
  const run = begunRunOf(plan, workload, policy, clock.nowMs());
  return isBegun(run, begun) ? [] : askMemory(policy, run, begun);
}

/** The policy of a client at work. */
export interface SitePolicy {
  /** Why this plan is not followed, in words for both sides. Undefined: it is, and its run is remembered, durably. */
  declineReason(plan: RoundPlan): Promise<string | undefined>;
}

/** Remembers in `directory`. @param budget what the account says of a plan, asked before anything is remembered */
export async function openSitePolicy(
  policy: Policy,
  {
    directory,
    budget,
    ...about
  }: Omit<SiteFacts, 'begun'> & {
    readonly directory: string;
    readonly budget: (plan: RoundPlan, isBegun: boolean) => string | undefined;
  },
): Promise<SitePolicy> {
  const begun = await openBegunRuns(directory);
  const facts = { ...about, begun: begun.all };
  return {
    async declineReason(plan) {
      const unpriced = priceDeclineReasonOf(plan);
      if (unpriced !== undefined) return unpriced;
      let answers: Answer[];
      try {
        answers = await siteAnswersOf(policy, plan, facts);
      } catch (error) {
        return `plan: ${FlError.from(error).message}`; // a workload that is not here, settings that it does not take
      }
      const forbidden = answers.find(({ ok }) => !ok);
      if (forbidden !== undefined) return declineText(forbidden.key, forbidden);
      const workload = await loadPlannedWorkload(plan.work.workload, facts.workloadModules);
      const run = begunRunOf(plan, workload, policy, facts.clock.nowMs());
      const hasBegun = isBegun(run, begun.all);
      const reason = budget(plan, hasBegun);
      if (reason !== undefined) return reason;
      if (!hasBegun) await begun.add(run);
      return undefined;
    },
  };
}
