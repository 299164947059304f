/**
 * The frames of the protocol, all of the form: version u8, type u8, aggregation id 32 bytes, body. Integers are big-endian,
 * sets are bitmaps over the roster, everything else has a length that follows from what both sides know; a frame with one
 * byte more or less is refused. Sizes for n clients, k neighbours, d elements of b bits, bundles of 92 bytes (node suite):
 *
 * | type | from   | body                                                                       | bytes              |
 * | ---- | ------ | -------------------------------------------------------------------------- | ------------------ |
 * | 1    | client | advertise: id, share key, mask key, signature                              | 130 + id           |
 * | 2    | server | roster: n, k, t, own index, n x (tag, leaf), k x advertisement             | 48 n + k (130 + id)|
 * | 3    | client | shares: commitment, k x bundle, by ascending neighbour                     | 32 + 92 k          |
 * | 4    | server | bundles: set of sharers, bundle of each neighbour in it                    | n/8 + 92 k         |
 * | 5    | client | masked: packed vector                                                      | d b / 8            |
 * | 6    | server | survivors: set                                                             | n/8                |
 * | 7    | client | consistency: signature                                                     | 64                 |
 * | 8    | server | signatures: set of signers, signature of each neighbour in it              | n/8 + 64 k         |
 * | 9    | client | unmask: per neighbour among the sharers one half share                     | 32 k               |
 * | 10   | client | refusal: reason u8, culprit's roster index u32 or ff ff ff ff              | 5                  |
 */

import { REFUSAL_REASONS, type RefusalReason } from './checks.js';
import { MalformedFrame, Reader, Writer } from './codec.js';
import { FRAME_VERSION, HASH_BYTES, KEY_BYTES, LIMIT, SECRET_BYTES, SIGNATURE_BYTES, TAG_BYTES } from './constants.js';
import type { Advertisement, RosterEntry } from './derive.js';
import type { CryptoSuite } from './suite.js';

/** In the order of a round; a frame names its type by its place here, from 1. */
export const FRAME_TYPES = [
  'advertise',
  'roster',
  'shares',
  'bundles',
  'masked',
  'survivors',
  'consistency',
  'signatures',
  'unmask',
  'refusal',
] as const;
/** The type of a frame by its name. */
export type FrameType = (typeof FRAME_TYPES)[number];

/** Version, type, and the id of the aggregation. */
export const HEADER_BYTES = 2 + HASH_BYTES;
const NOBODY = 0xffffffff;
const HALF_SHARE_BYTES = SECRET_BYTES / 2;

/** A frame taken apart as far as every frame is alike. */
export interface Frame {
  readonly type: FrameType;
  readonly aggregationId: Uint8Array;
  /** A view into the frame. */
  readonly body: Uint8Array;
}

/** @throws MalformedFrame on another version, an unknown type or a frame shorter than its header */
export function parseFrame(bytes: Uint8Array): Frame {
  const reader = new Reader(bytes.subarray(0, HEADER_BYTES));
  const version = reader.u8();
  if (version !== FRAME_VERSION) throw new MalformedFrame(`version ${version}, expected ${FRAME_VERSION}`);
  const type = FRAME_TYPES[reader.u8() - 1];
  if (type === undefined) throw new MalformedFrame('unknown frame type');
  return { type, aggregationId: reader.raw(HASH_BYTES), body: bytes.subarray(HEADER_BYTES) };
}

function begin(type: FrameType, aggregationId: Uint8Array, bodyBytes: number): Writer {
  const writer = new Writer(HEADER_BYTES + bodyBytes).u8(FRAME_VERSION).u8(FRAME_TYPES.indexOf(type) + 1);
  return writer.raw(aggregationId);
}

/** Length of one sealed bundle: nonce, both half-shares, and what sealing adds. */
export const bundleBytes = (suite: CryptoSuite): number => suite.nonceBytes + SECRET_BYTES + suite.sealOverheadBytes;

/** Client to server: the whole frame. */
export function encodeAdvertise(aggregationId: Uint8Array, advertisement: Advertisement): Uint8Array {
  return writeAdvertisement(begin('advertise', aggregationId, 256), advertisement).done();
}

/** @throws MalformedFrame */
export function decodeAdvertise(body: Uint8Array): Advertisement {
  const reader = new Reader(body);
  const advertisement = readAdvertisement(reader);
  reader.end();
  return advertisement;
}

