/** What a run will come to by its settings alone, said before it starts: allowed, and perhaps not what was meant. */

import { answersOf, declineText, POLICY_DEFAULTS } from '../../client/round/policy.js';
import { costOf, epsilonAfter, roundsWithinBudget } from '../../shared/run/privacy-cost.js';
import { toleratedDrops } from '../../shared/run/secure-cohort.js';
import { firstPlanOf } from './first-plan.js';
import type { Resolved } from './resolve.js';

/** One line for each. */
export function notesOn({ spec }: Pick<Resolved, 'spec'>): string[] {
  return [...budgetNote(spec), ...dropNote(spec), ...choiceNote(spec)];
}

/**
 * The same for who starts a run of labs, and what keeps it from beginning: labs that a policy of their own does not bind
 * decline it, or fewer are enrolled than it waits for.
 */
export function notesForOperator(
  resolved: Resolved,
  labs: readonly { readonly name: string; readonly online: boolean }[],
): string[] {
  const { minClients } = resolved.spec.engine;
  const here = labs.filter(({ online }) => online).length;
  const isShort = labs.length < minClients;
  return [
    ...notesOn(resolved),
    ...(isShort
      ? [`note: it waits for ${minClients} labs (min-clients); ${labs.length} are enrolled, ${here} of them are here`]
      : []),
    ...answersOf(POLICY_DEFAULTS, firstPlanOf(resolved))
      .filter(({ ok }) => !ok)
      .map(
        ({ key, ...asked }) => `note: a lab without a policy of its own declines this run: ${declineText(key, asked)}`,
      ),
  ];
}

function budgetNote({ work }: Resolved['spec']): string[] {
  const cost = costOf(work);
  if (cost?.epsilonBudget === undefined) return [];
  const within = roundsWithinBudget(cost, work.rounds);
  if (within === work.rounds) return [];
  const after = epsilonAfter(cost, within + 1).toPrecision(4);
  return [
    `note: epsilon-budget ${cost.epsilonBudget} allows a client that is in every round ${within} of ${work.rounds} rounds (epsilon ${after} after ${within + 1})`,
  ];
}

/** By which examples a model is chosen is never left to be guessed. */
function choiceNote({ engine: { stopWhen } }: Resolved['spec']): string[] {
  if (stopWhen === undefined) return [];
  const { metric } = stopWhen;
  const others = 'the test figures of the model that it chooses are told beside it';
  if (metric.startsWith('validation.')) return [`note: stop-when chooses by ${metric}; ${others}`];
  if (!metric.startsWith('test.')) return [];
  return [
    `note: stop-when chooses by ${metric}, which spends the test examples; validation-fraction: 0.1 holds out others to choose by`,
  ];
}

/** Members may be lost before keys are exchanged, and that many afterwards. */
function dropNote({ work: { secure }, engine }: Resolved['spec']): string[] {
  if (secure === undefined || secure.groupSize !== undefined) return [];
  const most = toleratedDrops(engine.cohort, secure);
  if (most === undefined || most >= engine.cohort - engine.minSurvivors) return [];
  return [
    `note: secure aggregation of ${engine.cohort} tolerates ${most} that drop out once keys are exchanged (adversary-fraction ${secure.adversaryFraction}); with more the round is repeated`,
  ];
}
