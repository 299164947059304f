/**
 * What leaves a client in a round with differential privacy, and what it costs the client's examples.
 *
 * Sampling, rounding and noise are drawn from a secret of the client under a name that tells releases apart: whatever the
 * numbers that go out depend on is part of it. A round that is trained again after a crash, or asked for again, thus gives
 * the very same numbers, which cost nothing more; and nothing that differs ever shares its noise. Shares of distributed
 * noise are fresh for each aggregation: the difference of two sums would take equal ones away.
 */

import type { Spend } from '../../shared/privacy/index.js';
import { type Rng, rngFromKey } from '../../shared/rng.js';
import { encodePrivately, isClientLevel } from '../../shared/run/client-level-privacy.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { costOf, roundSamplerError, roundSpend } from '../../shared/run/privacy-cost.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import type { Contribution } from '../../shared/tensors/channels.js';

/** A name for what the plan asks this client to let out; equal for plans that are answered with the same numbers. */
export function releaseIdOf({ run, round, modelSha256, work, clippingBound, secure }: RoundPlan): string {
  const nonce = work.privacy?.mode === 'distributed' ? secure?.nonce : undefined;
  const bound = clippingBound === undefined ? {} : { clippingBound };
  return sha256Hex(canonicalJson({ run, round, modelSha256, work, ...bound, ...(nonce && { nonce }) }));
}

/** 32 bytes for the noise of this release; `secret` is the client's own and at least 16 bytes. */
export function noiseKeyOf(plan: RoundPlan, secret: Uint8Array): Uint8Array {
  return noiseOf(plan, secret).bytes(32);
}

/**
 * The contribution as it may leave: under client-level privacy clipped, noised whole numbers of weight 1 without metrics
 * (shared/run/client-level-privacy.ts), else as it is.
 */
export function privatize(plan: RoundPlan, contribution: Contribution, secret: Uint8Array): Contribution {
  if (!isClientLevel(plan.work.privacy)) return contribution;
  const values = Float32Array.from(encodePrivately(plan, contribution.values, noiseOf(plan, secret)));
  const weights = contribution.weights.map((weight) => (weight > 0 ? 1 : 0));
  const isAdaptive = plan.work.privacy.adaptive === true;
  return { values, weights: isAdaptive ? [...weights, 1] : weights, metrics: {} };
}

/**
 * What a round costs one example of this client. Noise that hides whether a client takes part moves by at most the clipping
 * bound; changing an example can turn its update from one vector within the bound into another, twice as far, which costs
 * four times as much in ρ. Local noise is sized for that already.
 */
export function exampleCostOf({ work }: Pick<RoundPlan, 'work'>): Spend | undefined {
  const cost = costOf(work);
  if (cost === undefined) return undefined;
  const { release, count } = roundSpend(cost);
  if (release.mechanism !== 'zcdp' || work.privacy!.mode === 'local') return { release, count };
  return { release: { mechanism: 'zcdp', rho: 4 * release.rho }, count };
}

/** How far the noise of a round is from the ideal. A changed example sees the same draws as a client that leaves. */
export function exampleSamplerErrorOf({ work }: Pick<RoundPlan, 'work'>): number {
  const cost = costOf(work);
  return cost === undefined ? 0 : roundSamplerError(cost);
}

function noiseOf(plan: RoundPlan, secret: Uint8Array): Rng {
  return rngFromKey(secret, `noise/${releaseIdOf(plan)}`);
}