function writeAdvertisement(writer: Writer, advertisement: Advertisement): Writer {
  const { id, sharePublicKey, maskPublicKey, signature } = advertisement;
  return writer.text(id).raw(sharePublicKey).raw(maskPublicKey).raw(signature);
}

function readAdvertisement(reader: Reader): Advertisement {
  return {
    id: reader.text(LIMIT.idBytes),
    sharePublicKey: reader.raw(KEY_BYTES),
    maskPublicKey: reader.raw(KEY_BYTES),
    signature: reader.raw(SIGNATURE_BYTES),
  };
}

/** The roster as one member gets it: all lines, and of its neighbours the whole advertisements. */
export interface RosterBody {
  readonly degree: number;
  readonly threshold: number;
  readonly ownIndex: number;
  readonly entries: readonly RosterEntry[];
  /** In ascending order of roster indices, which the receiver derives itself. */
  readonly neighbours: readonly Advertisement[];
}

/** An advertisement as it stands in its frame and, once for each neighbour, in roster frames. */
export const encodeAdvertisement = (advertisement: Advertisement): Uint8Array =>
  writeAdvertisement(new Writer(), advertisement).done();

/** The roster's lines as every member receives them: encoded once for all. */
export function encodeEntries(entries: readonly RosterEntry[]): Uint8Array {
  const writer = new Writer((TAG_BYTES + HASH_BYTES) * entries.length);
  for (const { tag, leaf } of entries) writer.raw(tag).raw(leaf);
  return writer.done();
}

/**
 * Server to client. What is equal for all members may be encoded once, by the caller, and given as `lines` and
 * `advertisements`.
 */
export function encodeRoster(
  aggregationId: Uint8Array,
  roster: RosterBody,
  { lines = encodeEntries(roster.entries), advertisements = roster.neighbours.map(encodeAdvertisement) } = {},
): Uint8Array {
  const { degree, threshold, ownIndex, entries } = roster;
  const bodyBytes = advertisements.reduce((sum, { length }) => sum + length, 16 + lines.length);
  const writer = begin('roster', aggregationId, bodyBytes);
  writer.u32(entries.length).u32(degree).u32(threshold).u32(ownIndex).raw(lines);
  for (const advertisement of advertisements) writer.raw(advertisement);
  return writer.done();
}

/** @throws MalformedFrame when it is cut, too long, or beyond the limits on cohort and neighbours */
export function decodeRoster(body: Uint8Array): RosterBody {
  const reader = new Reader(body);
  const [count, degree, threshold, ownIndex] = [reader.u32(), reader.u32(), reader.u32(), reader.u32()];
  if (count > LIMIT.cohort || degree > LIMIT.neighbours || ownIndex >= count) {
    throw new MalformedFrame('roster beyond its limits');
  }
  const entries = Array.from({ length: count }, () => ({ tag: reader.raw(TAG_BYTES), leaf: reader.raw(HASH_BYTES) }));
  const neighbours = Array.from({ length: degree }, () => readAdvertisement(reader));
  reader.end();
  return { degree, threshold, ownIndex, entries, neighbours };
}

/** A body of one set (a bitmap, possibly absent) and equal-sized items: every remaining frame but the masked vector. */
function encodeItems(
  type: FrameType,
  aggregationId: Uint8Array,
  { head, items }: { head: Uint8Array; items: readonly Uint8Array[] },
): Uint8Array {
  const writer = begin(type, aggregationId, head.length + items.length * (items[0]?.length ?? 0)).raw(head);
  for (const item of items) writer.raw(item);
  return writer.done();
}

/** A head of known length, and equal pieces after it. */
export interface Items {
  readonly head: Uint8Array;
  /** The bytes after the head, cut into `itemBytes` pieces. */
  readonly items: readonly Uint8Array[];
}

/** @throws MalformedFrame unless the body is exactly a head and whole items */
function decodeItems(body: Uint8Array, { headBytes, itemBytes }: { headBytes: number; itemBytes: number }): Items {
  const reader = new Reader(body);
  const head = reader.raw(headBytes);
  const count = (body.length - headBytes) / itemBytes;
  if (!Number.isInteger(count)) throw new MalformedFrame(`${body.length} bytes are no whole number of items`);
  return { head, items: Array.from({ length: count }, () => reader.raw(itemBytes)) };
}

