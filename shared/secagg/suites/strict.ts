/**
 * What both suites refuse before a library sees it, because OpenSSL and tweetnacl differ there: encodings that are not
 * canonical, points of low order, and Ed25519 scalars S >= L (RFC 8032 section 5.1.7; "Taming the many EdDSAs",
 * Chalkias, Garillot, Nikolaenko 2020, https://eprint.iacr.org/2020/1244).
 */
import { fromHex, toHex } from '../../hex.js';
import { compareBytes } from '../codec.js';
import { KEY_BYTES, SIGNATURE_BYTES } from '../constants.js';

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

/** A 32-byte little-endian u coordinate below 2^255 - 19. */
export function isCanonicalX25519(publicKey: Uint8Array): boolean {
  return publicKey.length === KEY_BYTES && compareBytes(publicKey.toReversed(), FIELD_PRIME) < 0;
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
  return compareBytes(y.toReversed(), FIELD_PRIME) < 0 && !LOW_ORDER_Y.has(toHex(y));
}

/** A 64-byte signature R || S with S < L. */
export function isStrictSignature(signature: Uint8Array): boolean {
  return signature.length === SIGNATURE_BYTES && compareBytes(signature.subarray(32).toReversed(), GROUP_ORDER) < 0;
}
