/**
 * Who signed what: Ed25519 keys (RFC 8032) and the bytes that are signed.
 *
 * A signed object is canonical JSON behind a label that says what kind of object it is, so no signature is valid for two
 * purposes.
 */
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  hash,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { fromHex, toHex } from '../hex.js';
import { canonicalJson } from './canonical-json.js';
import type { HandOver } from './hand-over.js';
import { isStrictEd25519Key, isStrictSignature } from './strict.js';

/** RFC 8410 DER: what stands before a 32-byte private key. */
const PKCS8_PREFIX = fromHex('302e020100300506032b657004220420');

/** What a signature may be for. */
export type SignedKind =
  | 'plan'
  | 'task'
  | 'noise'
  | 'receipt'
  | 'receipts'
  | 'update'
  | 'challenge'
  | 'session'
  | 'decline'
  | 'evaluation'
  | 'identification'
  | 'enrolment'
  | 'renewal'
  | 'client-hand-over'
  | 'coordinator-hand-over'
  | 'addresses'
  | 'ledger'
  | 'ledger-head'
  | 'privacy-charge'
  | 'site-log'
  | 'security-log'
  | 'site-policy';

/** Who signs with Ed25519. The private key stays inside. */
export interface Identity {
  /** 32 bytes. */
  readonly publicKey: Uint8Array;
  /** 64 bytes. */
  sign(message: Uint8Array): Uint8Array;
  /** How its owner came to this key, oldest first; absent: it is the first one. */
  readonly handOvers?: readonly HandOver[];
}

/** An identity from its 32-byte private seed. @throws RangeError for another length */
export function identityFromSeed(seed: Uint8Array): Identity {
  if (seed.length !== 32) throw new RangeError(`seed: expected 32 bytes, got ${seed.length}`);
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  const { x } = createPublicKey(key).export({ format: 'jwk' });
  const publicKey = Uint8Array.from(Buffer.from(x!, 'base64url'));
  return { publicKey, sign: (message) => new Uint8Array(sign(null, message, key)) };
}

/** The public keys of an identity and of those before it, hex, the newest first. */
export function allKeysOf({ publicKey, handOvers = [] }: Identity): string[] {
  return [toHex(publicKey), ...handOvers.map(({ from }) => from).reverse()];
}

/** The private key of {@link identityFromSeed}, PKCS #8 PEM, for TLS. */
export function keyPemOf(seed: Uint8Array): string {
  const key = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

/** 32 fresh bytes for {@link identityFromSeed}. */
export function newIdentitySeed(): Uint8Array {
  const { privateKey } = generateKeyPairSync('ed25519');
  const der = privateKey.export({ format: 'der', type: 'pkcs8' });
  return new Uint8Array(der.subarray(PKCS8_PREFIX.length));
}

/**
 * Whether `signature` is `publicKey`'s over `message`; false for keys and signatures that shared/signing/strict.ts refuses,
 * and for a key that is no point of the curve.
 */
export function verifySignature(publicKey: Uint8Array, message: Uint8Array, signature: Uint8Array): boolean {
  const key = keyObjectOf(publicKey);
  return key !== undefined && isStrictSignature(signature) && verify(null, message, key, signature);
}

/** Reading a key costs as much as verifying with it, and the same few are used again and again. */
const keyObjects = new WeakMap<Uint8Array, KeyObject>();

function keyObjectOf(publicKey: Uint8Array): KeyObject | undefined {
  let key = keyObjects.get(publicKey);
  if (key === undefined) {
    if (!isStrictEd25519Key(publicKey)) return undefined;
    const x = Buffer.from(publicKey).toString('base64url'); // RFC 8037; read in a tenth of the time that DER takes
    key = createPublicKey({ key: { kty: 'OKP', crv: 'Ed25519', x }, format: 'jwk' });
    keyObjects.set(publicKey, key);
  }
  return key;
}

/** The bytes that are signed for `value`, a JSON value. @throws RangeError for a number that is not finite */
export function signedBytes(kind: SignedKind, value: unknown): Uint8Array {
  const label = kind === 'privacy-charge' ? 'starling/privacy-ledger/v1' : `starling/v1/${kind}`; // as it was first written
  return new TextEncoder().encode(`${label}\n${canonicalJson(value)}`);
}

/** Lower-case hex SHA-256. */
export function sha256Hex(bytes: Uint8Array | string): string {
  return hash('sha256', bytes, 'hex');
}
