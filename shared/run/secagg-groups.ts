/**
 * Groups of a cohort under secure aggregation: who is summed with whom. One signed plan goes to the whole cohort; from it
 * everyone computes the groups, so no coordinator can say who is where, and no client has to believe it.
 *
 * What is random, and when: once the cohort is fixed, its names are shuffled by a keystream under
 * HKDF(hash of names and enrolled keys, hash of run, round, attempt, model and work), and dealt to floor(cohort / G) groups
 * in turn. Nothing else goes in: the plan's nonce, which the coordinator draws freely, does not. What the coordinator can
 * still do is draw another cohort and look again; docs/secure-aggregation.md says what that is worth to it.
 */
import { FlError } from '../errors.js';
import { assignGroups, nodeSuite } from '../secagg/index.js';
import { canonicalJson } from '../signing/canonical-json.js';
import { sha256Hex } from '../signing/identity.js';
import type { RoundPlan } from './plan.js';

/** The virtual clients of a process share a plan, and with it its groups. */
const known = new WeakMap<RoundPlan, readonly RoundPlan[]>();

/**
 * The plan of each group: the cohort's, with the group's members as its cohort and enrolment list and a nonce of its own,
 * so that no two groups have one aggregation id. A plan without groups, and an evaluation, is the one plan of all.
 * @throws FlError invalid-argument: fewer clients than make a group
 */
export function groupPlansOf(plan: RoundPlan): readonly RoundPlan[] {
  const groupSize = groupSizeOf(plan);
  if (groupSize === undefined || plan.secure === undefined) return [plan];
  let plans = known.get(plan);
  if (plans === undefined) {
    plans = divide(plan, plan.secure, groupSize);
    known.set(plan, plans);
  }
  return plans;
}

function groupSizeOf({ kind, work }: RoundPlan): number | undefined {
  return kind === 'train' ? work.secure?.groupSize : undefined;
}

function divide(plan: RoundPlan, { nonce, enrolled }: NonNullable<RoundPlan['secure']>, groupSize: number) {
  const { run, round, attempt, modelSha256, work } = plan;
  const names = Object.keys(enrolled).sort();
  const hash = (value: unknown) => nodeSuite.hash(new TextEncoder().encode(canonicalJson(value)));
  const transcript = {
    aggregationId: hash({ run, round, attempt, modelSha256, work }),
    rosterRoot: hash(enrolled),
  };
  const groups = assignGroups(nodeSuite, transcript, { cohort: names.length, groupSize });
  return groups.map((indices, group): RoundPlan => {
    const members = indices.map((index) => [names[index], enrolled[names[index]]] as const);
    const secure = { nonce: sha256Hex(`${nonce}/${group}`).slice(0, 32), enrolled: Object.fromEntries(members) };
    return { ...plan, cohort: members.length, secure };
  });
}

/** The plan of the sum that `client` is to be in. @throws FlError invalid-argument: the plan does not name it */
export function planOfMember(plan: RoundPlan, client: string): RoundPlan {
  const plans = groupPlansOf(plan);
  const own = plans.find(({ secure }) => secure === undefined || Object.hasOwn(secure.enrolled, client));
  if (own === undefined) throw new FlError('invalid-argument', `plan: names no group of client "${client}"`);
  return own;
}

/** Clients in the smallest sum of a round under this plan: what a site's floors are held against. */
export function leastSumOf(plan: RoundPlan): number {
  const groupSize = groupSizeOf(plan);
  if (groupSize === undefined || plan.secure === undefined) return plan.cohort;
  const cohort = Object.keys(plan.secure.enrolled).length;
  return cohort < groupSize ? cohort : Math.floor(cohort / Math.floor(cohort / groupSize));
}
