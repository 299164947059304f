/**
 * Public keys that nobody may be known by: encodings that are not canonical, points of low order (a signature under one
 * fits any message, a secret agreed with one is a constant), and Ed25519 scalars S >= L. Refused here before a library
 * sees them, because libraries differ (RFC 8032 section 5.1.7; RFC 7748 section 6.1; https://cr.yp.to/ecdh.html#validate;
 * "Taming the many EdDSAs", Chalkias, Garillot, Nikolaenko 2020, https://eprint.iacr.org/2020/1244).
 */
import { FlError } from '../errors.js';
import { fromHex, toHex } from '../hex.js';

const KEY_BYTES = 32;
const SIGNATURE_BYTES = 64;

/** 2^255 - 19 and the group order L, big-endian for comparison. */
const FIELD_PRIME = fromHex('7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffed');
const GROUP_ORDER = fromHex('1000000000000000000000000000000014def9dea2f79cd65812631a5cf5d3ed');

/** y coordinates (canonical, sign bit cleared) of the points of order 1, 2, 4 and 8 of edwards25519. */
const LOW_ORDER_Y = new Set([
  '0100000000000000000000000000000000000000000000000000000000000000', // order 1
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', // order 2
  '0000000000000000000000000000000000000000000000000000000000000000', // order 4
  '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', // order 8
  'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', // order 8
]);

/** u coordinates (canonical) of the points of order 1, 2, 4 and 8 of curve25519 and its twist. */
const LOW_ORDER_U = new Set([
  '0000000000000000000000000000000000000000000000000000000000000000', // order 1, 2
  '0100000000000000000000000000000000000000000000000000000000000000', // order 4
  'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f', // order 4, on the twist
  'e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800', // order 8
  '5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157', // order 8
]);

/** A canonical X25519 public key that is not of low order. */
export function isStrictX25519Key(publicKey: Uint8Array): boolean {
  return publicKey.length === KEY_BYTES && isBelow(publicKey, FIELD_PRIME) && !LOW_ORDER_U.has(toHex(publicKey));
}

/**
 * Looks at every byte, whatever the first ones are. Such an X25519 output says that the other key was of small order.
 */
export function isAllZero(bytes: Uint8Array): boolean {
  let any = 0;
  for (const byte of bytes) any |= byte;
  return any === 0;
}

/** A canonical Ed25519 public key that is not of low order; that it is on the curve is left to the library. */
export function isStrictEd25519Key(publicKey: Uint8Array): boolean {
  if (publicKey.length !== KEY_BYTES) return false;
  const y = new Uint8Array(publicKey);
  y[31] &= 0x7f;
  return isBelow(y, FIELD_PRIME) && !LOW_ORDER_Y.has(toHex(y));
}

/** The key itself. @throws FlError invalid-argument naming the field, for a key that {@link isStrictEd25519Key} refuses */
export function checkEd25519Key(field: string, publicKey: Uint8Array): Uint8Array {
  if (isStrictEd25519Key(publicKey)) return publicKey;
  const expected = 'an Ed25519 key of 32 bytes, canonical and not of low order';
  throw new FlError('invalid-argument', `${field}: expected ${expected}, got ${toHex(publicKey.subarray(0, 32))}`);
}

/** A 64-byte signature R || S with S < L. */
export function isStrictSignature(signature: Uint8Array): boolean {
  return signature.length === SIGNATURE_BYTES && isBelow(signature.subarray(32), GROUP_ORDER);
}

/** @param number little-endian; @param bound big-endian, of the same length */
function isBelow(number: Uint8Array, bound: Uint8Array): boolean {
  return Buffer.compare(number.toReversed(), bound) < 0;
}
