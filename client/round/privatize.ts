/**
 * What leaves a client in a round with differential privacy, and what it costs the client's examples.
 *
 * A release is drawn once. Sampling, rounding and noise come from bytes that were fresh for it and are kept nowhere; what
 * came of them is on the disk before anything is said (client/store/releases.ts), and is what a round gives that is asked
 * for again, after a crash or by another attempt: the very same numbers, which cost nothing more. A share of distributed
 * noise belongs to one aggregation, since the difference of two sums would take equal ones away: each aggregation has a
 * release of its own, which is charged whether or not its sum was ever opened.
 */

import { FlError } from '../../shared/errors.js';
import type { Spend } from '../../shared/privacy/index.js';
import type { Rng } from '../../shared/rng.js';
import { encodePrivately, isClientLevel } from '../../shared/run/client-level-privacy.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import { costOf, roundSamplerError, roundSpend } from '../../shared/run/privacy-cost.js';
import { testSpend } from '../../shared/run/test-noise.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import type { Contribution } from '../../shared/tensors/channels.js';
import type { PrivacyAccount } from '../store/privacy-account.js';
import type { ReleaseName, ReleaseStore } from '../store/releases.js';

/** What differential privacy needs of a site. */
export interface PrivacySite {
  /** What one release is drawn from, asked for once: fresh bytes from the system, except in a simulation. */
  noiseOf(plan: RoundPlan): Rng;
  readonly releases: ReleaseStore;
  /** What this site's examples were charged; absent: nobody counts here. */
  readonly account?: Pick<PrivacyAccount, 'charge' | 'isCharged'>;
}

/**
 * A name for what the plan asks this client to let out; equal for plans that are answered with the same numbers. Version
 * 0.1 drew under names of its own, and charges of those do not pay for what is drawn now.
 */
export function releaseIdOf(plan: RoundPlan): string {
  const known = ids.get(plan);
  if (known !== undefined) return known;
  const { run, kind, round, modelSha256, work, clippingBound, attempt, cohort, secure } = plan;
  const judged = kind === 'evaluate' ? { kind } : {};
  const bound = clippingBound === undefined ? {} : { clippingBound };
  const aggregation = isByAggregation(plan) ? { attempt, cohort, secure } : {};
  const id = sha256Hex(canonicalJson({ names: 2, ...judged, run, round, modelSha256, work, ...bound, ...aggregation }));
  ids.set(plan, id);
  return id;
}

/** The virtual clients of a process share a plan, which may name a thousand keys. */
const ids = new WeakMap<RoundPlan, string>();

/** {@link releaseIdOf} and where it stands in its run; test figures are followed beside what was trained. */
export function releaseNameOf(plan: RoundPlan): ReleaseName {
  const { kind, round, attempt } = plan;
  const run = kind === 'evaluate' ? `${plan.run}.tests` : plan.run;
  return { run, round, attempt, id: releaseIdOf(plan), isByAggregation: isByAggregation(plan) };
}

function isByAggregation({ kind, work }: RoundPlan): boolean {
  return kind === 'train' && work.privacy?.mode === 'distributed';
}

/** Why this site draws nothing for a plan, in words for the operator; undefined: it may, or nothing is to be drawn. */
export function drawRefusalOf(plan: RoundPlan, site: PrivacySite | undefined): string | undefined {
  const { kind, work } = plan;
  const drawn = kind === 'train' ? work.privacy : work.privacy?.tests;
  if (site === undefined || drawn === undefined) return undefined;
  return site.releases.refusalOf(releaseNameOf(plan));
}

/**
 * What the plan asks for, as it may leave: kept and charged, both durable, when it resolves. It is drawn only if it was
 * never drawn before, by `draw` from the bytes that are given to it.
 * @throws FlError failed-precondition: it may not be drawn (any more)
 */
export async function releaseOnce(
  plan: RoundPlan,
  { releases, account, noiseOf }: PrivacySite,
  draw: (noise: Rng) => Promise<Contribution>,
): Promise<Contribution> {
  const name = releaseNameOf(plan);
  const kept = await releases.find(name);
  // Charged again, for a crash may have come between the two; a release that is charged already costs nothing.
  if (kept !== undefined) return account?.charge(plan).then(() => kept) ?? kept;
  const refusal = releases.refusalOf(name) ?? (account?.isCharged(plan) ? lost(plan) : undefined);
  if (refusal !== undefined) throw new FlError('failed-precondition', refusal);
  const released = await releases.keep(name, await draw(noiseOf(plan)));
  await account?.charge(plan);
  return released;
}

/** It is kept before it is charged: what is charged was there, and may have left. */
function lost({ run, round, attempt }: RoundPlan): string {
  return (
    `run ${run}: round ${round} attempt ${attempt}: its release was charged and is not kept here any more: ` +
    'noise is drawn once, so this client is left out of the round; the next one needs nothing of it'
  );
}

/**
 * The contribution as it may leave: under client-level privacy clipped, noised whole numbers of weight 1 without metrics
 * (shared/run/client-level-privacy.ts), else as it is.
 */
export function privatize(plan: RoundPlan, contribution: Contribution, noise: Rng): Contribution {
  if (!isClientLevel(plan.work.privacy)) return contribution;
  const values = Float32Array.from(encodePrivately(plan, contribution.values, noise));
  const weights = contribution.weights.map((weight) => (weight > 0 ? 1 : 0));
  const isAdaptive = plan.work.privacy.adaptive === true;
  return { values, weights: isAdaptive ? [...weights, 1] : weights, metrics: {} };
}

/**
 * What a plan costs one example of this client; undefined: nothing that is counted. An evaluation costs what its noised
 * figures do. Noise that hides whether a client takes part in a round moves by at most the clipping bound; changing an
 * example can turn its update from one vector within the bound into another, twice as far, which costs four times as much in
 * ρ. Local noise is sized for that already.
 */
export function exampleCostOf({ kind, work }: Pick<RoundPlan, 'kind' | 'work'>): Spend | undefined {
  if (kind === 'evaluate') return work.privacy?.tests && testSpend(work.privacy.tests);
  const cost = costOf(work);
  if (cost === undefined) return undefined;
  const { release, count } = roundSpend(cost);
  if (release.mechanism !== 'zcdp' || work.privacy!.mode === 'local') return { release, count };
  return { release: { mechanism: 'zcdp', rho: 4 * release.rho }, count };
}

/** How far the noise of a round is from the ideal. A changed example sees the same draws as a client that leaves. */
export function exampleSamplerErrorOf({ kind, work }: Pick<RoundPlan, 'kind' | 'work'>): number {
  if (kind === 'evaluate') return 0; // by the exact sampler
  const cost = costOf(work);
  return cost === undefined ? 0 : roundSamplerError(cost);
}
