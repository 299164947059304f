/**
 * Phase 5, unmask: once a threshold of neighbours has signed the same survivor set, return for each neighbour who shared
 * exactly one half of its share: the seed's if it survived, the mask key's if it dropped out. All secrets go with this step.
 */
import { bitmapHas, bitmapIndices } from '../codec.js';
import { KEY_BYTES } from '../constants.js';
import { consistencyBody } from '../derive.js';
import { decodeSignatures, encodeUnmask } from '../frames.js';
import { type ClientContext, type ClientStep, check, type InPhase } from './state.js';

/**
 * Answers `signatures`: of each sharing neighbour the half of its secret that the signed set allows, and never both.
 */
export function revealShares(context: ClientContext, state: InPhase<'signatures'>, body: Uint8Array): ClientStep {
  const { suite } = context;
  const { roster, survivors, survivorRoot, aggregationId, accepted, held } = state;
  const { head: signers, items } = decodeSignatures(body, roster.cohort);
  const signed = bitmapIndices(signers, roster.cohort);
  check(
    context,
    'signer-not-survivor',
    signed.every((index) => bitmapHas(survivors, index)),
  );
  const neighbours = roster.neighbours.filter(({ index }) => bitmapHas(signers, index));
  check(context, 'malformed-frame', items.length === neighbours.length);
  const message = consistencyBody({ aggregationId, rosterRoot: roster.rosterRoot }, survivorRoot);
  let valid = 0;
  for (const [i, { enrolledKey }] of neighbours.entries()) {
    if (suite.verify({ publicKey: enrolledKey, message, signature: items[i] })) valid++;
    if (valid === roster.threshold) break; // more would say nothing new
  }
  check(context, 'survivors-disputed', valid >= roster.threshold);
  const halves = roster.neighbours.flatMap(({ index }, rank) => {
    const share = held[rank];
    if (!share) return [];
    return [bitmapHas(survivors, index) ? share.subarray(0, KEY_BYTES) : share.subarray(KEY_BYTES)];
  });
  const lastFrame = encodeUnmask(aggregationId, halves);
  return [
    { phase: 'done', aggregationId, accepted, lastFrame },
    [{ kind: 'persist' }, { kind: 'send', type: 'unmask', frame: lastFrame }, { kind: 'done' }],
  ];
}
