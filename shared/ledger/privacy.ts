/**
 * The part of a ledger line that speaks of differential privacy: what the round cost, and what the run has cost with it.
 * Whoever has the ledger counts again who was charged how often, and adds the costs up again.
 */
import { FlError } from '../errors.js';
import { canonicalJson } from '../identity.js';
import type { PrivacyUnit, Spend } from '../privacy/index.js';
import type { RunSpec } from '../run/plan.js';
import { costOf, epsilonAfter, type PrivacyCost } from '../run/privacy-cost.js';

export interface RoundPrivacy {
  /** Whose presence is hidden: a client, or one example of a client. */
  readonly unit: PrivacyUnit;
  /** L2 norm that one unit was clipped to in this round. */
  readonly clippingBound: number;
  /** What one round costs a client that is invited to it. */
  readonly spend: Spend;
  readonly tree?: PrivacyCost['tree'];
  readonly delta: number;
  readonly accountant: PrivacyCost['accountant'];
  /** Clients charged for an attempt at this round that failed, and not in the cohort of the one that did not; sorted. */
  readonly chargedElsewhere: readonly string[];
  /** Rounds that the client was charged for that was charged most often. */
  readonly mostRounds: number;
  /** At delta, of that client, this round included. */
  readonly epsilon: number;
}

/** Counts as it reads the ledger, round by round. */
export interface PrivacyTally {
  readonly charged: Map<string, number>;
}

/**
 * Whether a round's figures follow from the ledger so far and, if it is known, the run's specification.
 * @throws FlError corrupt, saying which does not
 */
export function checkPrivacy(
  tally: PrivacyTally,
  stated: RoundPrivacy | null,
  { cohort, spec }: { readonly cohort: readonly string[]; readonly spec: RunSpec | undefined },
): void {
  const cost = spec && costOf(spec.work);
  if (spec !== undefined && (stated === null) !== (cost === undefined)) {
    throw corrupt('privacy', cost === undefined ? 'none' : 'an account', stated === null ? 'none' : 'an account');
  }
  if (stated === null) return;
  const { unit, spend, tree, delta, accountant } = stated;
  const said = { unit, spend, ...(tree && { tree }), delta, accountant };
  if (cost !== undefined) {
    const { epsilonBudget: _, ...terms } = cost;
    same('privacy', terms, said);
    const { clippingBound, adaptive } = spec!.work.privacy!;
    if (!adaptive) same('privacy.clippingBound', clippingBound, stated.clippingBound);
  }
  for (const client of [...cohort, ...stated.chargedElsewhere]) {
    tally.charged.set(client, (tally.charged.get(client) ?? 0) + 1);
  }
  const mostRounds = [...tally.charged.values()].reduce((most, rounds) => Math.max(most, rounds), 0);
  same('privacy.mostRounds', mostRounds, stated.mostRounds);
  const epsilon = epsilonAfter(said, mostRounds);
  // another machine's exp and log may differ in the last place
  if (Math.abs(epsilon - stated.epsilon) <= 1e-9 * epsilon) return;
  throw corrupt('privacy.epsilon', String(epsilon), String(stated.epsilon));
}

function same(field: string, expected: unknown, got: unknown): void {
  if (canonicalJson(expected) !== canonicalJson(got)) throw corrupt(field, canonicalJson(expected), canonicalJson(got));
}

function corrupt(field: string, expected: string, got: string): FlError {
  return new FlError('corrupt', `${field}: expected ${expected}, got ${got}`);
}
