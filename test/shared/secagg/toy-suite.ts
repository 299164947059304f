/**
 * A suite with real hashing, sealing and masks but public-key operations that anybody could forge: agreement is the hash of
 * both public keys, a signature the hash of key and message. Thousands of schedules of the machines need their logic, not
 * their mathematics; never anything else.
 */
import { compareBytes, concat, equalBytes } from '../../../shared/secagg/codec.js';
import type { CryptoSuite } from '../../../shared/secagg/suite.js';
import { nodeSuite } from '../../../shared/secagg/suites/node.js';

const { hash } = nodeSuite;

/** The top bit cleared, so that the key passes for a canonical X25519 one. */
function publicKeyOf(secret: Uint8Array): Uint8Array {
  const key = hash(secret);
  return key.with(31, key[31] & 0x3f);
}

const signature = (publicKey: Uint8Array, message: Uint8Array): Uint8Array => {
  const digest = hash(publicKey, message);
  return concat(digest, digest);
};

export const toySuite: CryptoSuite = {
  ...nodeSuite,
  hkdf: ({ ikm, salt, info }) => hash(ikm, salt, info),
  x25519PublicKey: publicKeyOf,
  x25519(secret) {
    const own = publicKeyOf(secret);
    return (peer) => (compareBytes(own, peer) < 0 ? hash(own, peer) : hash(peer, own));
  },
  ed25519PublicKey: publicKeyOf,
  signer(seed) {
    const key = publicKeyOf(seed);
    return (message) => signature(key, message);
  },
  verify: ({ publicKey, message, signature: given }) => equalBytes(signature(publicKey, message), given),
};
