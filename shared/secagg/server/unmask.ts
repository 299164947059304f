/**
 * Phase 5, unmask: from the returned half-shares reconstruct each survivor's self-mask seed (checked against its commitment)
 * and each drop-out's mask key (checked against its advertised public key), and list the keystreams to take off the sum.
 * Where a subset of shares does not fit, others are tried; holders whose shares then turn out wrong are named.
 */
import { bitmapHas, equalBytes, MalformedFrame } from '../codec.js';
import { HASH_BYTES, LIMIT } from '../constants.js';
import { pairMaskKey, seedCommitment, selfMaskKey, survivorRootOf } from '../derive.js';
import { decodeUnmask } from '../frames.js';
import { combineShares, type Share } from '../shamir.js';
import {
  aborted,
  indicesWhere,
  type MaskTerm,
  type ServerContext,
  type ServerInPhase,
  type ServerOutput,
  type ServerStep,
  topologyOf,
} from './state.js';

type Collecting = ServerInPhase<'unmask'>;

/** Keeps a survivor's half-shares. @throws MalformedFrame when they are not one for each neighbour that shared */
export function takeAnswer(
  context: ServerContext,
  state: Collecting,
  { index, body }: { index: number; body: Uint8Array },
): Collecting {
  const halves = decodeUnmask(body);
  const expected = topologyOf(context, state).neighbours[index].filter((v) => bitmapHas(state.included, v)).length;
  if (halves.length !== expected) throw new MalformedFrame(`${halves.length} shares, expected ${expected}`);
  return { ...state, answers: state.answers.with(index, halves) };
}

interface HeldShare extends Share {
  readonly holder: number;
}

/** Reconstructs, or gives up without having learned a sum. */
export function closeUnmask(context: ServerContext, state: Collecting): ServerStep {
  const { aggregationId, roster, included, survivors } = state;
  const transcript = { aggregationId, rosterRoot: roster.rosterRoot };
  const held = sharesByOwner(context, state);
  const sharers = indicesWhere(roster.members.length, (index) => bitmapHas(included, index));
  if (sharers.some((index) => held[index].length < roster.threshold)) return aborted(state, 'too-few-shares');
  const masks: MaskTerm[] = [];
  const liars = new Set<number>();
  for (const index of sharers) {
    const alive = bitmapHas(survivors, index);
    const fits = alive ? fitsCommitment(context, state, index) : fitsPublicKey(context, state, index);
    const secret = reconstruct(context, { shares: held[index], threshold: roster.threshold, fits }, liars);
    if (secret === undefined) return aborted(state, 'secret-unrecoverable');
    if (alive) masks.push({ key: selfMaskKey(context.suite, transcript, { selfMaskSeed: secret, index }), sign: -1 });
    else masks.push(...orphanedMasks(context, state, { index, secret }));
  }
  const ids = (indices: readonly number[]): string[] => indices.map((index) => roster.members[index].id);
  const survivorIds = ids(sharers.filter((index) => bitmapHas(survivors, index)));
  const drops = ids([...liars]).map((id): ServerOutput => ({ kind: 'drop', id, phase: 'unmask', reason: 'bad-share' }));
  const survivorRoot = survivorRootOf(context.suite, transcript, state);
  const signatures = roster.members.flatMap(({ id }, index) => {
    const signature = state.signatures[index];
    return signature ? [{ id, signature }] : [];
  });
  return [
    { phase: 'done', aggregationId, survivorIds },
    [...drops, { kind: 'unmask', masks, survivorIds, rosterRoot: roster.rosterRoot, survivorRoot, signatures }],
  ];
}

/** For each member, the shares of its secret that came back. */
function sharesByOwner(context: ServerContext, state: Collecting): HeldShare[][] {
  const { neighbours, rankIn } = topologyOf(context, state);
  const held: HeldShare[][] = state.roster.members.map(() => []);
  for (const [holder, halves] of state.answers.entries()) {
    if (halves === null) continue;
    let next = 0;
    for (const [j, owner] of neighbours[holder].entries()) {
      if (!bitmapHas(state.included, owner)) continue;
      held[owner].push({ holder, x: rankIn[holder][j] + 1, bytes: halves[next++] });
    }
  }
  return held;
}

type Fits = (secret: Uint8Array) => boolean;

function fitsCommitment({ suite }: ServerContext, { aggregationId, roster, shares }: Collecting, index: number): Fits {
  const commitment = shares[index]!.subarray(0, HASH_BYTES);
  const transcript = { aggregationId, rosterRoot: roster.rosterRoot };
  return (selfMaskSeed) => equalBytes(seedCommitment(suite, transcript, { selfMaskSeed, index }), commitment);
}

const fitsPublicKey =
  ({ suite }: ServerContext, { roster }: Collecting, index: number): Fits =>
  (secretKey) =>
    equalBytes(suite.x25519PublicKey(secretKey), roster.members[index].maskPublicKey);

/** The secret that fits, from the first threshold of shares or from random subsets; adds holders of wrong shares to `liars`. */
function reconstruct(
  { rng }: ServerContext,
  { shares, threshold, fits }: { shares: readonly HeldShare[]; threshold: number; fits: Fits },
  liars: Set<number>,
): Uint8Array | undefined {
  let candidates = shares.filter(({ holder }) => !liars.has(holder));
  if (candidates.length < threshold) candidates = [...shares];
  for (let tries = 0; tries < LIMIT.reconstructTries; tries++) {
    const chosen = candidates.slice(0, threshold);
    const secret = combineShares(chosen);
    if (fits(secret)) {
      if (tries > 0) blame(shares, chosen, secret, liars);
      return secret;
    }
    rng.shuffle(candidates);
  }
  return undefined;
}

/** A share is wrong if, put in place of one of a fitting set, it gives another secret. */
function blame(
  shares: readonly HeldShare[],
  fitting: readonly HeldShare[],
  secret: Uint8Array,
  liars: Set<number>,
): void {
  for (const share of shares) {
    if (fitting.includes(share)) continue;
    if (!equalBytes(combineShares([share, ...fitting.slice(1)]), secret)) liars.add(share.holder);
  }
}

/** The pairwise masks that survivors added for a member that then dropped out: taken back with the opposite sign. */
function orphanedMasks(
  context: ServerContext,
  state: Collecting,
  { index, secret }: { index: number; secret: Uint8Array },
): MaskTerm[] {
  const { suite } = context;
  const { aggregationId, roster, survivors } = state;
  const transcript = { aggregationId, rosterRoot: roster.rosterRoot };
  const agree = suite.x25519(secret);
  return topologyOf(context, state)
    .neighbours[index].filter((v) => bitmapHas(survivors, v))
    .flatMap((v) => {
      const shared = agree(roster.members[v].maskPublicKey);
      if (shared === undefined) return []; // every honest neighbour has refused such a key and is no survivor
      const sign = v < index ? (-1 as const) : (1 as const); // v added +PRG if v < index
      return [{ key: pairMaskKey(suite, transcript, { secret: shared, pair: [v, index] }), sign }];
    });
}
