/**
 * Phase 3, mask: open the neighbours' bundles, then add to the vector the own mask and one mask per neighbour who shared,
 * y = x + PRG(self) + sum over v of sign(u, v) PRG(m_uv) modulo 2^b, with + towards the higher index.
 */

import { invalidArgument } from '../../errors.js';
import { bitmapHas, bitmapIndices, equalBytes } from '../codec.js';
import { LABEL } from '../constants.js';
import { pairMaskKey, selfMaskKey, shareSeal } from '../derive.js';
import { decodeBundles, encodeMasked } from '../frames.js';
import { pack } from '../ring.js';
import { type ClientContext, type ClientStep, check, type InPhase } from './state.js';

/**
 * Answers `bundles`: opens what each sharing neighbour sent and asks for the vector. One that does not open is a
 * refusal.
 */
export function openBundles(context: ClientContext, state: InPhase<'bundles'>, body: Uint8Array): ClientStep {
  const { suite, params } = context;
  const { roster, aggregationId } = state;
  const { head: included, items } = decodeBundles(suite, body, roster.cohort);
  const sharers = bitmapIndices(included, roster.cohort);
  check(context, 'self-not-included', bitmapHas(included, roster.ownIndex));
  check(context, 'too-few-included', sharers.length >= params.survivorsMin);
  const present = roster.neighbours.filter(({ index }) => bitmapHas(included, index));
  check(context, 'malformed-frame', items.length === present.length);
  check(context, 'too-few-bundles', present.length >= roster.threshold);
  const agree = suite.x25519(state.shareSecretKey);
  const transcript = { aggregationId, rosterRoot: roster.rosterRoot };
  let next = 0;
  const held = roster.neighbours.map(({ index, sharePublicKey }) => {
    if (!bitmapHas(included, index)) return null;
    const bundle = items[next++];
    const secret = agree(sharePublicKey) ?? new Uint8Array(32); // refused as low-order-key when the roster came
    const seal = shareSeal(suite, transcript, { secret, from: index, to: roster.ownIndex });
    const nonce = bundle.subarray(0, suite.nonceBytes);
    const share = suite.open({ ...seal, nonce, message: bundle.subarray(suite.nonceBytes) });
    check(context, 'bundle-forged', share !== undefined, index);
    return share ?? new Uint8Array(64);
  });
  const { accepted, lastFrame, maskSecretKey, selfMaskSeed } = state;
  return [
    { phase: 'vector', aggregationId, accepted, lastFrame, roster, maskSecretKey, selfMaskSeed, included, held },
    [{ kind: 'persist' }, { kind: 'vector-wanted' }],
  ];
}

/** Masks the vector; after a crash the same vector may be masked again, another never. */
export function maskVector(
  context: ClientContext,
  state: InPhase<'vector' | 'survivors'>,
  values: Int32Array,
): ClientStep {
  const { suite, kernel, params } = context;
  if (values.length !== params.elements) throw invalidArgument('vector', `${params.elements} elements`, values.length);
  const bound = params.ring.valueMax + params.ring.noiseTailMax; // beyond it the sum could wrap
  if (values.some((value) => Math.abs(value) > bound))
    throw invalidArgument('vector', `elements within ${bound}`, 'more');
  const words = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const vectorDigest = suite.hash(new TextEncoder().encode(LABEL.vector), state.aggregationId, bytes);
  if (state.phase === 'survivors') check(context, 'vector-changed', equalBytes(vectorDigest, state.vectorDigest));
  kernel.reset(values.length);
  kernel.add(words);
  for (const mask of masksOf(context, state)) kernel.addMask(suite, mask);
  const frame = encodeMasked(state.aggregationId, pack(kernel.read(), params.ring.bits));
  return [
    { ...state, phase: 'survivors', vectorDigest },
    [{ kind: 'persist' }, { kind: 'send', type: 'masked', frame }],
  ];
}

function masksOf(context: ClientContext, state: InPhase<'vector' | 'survivors'>) {
  const { suite } = context;
  const { roster, included, aggregationId } = state;
  const transcript = { aggregationId, rosterRoot: roster.rosterRoot };
  const own = roster.ownIndex;
  const agree = suite.x25519(state.maskSecretKey);
  const pairwise = roster.neighbours
    .filter(({ index }) => bitmapHas(included, index))
    .map(({ index, maskPublicKey }) => {
      const agreed = agree(maskPublicKey);
      check(context, 'low-order-key', agreed !== undefined, index);
      const secret = agreed ?? new Uint8Array(32);
      const sign = own < index ? (1 as const) : (-1 as const);
      return { key: pairMaskKey(suite, transcript, { secret, pair: [own, index] }), sign };
    });
  const self = selfMaskKey(suite, transcript, { selfMaskSeed: state.selfMaskSeed, index: own });
  return [{ key: self, sign: 1 as const }, ...pairwise];
}