const setBytes = (cohort: number): number => Math.ceil(cohort / 8);

/** Client to server: a commitment to the self-mask seed, and a bundle for each neighbour in the order of the roster. */
export const encodeShares = (aggregationId: Uint8Array, commitment: Uint8Array, bundles: readonly Uint8Array[]) =>
  encodeItems('shares', aggregationId, { head: commitment, items: bundles });

/** Server to client: who shared, as a bitmap, and the bundles that are for this client. */
export const encodeBundles = (aggregationId: Uint8Array, included: Uint8Array, bundles: readonly Uint8Array[]) =>
  encodeItems('bundles', aggregationId, { head: included, items: bundles });
/** Head: the bitmap. @throws MalformedFrame when the length is not that of whole bundles */
export const decodeBundles = (suite: CryptoSuite, body: Uint8Array, cohort: number): Items =>
  decodeItems(body, { headBytes: setBytes(cohort), itemBytes: bundleBytes(suite) });

/** The header of the one large frame; the packed vector follows. */
export const encodeMasked = (aggregationId: Uint8Array, packed: Uint8Array): Uint8Array =>
  begin('masked', aggregationId, packed.length).raw(packed).done();

/** Server to client: whose vectors are in the sum, as a bitmap. */
export const encodeSurvivors = (aggregationId: Uint8Array, survivors: Uint8Array): Uint8Array =>
  begin('survivors', aggregationId, survivors.length).raw(survivors).done();
/** The bitmap, copied. @throws MalformedFrame when it is not of this cohort's length */
export function decodeSurvivors(body: Uint8Array, cohort: number): Uint8Array {
  if (body.length !== setBytes(cohort)) throw new MalformedFrame(`set of ${body.length} bytes for ${cohort} clients`);
  return new Uint8Array(body);
}

/** Client to server: its signature over the survivors that it was shown. */
export const encodeConsistency = (aggregationId: Uint8Array, signature: Uint8Array): Uint8Array =>
  begin('consistency', aggregationId, signature.length).raw(signature).done();
/** The signature, copied. @throws MalformedFrame when it is not 64 bytes long */
export function decodeConsistency(body: Uint8Array): Uint8Array {
  if (body.length !== SIGNATURE_BYTES) throw new MalformedFrame(`${body.length} bytes of signature`);
  return new Uint8Array(body);
}

/** Server to client: who signed, as a bitmap, and their signatures in the order of the roster. */
export const encodeSignatures = (aggregationId: Uint8Array, signers: Uint8Array, signatures: readonly Uint8Array[]) =>
  encodeItems('signatures', aggregationId, { head: signers, items: signatures });
/** Head: the bitmap. @throws MalformedFrame */
export const decodeSignatures = (body: Uint8Array, cohort: number): Items =>
  decodeItems(body, { headBytes: setBytes(cohort), itemBytes: SIGNATURE_BYTES });

/** Client to server: half a share of each sharing neighbour, in the order of the roster. */
export const encodeUnmask = (aggregationId: Uint8Array, halfShares: readonly Uint8Array[]): Uint8Array =>
  encodeItems('unmask', aggregationId, { head: new Uint8Array(0), items: halfShares });
/** The half-shares. @throws MalformedFrame when the length is not that of whole ones */
export const decodeUnmask = (body: Uint8Array): readonly Uint8Array[] =>
  decodeItems(body, { headBytes: 0, itemBytes: HALF_SHARE_BYTES }).items;

/** Client to server: it leaves, why, and which roster index it blames, if any. */
export const encodeRefusal = (aggregationId: Uint8Array, reason: RefusalReason, culprit = NOBODY): Uint8Array =>
  begin('refusal', aggregationId, 5).u8(REFUSAL_REASONS.indexOf(reason)).u32(culprit).done();

/** @throws MalformedFrame when the reason is none that this version knows */
export function decodeRefusal(body: Uint8Array): { reason: RefusalReason; culprit: number | undefined } {
  const reader = new Reader(body);
  const reason = REFUSAL_REASONS[reader.u8()];
  const culprit = reader.u32();
  reader.end();
  if (reason === undefined) throw new MalformedFrame('unknown refusal');
  return { reason, culprit: culprit === NOBODY ? undefined : culprit };
}
