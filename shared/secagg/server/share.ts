/**
 * Phase 2, share: collect sealed shares, then hand each sharer the bundles that its neighbours sealed for it.
 */
import { bitmapHas, bitmapOf, MalformedFrame } from '../codec.js';
import { HASH_BYTES } from '../constants.js';
import { bundleBytes, encodeBundles } from '../frames.js';
import {
  aborted,
  indicesWhere,
  type ServerContext,
  type ServerInPhase,
  type ServerOutput,
  type ServerState,
  type ServerStep,
  topologyOf,
} from './state.js';

type Collecting = ServerInPhase<'share'>;

/** Keeps a member's sealed bundles for its neighbours, unread. @throws MalformedFrame when they are not one for each */
export function takeShares(
  context: ServerContext,
  state: Collecting,
  { index, body }: { index: number; body: Uint8Array },
): Collecting {
  const expected = HASH_BYTES + state.roster.degree * bundleBytes(context.suite);
  if (body.length !== expected) throw new MalformedFrame(`${body.length} bytes of shares, expected ${expected}`);
  return { ...state, shares: state.shares.with(index, new Uint8Array(body)) };
}

/** Freezes who shared, and empties the sum for their vectors. */
export function closeShare(context: ServerContext, state: Collecting): ServerStep {
  const { aggregationId, roster, shares, gone } = state;
  const cohort = roster.members.length;
  const sharers = indicesWhere(cohort, (index) => shares[index] !== null && !gone[index]);
  if (sharers.length < context.params.survivorsMin) return aborted(state, 'too-few-survivors');
  context.sum.reset(context.params.elements);
  const next: ServerState = {
    phase: 'mask',
    aggregationId,
    roster,
    shares,
    gone,
    included: bitmapOf(sharers, cohort),
    uploaded: new Array<boolean>(cohort).fill(false),
  };
  return [next, [{ kind: 'phase', phase: 'mask', waitingFor: sharers.length }, ...bundleFrames(context, next)]];
}

/** The bundles of every sharer that has not uploaded yet. */
export function bundleFrames(context: ServerContext, state: ServerInPhase<'mask'>): ServerOutput[] {
  const { aggregationId, roster, shares, gone, included, uploaded } = state;
  const { neighbours, rankIn } = topologyOf(context, state);
  const sizeBytes = bundleBytes(context.suite);
  return roster.members.flatMap(({ id }, u): ServerOutput[] => {
    if (!bitmapHas(included, u) || uploaded[u] || gone[u]) return [];
    const bundles = neighbours[u].flatMap((v, j) => {
      if (!bitmapHas(included, v)) return [];
      const at = HASH_BYTES + rankIn[u][j] * sizeBytes;
      return [shares[v]!.subarray(at, at + sizeBytes)];
    });
    return [{ kind: 'send', to: id, type: 'bundles', frame: encodeBundles(aggregationId, included, bundles) }];
  });
}
