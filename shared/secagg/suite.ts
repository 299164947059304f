/**
 * The cryptography of secure aggregation behind one interface, with two implementations: `node:crypto` (OpenSSL, the
 * default) and `tweetnacl` (portable, for places without `node:crypto`). X25519 keys and Ed25519 signatures are the same
 * in both; hash, key derivation, sealing and keystream are not, so a cohort runs one suite and its id is part of the
 * parameters that everybody hashes.
 *
 * All functions are deterministic; whoever calls them brings the randomness. Byte arrays are never kept or changed.
 */

/** Node's own cryptography, or tweetnacl's. */
export type SuiteId = 'node' | 'nacl';

/** All the cryptography that the protocol uses. A cohort agrees on one suite: two do not understand each other. */
export interface CryptoSuite {
  readonly id: SuiteId;
  /** Bytes that {@link seal} needs as nonce, and by how much it lengthens a message. */
  readonly nonceBytes: number;
  readonly sealOverheadBytes: number;

  /** 32-byte digest of the parts one after the other; callers see to it that the split is unambiguous. */
  hash(...parts: readonly Uint8Array[]): Uint8Array;
  /** HKDF (RFC 5869) with the suite's hash; `info` is bound to the output. */
  hkdf(options: HkdfInput): Uint8Array;

  /** The X25519 public key of a 32-byte secret. */
  x25519PublicKey(secretKey: Uint8Array): Uint8Array;
  /**
   * X25519 with one secret against many public keys. The returned function gives `undefined` for a public key that is not
   * canonical or of low order (RFC 7748 section 6.1: the all-zero output), which the caller must treat as hostile.
   */
  x25519(secretKey: Uint8Array): (publicKey: Uint8Array) => Uint8Array | undefined;

  /** The Ed25519 public key of a 32-byte seed. */
  ed25519PublicKey(signingSeed: Uint8Array): Uint8Array;
  /** Ed25519 (RFC 8032, pure) with one seed over many messages. */
  signer(signingSeed: Uint8Array): (message: Uint8Array) => Uint8Array;
  /** Strict verification: S < L, canonical points, no low-order key; false for anything else, never throws. */
  verify(input: { publicKey: Uint8Array; message: Uint8Array; signature: Uint8Array }): boolean;

  /** Authenticated encryption with associated data; a (key, nonce) pair must never repeat. */
  seal(input: SealInput): Uint8Array;
  /** The plaintext, or `undefined` if anything at all was changed. */
  open(input: SealInput): Uint8Array | undefined;

  /** The keystream of a 32-byte key from chunk `firstChunk` on (chunks of CHUNK_BYTES), for masks and random rounding. */
  keystream(key: Uint8Array, firstChunk?: number): Keystream;
}

/** Of {@link CryptoSuite.hkdf}. */
export interface HkdfInput {
  readonly ikm: Uint8Array;
  readonly salt: Uint8Array;
  readonly info: Uint8Array;
  readonly sizeBytes: number;
}

/** Of {@link CryptoSuite.seal}; a nonce is used once under a key. */
export interface SealInput {
  readonly key: Uint8Array;
  readonly nonce: Uint8Array;
  readonly message: Uint8Array;
  readonly associatedData: Uint8Array;
}

/** Pseudo-random bytes under one key, from a place on. */
export interface Keystream {
  /** The next `sizeBytes` (at most CHUNK_BYTES; only the last call may ask for less), valid until the next call. */
  next(sizeBytes: number): Uint8Array;
}
