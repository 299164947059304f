/**
 * Every label, bound and default threshold of secure aggregation, in one place. A change to a label or to an encoding
 * bound is a new protocol: raise {@link PROTOCOL}. Security arguments for the numbers: docs/secure-aggregation.md.
 */

/** First bytes of every hash, signature and key-derivation input; two protocol versions can never be confused. */
export const PROTOCOL = 'starling/secagg/v1';
/** First byte of every frame. */
export const FRAME_VERSION = 1;

/** Domain separation: what a digest, signature or derived key is for. */
export const LABEL = {
  aggregationId: `${PROTOCOL}/aggregation`, // hash: task, round, model and parameters -> aggregation id
  params: `${PROTOCOL}/params`,
  memberTag: `${PROTOCOL}/member`, // hash: client id and enrolled key -> 16-byte roster tag
  advertisement: `${PROTOCOL}/advertise`, // signature and roster leaf
  rosterRoot: `${PROTOCOL}/roster`,
  ring: `${PROTOCOL}/ring`, // key derivation: roster root -> order of clients on the ring
  groups: `${PROTOCOL}/groups`,
  shareKey: `${PROTOCOL}/share-key`, // key derivation: X25519 output -> key that seals a bundle of shares
  commitment: `${PROTOCOL}/self-mask-commitment`,
  pairMask: `${PROTOCOL}/pair-mask`,
  selfMask: `${PROTOCOL}/self-mask`,
  vector: `${PROTOCOL}/vector`, // hash: the quantized vector that this client has bound itself to
  survivorRoot: `${PROTOCOL}/survivors`,
  consistency: `${PROTOCOL}/consistency`, // signature over the survivor set
  proof: `${PROTOCOL}/receipt`, // its name before it was called a proof: what was signed stays so
} as const;

/** A digest of either suite. */
export const HASH_BYTES = 32;
/** A key of X25519 or Ed25519, a seed, a mask's key. */
export const KEY_BYTES = 32;
/** A signature of Ed25519. */
export const SIGNATURE_BYTES = 64;
/** The tag of a member in the roster. */
export const TAG_BYTES = 16;
/** Self-mask seed and mask key, 32 bytes each, are shared together. */
export const SECRET_BYTES = 64;

/** Up to this cohort everyone is everyone's neighbour: n-1 pairwise masks still cost less than the analysis of a graph. */
export const COMPLETE_GRAPH_MAX = 128;
/** Probability that any client's secrets fall, and that honest survivors do not stay connected: 2^-40 together. */
export const SECURITY_BITS = 40;
/** Probability that an honest run cannot be unmasked at the assumed drop-out: 2^-20. */
export const CORRECTNESS_BITS = 20;

/** Bounds that hold for every message before anything is allocated for it. */
export const LIMIT = {
  cohort: 16_384, // 48 bytes per member go to every client
  neighbours: 1_024, // shares of one secret fit the kernel's 64 KiB window
  elements: 1 << 28, // 1 GiB of ring elements
  idBytes: 128,
  quantizeBits: 24, // float32 holds a larger magnitude no longer exactly
  reconstructTries: 32, // subsets of shares tried before a secret counts as unrecoverable
} as const;

/** What a client insists on if its site's policy says nothing else. */
export const DEFAULT_POLICY = {
  cohortMin: 3,
  survivorsMin: 3,
  adversaryFraction: 0.05,
} as const;

/** Keystream is produced in chunks of this size: one larger update is slower (page faults), smaller ones pay per call. */
export const CHUNK_BYTES = 65_536;
