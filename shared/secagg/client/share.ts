/**
 * Phase 2, share: check the frozen roster line by line, derive the neighbours from it, and deal each a sealed share of the
 * self-mask seed and of the mask key. Nothing secret has left the client before every check has passed.
 */
import { toHex } from '../../hex.js';
import { isStrictX25519Key } from '../../signing/strict.js';
import { compareBytes, concat, equalBytes } from '../codec.js';
import {
  type Advertisement,
  advertisementBody,
  rosterEntry,
  rosterRootOf,
  seedCommitment,
  shareSeal,
} from '../derive.js';
import { decodeRoster, encodeShares, type RosterBody } from '../frames.js';
import { buildGraph, type GraphParameters, graphParameters } from '../graph.js';
import type { SecaggParams } from '../params.js';
import { splitSecret } from '../shamir.js';
import {
  advance,
  type ClientContext,
  type ClientStep,
  check,
  type InPhase,
  type Neighbour,
  type RosterView,
} from './state.js';

type Waiting = InPhase<'roster'>;

/** Answers `roster`: splits self-mask seed and mask key among the neighbours, each bundle sealed for one of them. */
export function shareSecrets(context: ClientContext, state: Waiting, body: Uint8Array): ClientStep {
  const roster = checkRoster(context, state, decodeRoster(body));
  const { suite, rng, kernel } = context;
  const { aggregationId, shareSecretKey, maskSecretKey } = state;
  const transcript = { aggregationId, rosterRoot: roster.rosterRoot };
  const selfMaskSeed = rng.bytes(32);
  const shares = splitSecret(kernel, rng, {
    secret: concat(selfMaskSeed, maskSecretKey),
    threshold: roster.threshold,
    holders: roster.degree,
  });
  const agree = suite.x25519(shareSecretKey);
  const bundles = roster.neighbours.map((neighbour, rank) => {
    const secret = agree(neighbour.sharePublicKey);
    check(context, 'low-order-key', secret !== undefined, neighbour.index);
    const route = { secret: secret ?? new Uint8Array(32), from: roster.ownIndex, to: neighbour.index };
    const nonce = rng.bytes(suite.nonceBytes);
    return concat(nonce, suite.seal({ ...shareSeal(suite, transcript, route), nonce, message: shares[rank] }));
  });
  const commitment = seedCommitment(suite, transcript, { selfMaskSeed, index: roster.ownIndex });
  const lastFrame = encodeShares(aggregationId, commitment, bundles);
  return advance({ ...state, phase: 'bundles', lastFrame, roster, selfMaskSeed }, 'shares');
}

function checkRoster(context: ClientContext, state: Waiting, body: RosterBody): RosterView {
  const { suite, params, enrolment } = context;
  const { degree, threshold, ownIndex, entries } = body;
  const cohort = entries.length;
  check(context, 'cohort-size', cohort >= params.cohortMin && cohort <= params.cohortMax);
  const expected = expectedGraph(cohort, params);
  check(context, 'threshold-changed', expected?.degree === degree && expected.threshold === threshold);
  check(
    context,
    'roster-order',
    entries.every(({ tag }, i) => i === 0 || compareBytes(entries[i - 1].tag, tag) < 0),
  );
  check(
    context,
    'unenrolled-member',
    entries.every(({ tag }) => enrolment.hasTag(tag)),
  );
  checkOwnEntry(context, state, body);
  const rosterRoot = rosterRootOf(suite, state.aggregationId, body);
  const graph = buildGraph(suite, { aggregationId: state.aggregationId, rosterRoot, cohort }, { degree, threshold });
  const indices = graph.neighbours(ownIndex);
  const neighbours = body.neighbours.map((advertisement, rank) =>
    checkNeighbour(context, { state, body, index: indices[rank] }, advertisement),
  );
  checkKeysDiffer(context, state, neighbours);
  return { cohort, ownIndex, rosterRoot, degree, threshold, neighbours };
}

/** The graph that both sides must arrive at; undefined where none is safe, which no server can talk a client out of. */
function expectedGraph(cohort: number, params: SecaggParams): GraphParameters | undefined {
  try {
    return graphParameters(cohort, params);
  } catch {
    return undefined;
  }
}

function checkOwnEntry(context: ClientContext, state: Waiting, { entries, ownIndex }: RosterBody): void {
  const { suite, identity } = context;
  const own = rosterEntry(
    suite,
    { aggregationId: state.aggregationId, enrolledKey: suite.ed25519PublicKey(identity.signingSeed) },
    {
      id: identity.id,
      sharePublicKey: suite.x25519PublicKey(state.shareSecretKey),
      maskPublicKey: suite.x25519PublicKey(state.maskSecretKey),
    },
  );
  const claimed = entries[ownIndex];
  check(context, 'own-entry', equalBytes(claimed.tag, own.tag) && equalBytes(claimed.leaf, own.leaf));
}

function checkNeighbour(
  context: ClientContext,
  { state, body, index }: { state: Waiting; body: RosterBody; index: number },
  advertisement: Advertisement,
): Neighbour {
  const { suite, enrolment } = context;
  const { aggregationId } = state;
  const enrolledKey = enrolment.keyOf(advertisement.id) ?? new Uint8Array(32); // a key under which nothing verifies
  const entry = rosterEntry(suite, { aggregationId, enrolledKey }, advertisement);
  const claimed = body.entries[index];
  const matches = equalBytes(claimed.tag, entry.tag) && equalBytes(claimed.leaf, entry.leaf);
  check(context, 'advertisement-substituted', matches, index);
  const message = advertisementBody(aggregationId, advertisement);
  const signed = suite.verify({ publicKey: enrolledKey, message, signature: advertisement.signature });
  check(context, 'advertisement-unsigned', signed, index);
  const { sharePublicKey, maskPublicKey } = advertisement;
  check(context, 'low-order-key', [sharePublicKey, maskPublicKey].every(isStrictX25519Key), index);
  return { index, enrolledKey, sharePublicKey, maskPublicKey };
}

/** All X25519 keys in sight are different: two members with one key would be one client with two names. */
function checkKeysDiffer(context: ClientContext, state: Waiting, neighbours: readonly Neighbour[]): void {
  const seen = new Set(
    [state.shareSecretKey, state.maskSecretKey].map((key) => toHex(context.suite.x25519PublicKey(key))),
  );
  for (const { index, sharePublicKey, maskPublicKey } of neighbours) {
    for (const key of [sharePublicKey, maskPublicKey].map(toHex)) {
      check(context, 'key-reused', !seen.has(key), index);
      seen.add(key);
    }
  }
}
