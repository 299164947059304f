/**
 * Every check that a client makes, and the closed lists of why a client refuses, why the server drops a client, and why it
 * gives an aggregation up. A check's name is the reason with which it refuses. test/shared/secagg/attacks.spec.ts mounts an
 * attack on each and fails if the check is switched off.
 */

/** What a client checks, in the order of the phases: name and the lie that it stops. */
export const CLIENT_CHECKS = {
  // before it advertises
  'params-out-of-range': 'parameters under which no run is correct: sizes beyond the limits, minima out of order',
  'ring-may-wrap': 'a ring so small that the sum wraps and reads as another sum',
  'cohort-below-policy': 'a cohort smaller than the site allows',
  'survivors-below-policy': 'a sum over fewer clients than the site allows',
  'adversary-below-policy': 'a threshold computed for fewer colluding clients than the site assumes',
  'replayed-aggregation': 'an aggregation id for which this client has already made keys',
  // every frame
  'malformed-frame': 'wrong version, type, length, padding or text',
  'wrong-aggregation': 'a frame of another aggregation',
  'out-of-order': 'a frame of a phase that is not yet due',
  'contradicting-frame': 'a second, different frame of a phase already passed',
  // roster
  'cohort-size': 'fewer or more members than the parameters say',
  'threshold-changed': 'a degree or threshold other than the one that follows from the cohort',
  'roster-order': 'a roster in an order of the server, or with a member twice',
  'unenrolled-member': 'members that the enrolment list does not know (Sybils)',
  'own-entry': 'this client missing, moved or with other keys',
  'advertisement-substituted': 'a neighbour whose keys are not those under the roster root',
  'advertisement-unsigned': 'keys that the neighbour did not sign',
  'key-reused': 'one key for two purposes or two members',
  'low-order-key': 'a key that makes the shared secret a constant',
  // bundles of shares
  'self-not-included': 'a set of sharers without this client',
  'too-few-included': 'a set of sharers too small for any sum',
  'too-few-bundles': 'shares from fewer neighbours than reconstruct, so too few masks',
  'bundle-forged': 'a bundle that the neighbour did not seal for this client',
  // vector
  'vector-changed': 'a second, different vector under the same masks: their difference would be plain to see',
  // consistency
  'survivors-not-included': 'survivors who never shared',
  'self-not-survivor': 'this client declared dead though it uploaded',
  'too-few-survivors': 'a sum over fewer clients than agreed',
  'too-few-neighbours': 'a neighbourhood thinned below the threshold (drop-outs side by side on the ring)',
  'second-survivor-set': 'another survivor set after one was signed',
  // unmask
  'signer-not-survivor': 'signatures of clients that are not survivors',
  'survivors-disputed': 'too few neighbours who signed the same survivor set (split views, alive/dead overlap)',
} as const;

/** A check by its name, as a test switches it off and an error tells it. */
export type ClientCheck = keyof typeof CLIENT_CHECKS;

/** Why a client left: one of its checks, or its own side (policy, deadline, shutdown). */
export type RefusalReason = ClientCheck | 'withdrawn';

/** Codes on the wire are positions in this list: append only. */
export const REFUSAL_REASONS: readonly RefusalReason[] = [
  'withdrawn',
  ...(Object.keys(CLIENT_CHECKS) as ClientCheck[]),
];

/** Why the server went on without a client. */
export type SecaggDropReason =
  | 'refused' // the client said so; its reason comes along
  | 'unenrolled'
  | 'malformed' // a frame that does not parse or has the wrong size
  | 'bad-signature'
  | 'bad-key' // not canonical, of low order, or taken
  | 'deadline' // no frame before the phase closed
  | 'cohort-full'
  | 'bad-share'; // its shares did not fit a secret that others reconstructed

/** Why the server gave an aggregation up; nothing was unmasked. */
export type SecaggAbortReason =
  | 'cohort-too-small'
  | 'no-safe-graph' // no degree satisfies the statistical bound for this cohort
  | 'too-few-survivors'
  | 'too-few-signatures'
  | 'too-few-shares' // some secret has fewer answering holders than the threshold
  | 'secret-unrecoverable' // enough shares, but no subset fits the commitment
  | 'member-excluded' // its vector is in the sum, and may not be
  | 'cancelled';

/** Thrown inside the client machine and caught at its boundary; never leaves it. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  readonly reason: RefusalReason;
  /** Roster index of the neighbour at fault, where one is. */
  readonly culprit: number | undefined;

  constructor(reason: RefusalReason, culprit?: number) {
    super(reason);
    this.reason = reason;
    this.culprit = culprit;
  }
}
