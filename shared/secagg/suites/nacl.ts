/**
 * The portable suite on `tweetnacl` alone (TweetNaCl, Bernstein et al. 2014, https://tweetnacl.cr.yp.to): X25519, Ed25519,
 * SHA-512 cut to 32 bytes, HKDF-SHA512, XSalsa20-Poly1305, XSalsa20 keystream. Pure JavaScript: 18 times slower key
 * agreement and 80 times slower verification than OpenSSL; for browsers and as a cross-check, not for speed.
 *
 * Secretbox takes no associated data, so it goes into the key: each box is sealed under HKDF(key, associated data).
 */
import nacl from 'tweetnacl';
import { isAllZero, isStrictEd25519Key, isStrictSignature, isStrictX25519Key } from '../../signing/strict.js';
import { concat } from '../codec.js';
import { CHUNK_BYTES, HASH_BYTES } from '../constants.js';
import type { CryptoSuite, HkdfInput, SealInput } from '../suite.js';

const HASH_BLOCK_BYTES = 128; // SHA-512
const ZEROS = new Uint8Array(CHUNK_BYTES);

/** The portable suite: runs where there is no `node:crypto`, ten to eighty times slower. */
export const naclSuite: CryptoSuite = {
  id: 'nacl',
  nonceBytes: nacl.secretbox.nonceLength,
  sealOverheadBytes: nacl.secretbox.overheadLength,

  hash: (...parts) => nacl.hash(concat(...parts)).slice(0, HASH_BYTES),
  hkdf: hkdfSha512,

  x25519PublicKey: (secretKey) => nacl.scalarMult.base(secretKey),
  x25519: (secretKey) => (peer) => {
    if (!isStrictX25519Key(peer)) return undefined;
    const secret = nacl.scalarMult(secretKey, peer);
    return isAllZero(secret) ? undefined : secret;
  },

  ed25519PublicKey: (signingSeed) => nacl.sign.keyPair.fromSeed(signingSeed).publicKey,
  signer(signingSeed) {
    const { secretKey } = nacl.sign.keyPair.fromSeed(signingSeed);
    return (message) => nacl.sign.detached(message, secretKey);
  },
  verify: ({ publicKey, message, signature }) =>
    isStrictEd25519Key(publicKey) &&
    isStrictSignature(signature) &&
    nacl.sign.detached.verify(message, signature, publicKey),

  seal: (input) => nacl.secretbox(input.message, input.nonce, boxKey(input)),
  open: (input) => nacl.secretbox.open(input.message, input.nonce, boxKey(input)) ?? undefined,

  keystream(key, firstChunk = 0) {
    const nonce = new Uint8Array(nacl.secretbox.nonceLength);
    let chunk = firstChunk;
    return {
      next(sizeBytes) {
        new DataView(nonce.buffer).setUint32(0, chunk++);
        // A box of zeros is its keystream behind the authenticator.
        return nacl.secretbox(ZEROS.subarray(0, sizeBytes), nonce, key).subarray(nacl.secretbox.overheadLength);
      },
    };
  },
};

const boxKey = ({ key, associatedData }: SealInput): Uint8Array =>
  hkdfSha512({ ikm: key, salt: new Uint8Array(0), info: nacl.hash(associatedData), sizeBytes: 32 });

/** HMAC-SHA512 (RFC 2104). */
export function hmacSha512(key: Uint8Array, message: Uint8Array): Uint8Array {
  const block = new Uint8Array(HASH_BLOCK_BYTES);
  block.set(key.length > HASH_BLOCK_BYTES ? nacl.hash(key) : key);
  const inner = nacl.hash(
    concat(
      block.map((b) => b ^ 0x36),
      message,
    ),
  );
  return nacl.hash(
    concat(
      block.map((b) => b ^ 0x5c),
      inner,
    ),
  );
}

/** HKDF-SHA512 (RFC 5869). */
export function hkdfSha512({ ikm, salt, info, sizeBytes }: HkdfInput): Uint8Array {
  const prk = hmacSha512(salt, ikm);
  const out = new Uint8Array(sizeBytes);
  let block = new Uint8Array(0);
  for (let filled = 0, i = 1; filled < sizeBytes; filled += block.length, i++) {
    block = new Uint8Array(hmacSha512(prk, concat(block, info, Uint8Array.of(i))));
    out.set(block.subarray(0, sizeBytes - filled), filled);
  }
  return out;
}
