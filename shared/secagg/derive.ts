/**
 * Everything that is hashed, signed or derived, with its label and transcript: the aggregation id fixes task, round, model
 * and parameters; the roster root fixes everybody's keys; so no key or signature means anything in another context.
 */
import { Writer } from './codec.js';
import { KEY_BYTES, LABEL, TAG_BYTES } from './constants.js';
import type { CryptoSuite } from './suite.js';

/** What a client says of itself in one aggregation; `signature` is Ed25519's, by its enrolled key. */
export interface Advertisement {
  readonly id: string;
  /** X25519 keys, fresh in every aggregation: one to seal shares, one to agree on masks. */
  readonly sharePublicKey: Uint8Array;
  readonly maskPublicKey: Uint8Array;
  readonly signature: Uint8Array;
}

/** One line of the roster: whose keys, by hash. Lines are in ascending order of tags, so nobody can be in it twice. */
export interface RosterEntry {
  readonly tag: Uint8Array;
  readonly leaf: Uint8Array;
}

/** The frozen roster as everyone hashes it. */
export interface Transcript {
  readonly aggregationId: Uint8Array;
  readonly rosterRoot: Uint8Array;
}

/** Names an enrolled client: 16 bytes of the hash of its id and long-term key. */
export function memberTag(suite: CryptoSuite, id: string, enrolledKey: Uint8Array): Uint8Array {
  return suite.hash(new Writer().text(LABEL.memberTag).text(id).raw(enrolledKey).done()).slice(0, TAG_BYTES);
}

/** What a client signs to advertise, and whose hash is its leaf. */
export function advertisementBody(
  aggregationId: Uint8Array,
  { id, sharePublicKey, maskPublicKey }: Omit<Advertisement, 'signature'>,
): Uint8Array {
  const writer = new Writer().text(LABEL.advertisement).raw(aggregationId).text(id);
  return writer.raw(sharePublicKey).raw(maskPublicKey).done();
}

/** A member's line of the roster: a tag of who it is, and the hash of what it advertised. */
export function rosterEntry(
  suite: CryptoSuite,
  { aggregationId, enrolledKey }: { aggregationId: Uint8Array; enrolledKey: Uint8Array },
  advertisement: Omit<Advertisement, 'signature'>,
): RosterEntry {
  return {
    tag: memberTag(suite, advertisement.id, enrolledKey),
    leaf: suite.hash(advertisementBody(aggregationId, advertisement)),
  };
}

/** 32 bytes that stand for the whole roster and its graph; all that follows is bound to it. */
export function rosterRootOf(
  suite: CryptoSuite,
  aggregationId: Uint8Array,
  { entries, degree, threshold }: { entries: readonly RosterEntry[]; degree: number; threshold: number },
): Uint8Array {
  const writer = new Writer(64 + 48 * entries.length).text(LABEL.rosterRoot).raw(aggregationId);
  writer.u32(entries.length).u32(degree).u32(threshold);
  for (const { tag, leaf } of entries) writer.raw(tag).raw(leaf);
  return suite.hash(writer.done());
}

/** The hash of who shared and who survived, as bitmaps over the roster. */
export function survivorRootOf(
  suite: CryptoSuite,
  { aggregationId, rosterRoot }: Transcript,
  { included, survivors }: { included: Uint8Array; survivors: Uint8Array },
): Uint8Array {
  const writer = new Writer().text(LABEL.survivorRoot).raw(aggregationId).raw(rosterRoot);
  return suite.hash(writer.raw(included).raw(survivors).done());
}

/** What a survivor signs, once. */
export const consistencyBody = ({ aggregationId, rosterRoot }: Transcript, survivorRoot: Uint8Array): Uint8Array =>
  new Writer().text(LABEL.consistency).raw(aggregationId).raw(rosterRoot).raw(survivorRoot).done();

/** The key and associated data under which `from` seals its bundle for `to` (roster indices). */
export function shareSeal(
  suite: CryptoSuite,
  transcript: Transcript,
  { secret, from, to }: { secret: Uint8Array; from: number; to: number },
): { key: Uint8Array; associatedData: Uint8Array } {
  const info = new Writer().text(LABEL.shareKey).raw(transcript.rosterRoot).u32(from).u32(to).done();
  const key = suite.hkdf({ ikm: secret, salt: transcript.aggregationId, info, sizeBytes: KEY_BYTES });
  return { key, associatedData: new Writer().raw(transcript.aggregationId).raw(info).done() };
}

/** The key of the mask that two neighbours share; whoever has the lower index adds it, the other subtracts it. */
export function pairMaskKey(
  suite: CryptoSuite,
  { aggregationId, rosterRoot }: Transcript,
  { secret, pair: [a, b] }: { secret: Uint8Array; pair: readonly [number, number] },
): Uint8Array {
  const info = new Writer().text(LABEL.pairMask).raw(rosterRoot).u32(Math.min(a, b)).u32(Math.max(a, b)).done();
  return suite.hkdf({ ikm: secret, salt: aggregationId, info, sizeBytes: KEY_BYTES });
}

/** The key of a client's own mask. */
export function selfMaskKey(
  suite: CryptoSuite,
  { aggregationId, rosterRoot }: Transcript,
  { selfMaskSeed, index }: { selfMaskSeed: Uint8Array; index: number },
): Uint8Array {
  const info = new Writer().text(LABEL.selfMask).raw(rosterRoot).u32(index).done();
  return suite.hkdf({ ikm: selfMaskSeed, salt: aggregationId, info, sizeBytes: KEY_BYTES });
}

/** Binds a client to its self-mask seed, so that wrong shares of it show. */
export function seedCommitment(
  suite: CryptoSuite,
  { aggregationId, rosterRoot }: Transcript,
  { selfMaskSeed, index }: { selfMaskSeed: Uint8Array; index: number },
): Uint8Array {
  const writer = new Writer().text(LABEL.commitment).raw(aggregationId).raw(rosterRoot).u32(index);
  return suite.hash(writer.raw(selfMaskSeed).done());
}
