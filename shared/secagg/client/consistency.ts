/**
 * Phase 4, consistency: check the survivor set that the server claims and sign it, once per aggregation. The state that
 * says so is durable before the signature leaves; a second set is refused even after a crash.
 */
import { bitmapHas, bitmapIndices } from '../codec.js';
import { consistencyBody, survivorRootOf } from '../derive.js';
import { decodeSurvivors, encodeConsistency } from '../frames.js';
import { advance, type ClientContext, type ClientStep, check, type InPhase } from './state.js';

/**
 * Answers `survivors`: signs the set that it was shown, if that may be signed. `body` is the set as a bitmap of the
 * roster.
 */
export function signSurvivors(context: ClientContext, state: InPhase<'survivors'>, body: Uint8Array): ClientStep {
  const { suite, params, identity } = context;
  const { roster, included, aggregationId, accepted, held } = state;
  const survivors = decodeSurvivors(body, roster.cohort);
  const indices = bitmapIndices(survivors, roster.cohort);
  check(
    context,
    'survivors-not-included',
    indices.every((index) => bitmapHas(included, index)),
  );
  check(context, 'self-not-survivor', bitmapHas(survivors, roster.ownIndex));
  check(context, 'too-few-survivors', indices.length >= params.survivorsMin);
  const living = roster.neighbours.filter(({ index }) => bitmapHas(survivors, index));
  check(context, 'too-few-neighbours', living.length >= roster.threshold);
  const transcript = { aggregationId, rosterRoot: roster.rosterRoot };
  const survivorRoot = survivorRootOf(suite, transcript, { included, survivors });
  const signature = suite.signer(identity.signingSeed)(consistencyBody(transcript, survivorRoot));
  const lastFrame = encodeConsistency(aggregationId, signature);
  // The keys and the seed stay behind: from here on only the neighbours' shares are needed.
  return advance(
    { phase: 'signatures', aggregationId, accepted, lastFrame, roster, included, held, survivors, survivorRoot },
    'consistency',
  );
}
