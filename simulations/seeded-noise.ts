/**
 * The noise of a virtual client, which follows from the seed of its simulation: equal seeds give equal models, and whoever
 * knows the seed can take the noise off. Real clients draw fresh bytes (client/round/privatize.ts).
 */
import { type Rng, rngFromKey } from '../shared/rng.js';
import type { RoundPlan } from '../shared/run/plan.js';
import { canonicalJson } from '../shared/signing/canonical-json.js';
import { sha256Hex } from '../shared/signing/identity.js';

/** Equal for plans that are answered with equal numbers; shares of distributed noise are fresh for each aggregation. */
export function seededNoise(secret: Uint8Array, plan: RoundPlan): Rng {
  const { run, kind, round, modelSha256, work, clippingBound, secure } = plan;
  const bound = clippingBound === undefined ? {} : { clippingBound };
  const nonce = work.privacy?.mode === 'distributed' ? { nonce: secure?.nonce } : {};
  const name = canonicalJson({
    ...(kind === 'evaluate' && { kind }),
    run,
    round,
    modelSha256,
    work,
    ...bound,
    ...nonce,
  });
  return rngFromKey(secret, `noise/${sha256Hex(name)}`);
}
