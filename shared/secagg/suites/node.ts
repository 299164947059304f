/**
 * The default suite on `node:crypto`: SHA-256, HKDF-SHA256, X25519 (RFC 7748), Ed25519 (RFC 8032), AES-256-GCM
 * (SP 800-38D) and AES-256-CTR (SP 800-38A).
 *
 * Raw keys are imported as JWK: OpenSSL then skips its DER decoder, which costs ten times the import (7 against 74 us
 * for a public key, 36 against 365 us for a private one, Node 20). A private key where JWK does not do goes in as DER.
 */
import {
  createCipheriv,
  createDecipheriv,
  createHash,
  createHmac,
  createPrivateKey,
  createPublicKey,
  diffieHellman,
  type KeyObject,
  sign,
  verify,
} from 'node:crypto';
import { isAllZero, isStrictEd25519Key, isStrictSignature, isStrictX25519Key } from '../../signing/strict.js';
import { CHUNK_BYTES, KEY_BYTES } from '../constants.js';
import type { CryptoSuite, HkdfInput, Keystream, SealInput } from '../suite.js';

const HASH = 'sha256';
const TAG_SIZE_BYTES = 16;
const ZEROS = new Uint8Array(CHUNK_BYTES);

/** The suite of a real run: `node:crypto`. */
export const nodeSuite: CryptoSuite = {
  id: 'node',
  nonceBytes: 12,
  sealOverheadBytes: TAG_SIZE_BYTES,

  hash(...parts) {
    const hash = createHash(HASH);
    for (const part of parts) hash.update(part);
    return plain(hash.digest());
  },
  hkdf: hkdfSha256,

  x25519PublicKey: (secretKey) => rawPublicKey(createPublicKey(privateKey('X25519', secretKey))),
  x25519(secretKey) {
    const key = privateKey('X25519', secretKey);
    return (peer) => {
      if (!isStrictX25519Key(peer)) return undefined;
      try {
        const secret = plain(diffieHellman({ privateKey: key, publicKey: publicKey('X25519', peer) }));
        return isAllZero(secret) ? undefined : secret;
      } catch {
        return undefined; // OpenSSL itself refuses an all-zero result
      }
    };
  },

  ed25519PublicKey: (signingSeed) => rawPublicKey(createPublicKey(privateKey('Ed25519', signingSeed))),
  signer(signingSeed) {
    const key = privateKey('Ed25519', signingSeed);
    return (message) => plain(sign(null, message, key));
  },
  verify({ publicKey: key, message, signature }) {
    if (!isStrictEd25519Key(key) || !isStrictSignature(signature)) return false;
    try {
      return verify(null, message, publicKey('Ed25519', key), signature);
    } catch {
      return false; // not a point of the curve
    }
  },

  seal({ key, nonce, message, associatedData }) {
    const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_SIZE_BYTES });
    cipher.setAAD(associatedData);
    const out = new Uint8Array(message.length + TAG_SIZE_BYTES);
    out.set(cipher.update(message));
    cipher.final();
    out.set(cipher.getAuthTag(), message.length);
    return out;
  },
  open: openGcm,

  keystream(key, firstChunk = 0) {
    const counter = new Uint8Array(16); // a 128-bit big-endian block counter, as SP 800-38A appendix B.1 steps it
    new DataView(counter.buffer).setBigUint64(8, BigInt(firstChunk * (CHUNK_BYTES / 16)));
    return aes256Ctr(key, counter);
  },
};

/** AES-256-CTR keystream from a 16-byte initial counter block. */
export function aes256Ctr(key: Uint8Array, counterBlock: Uint8Array): Keystream {
  const cipher = createCipheriv('aes-256-ctr', key, counterBlock);
  return { next: (sizeBytes) => cipher.update(ZEROS.subarray(0, sizeBytes)) };
}

/** HKDF as two HMAC steps: half the cost of `hkdfSync`, whose set-up dominates at 32 bytes of output. */
function hkdfSha256({ ikm, salt, info, sizeBytes }: HkdfInput): Uint8Array {
  const prk = createHmac(HASH, salt).update(ikm).digest();
  const out = new Uint8Array(sizeBytes);
  let block = Buffer.alloc(0);
  for (let filled = 0, i = 1; filled < sizeBytes; filled += block.length, i++) {
    block = createHmac(HASH, prk).update(block).update(info).update(Uint8Array.of(i)).digest();
    out.set(block.subarray(0, sizeBytes - filled), filled);
  }
  return out;
}

function openGcm({ key, nonce, message, associatedData }: SealInput): Uint8Array | undefined {
  if (message.length < TAG_SIZE_BYTES) return undefined;
  const bodyBytes = message.length - TAG_SIZE_BYTES;
  const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: TAG_SIZE_BYTES });
  decipher.setAAD(associatedData);
  decipher.setAuthTag(message.subarray(bodyBytes));
  const body = decipher.update(message.subarray(0, bodyBytes));
  try {
    decipher.final();
  } catch {
    return undefined;
  }
  return plain(body);
}

function privateKey(curve: 'X25519' | 'Ed25519', secret: Uint8Array): KeyObject {
  if (secret.length !== KEY_BYTES)
    throw new RangeError(`secret key: expected ${KEY_BYTES} bytes, got ${secret.length}`);
  return takesAnyPublicPart ? fromJwk(curve, secret) : fromDer(curve, secret);
}

/** Node 20 and 22 derive the public part from `d`: `x` must only be there and well-formed. */
function fromJwk(curve: 'X25519' | 'Ed25519', secret: Uint8Array): KeyObject {
  const jwk = { kty: 'OKP', crv: curve, d: base64url(secret), x: base64url(new Uint8Array(KEY_BYTES)) };
  return createPrivateKey({ key: jwk, format: 'jwk' });
}

/** PKCS #8 up to the key itself (RFC 8410, section 7): object identifiers 1.3.101.110 and 1.3.101.112. */
const DER_BEFORE = {
  X25519: Buffer.from('302e020100300506032b656e04220420', 'hex'),
  Ed25519: Buffer.from('302e020100300506032b657004220420', 'hex'),
} as const;

function fromDer(curve: 'X25519' | 'Ed25519', secret: Uint8Array): KeyObject {
  return createPrivateKey({ key: Buffer.concat([DER_BEFORE[curve], secret]), format: 'der', type: 'pkcs8' });
}

/** Node 24 compares `x` with `d`; its OpenSSL decodes DER as fast as JWK is read. */
const takesAnyPublicPart = (() => {
  try {
    return fromJwk('X25519', Uint8Array.of(1, ...new Uint8Array(KEY_BYTES - 1))) !== undefined;
  } catch {
    return false;
  }
})();

function publicKey(curve: 'X25519' | 'Ed25519', raw: Uint8Array): KeyObject {
  return createPublicKey({ key: { kty: 'OKP', crv: curve, x: base64url(raw) }, format: 'jwk' });
}

const rawPublicKey = (key: KeyObject): Uint8Array => plain(Buffer.from(key.export({ format: 'jwk' }).x!, 'base64url'));

const base64url = (bytes: Uint8Array): string =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url');

/** A Uint8Array that is no Buffer: structural equality and `slice` behave the same in both suites. */
const plain = (buffer: Buffer): Uint8Array => new Uint8Array(buffer);
