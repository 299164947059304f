/**
 * Phase 1, advertise: hold the parameters against the site's policy, make two fresh X25519 keys, sign them.
 */

import { advertisementBody } from '../derive.js';
import { encodeAdvertise } from '../frames.js';
import { aggregationIdOf, paramsFault } from '../params.js';
import { ringMayWrap } from '../ring.js';
import { advance, type ClientContext, type ClientStep, check } from './state.js';

/**
 * Begins an aggregation: fresh X25519 keys, signed with the client's enrolled key. Sends `advertise`; keeps the keys
 * first.
 */
export function advertise(context: ClientContext): ClientStep {
  const { suite, rng, identity, params } = context;
  const aggregationId = aggregationIdOf(suite, params, context.aggregation);
  checkParams(context, aggregationId);
  const [shareSecretKey, maskSecretKey] = [rng.bytes(32), rng.bytes(32)];
  const keys = {
    id: identity.id,
    sharePublicKey: suite.x25519PublicKey(shareSecretKey),
    maskPublicKey: suite.x25519PublicKey(maskSecretKey),
  };
  const signature = suite.signer(identity.signingSeed)(advertisementBody(aggregationId, keys));
  const lastFrame = encodeAdvertise(aggregationId, { ...keys, signature });
  return advance(
    { phase: 'roster', aggregationId, accepted: {}, lastFrame, shareSecretKey, maskSecretKey },
    'advertise',
  );
}

function checkParams(context: ClientContext, aggregationId: Uint8Array): void {
  const { params, policy } = context;
  check(context, 'ring-may-wrap', !ringMayWrap(params.ring, params.cohortMax));
  check(context, 'params-out-of-range', paramsFault(params) === undefined);
  check(context, 'cohort-below-policy', params.cohortMin >= policy.cohortMin);
  check(context, 'survivors-below-policy', params.survivorsMin >= policy.survivorsMin);
  check(context, 'adversary-below-policy', params.adversaryFraction >= policy.adversaryFraction);
  check(context, 'replayed-aggregation', !context.isUsed(aggregationId));
}
