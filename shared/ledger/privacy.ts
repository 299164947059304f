/**
 * The part of a ledger line that speaks of differential privacy: what the round cost, and what the run has cost with it.
 * Whoever has the ledger counts again who was charged how often, and adds the costs up again.
 */
import { z } from 'zod';
import { corrupt } from '../errors.js';
import type { Spend } from '../privacy/index.js';
import { costOf, epsilonAfter } from '../run/privacy-cost.js';
import type { RunSpec } from '../run/spec.js';
import { canonicalJson } from '../signing/canonical-json.js';

const count = z.int().min(1);
const name = z.string().min(1).max(256);

const spendSchema = z.strictObject({
  release: z.discriminatedUnion('mechanism', [
    z.strictObject({
      mechanism: z.literal('gaussian'),
      noiseMultiplier: z.number().positive(),
      samplingRate: z.number().gt(0).max(1).optional(),
    }),
    z.strictObject({ mechanism: z.literal('zcdp'), rho: z.number().positive() }),
  ]),
  count,
}) as z.ZodType<Spend>;

/** Of {@link RoundPrivacy}. */
export const roundPrivacy = z.strictObject({
  /** Whose presence is hidden: a client, or one example of a client. */
  unit: z.enum(['client', 'example']),
  /** L2 norm that one unit was clipped to in this round. */
  clippingBound: z.number().positive(),
  /** What one round costs a client that is invited to it. */
  spend: spendSchema,
  /** What all evaluations of the run cost, where test figures are noised. */
  tests: spendSchema.optional(),
  tree: z.strictObject({ rounds: count, separation: count }).optional(),
  delta: z.number().gt(0).lt(1),
  /** Distance of one round's noise from the ideal, which is charged to delta; absent in what older versions wrote. */
  samplerError: z.number().min(0).optional(),
  accountant: z.enum(['pld', 'rdp']),
  /** Clients charged for an attempt at this round that failed, and not in the cohort of the one that did not; sorted. */
  chargedElsewhere: z.array(name).readonly(),
  /** Rounds that the client was charged for that was charged most often. */
  mostRounds: count,
  /** At delta, of that client, this round included. */
  epsilon: z.number().min(0),
});

/** What a round has cost in privacy, as its ledger line states it. */
export type RoundPrivacy = Readonly<z.infer<typeof roundPrivacy>>;

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
  const { unit, spend, tree, tests, delta, samplerError, accountant } = stated;
  const said = { unit, spend, tree, tests, delta, samplerError, accountant };
  if (cost !== undefined) {
    const { epsilonBudget: _, samplerError: least = 0, ...terms } = cost;
    // what sums of logarithms leave in the last place may differ on another machine; older versions state none
    const isLike = samplerError === undefined || Math.abs(samplerError / least - 1) < 1e-9;
    same('privacy', { ...terms, samplerError: isLike ? samplerError : least }, said);
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
