/**
 * A secret under a passphrase: scrypt (RFC 7914) makes a key of it, AES-256-GCM seals. A sealed file is
 *
 *     "starling-sealed/1\n" | log2 N, r, p: 1 byte each | salt 16 | check 16 | nonce 12 | ciphertext | tag 16
 *
 * where the key is scrypt(passphrase, salt), 64 bytes: 32 for AES, and 32 that sign the salt to `check` (HMAC-SHA-256, its
 * first half). By the check a wrong passphrase is told from a damaged file, and a file opens under one key only. All before
 * the nonce, and the name of what is sealed, are authenticated too: one sealed file does not pass for another.
 */
import { createCipheriv, createDecipheriv, createHmac, randomBytes, scryptSync, timingSafeEqual } from 'node:crypto';

const MAGIC = Buffer.from('starling-sealed/1\n');
/** 32 MiB and about 0.2 s, three times over: OWASP's figures for scrypt where memory counts. */
const COST = { logN: 15, r: 8, p: 3 };
/** A file asks for no more. */
const MOST = { logN: 20, r: 16, p: 16 };
const [SALT, CHECK, NONCE, TAG] = [16, 16, 12, 16];
const CHECK_AT = MAGIC.length + 3 + SALT;
const NONCE_AT = CHECK_AT + CHECK;
const SEALED_AT = NONCE_AT + NONCE;

/** Why a sealed file does not open. */
export type SealFault = 'another-key' | 'damaged';

/** Seals and opens under one passphrase. scrypt is run once for each salt. */
export interface Sealer {
  /** @param name of what is sealed: it opens under this name only */
  seal(name: string, secret: Uint8Array): Uint8Array;
  open(name: string, sealed: Uint8Array): Uint8Array | SealFault;
}

/** Whether these bytes are a sealed file, or the begin of one. */
export function isSealed(bytes: Uint8Array): boolean {
  return bytes.length > 0 && MAGIC.subarray(0, bytes.length).equals(bytes.subarray(0, MAGIC.length));
}

/** By a passphrase of at least one byte; a file of random bytes is one. */
export function sealerOf(passphrase: Uint8Array): Sealer {
  const keys = new Map<string, ReturnType<typeof derive>>();
  /** Everything before the check: cost and salt. */
  const keyOf = (begin: Uint8Array) => {
    const known = keys.get(Buffer.from(begin).toString('hex'));
    if (known !== undefined) return known;
    const derived = derive(passphrase, begin);
    keys.set(Buffer.from(begin).toString('hex'), derived);
    return derived;
  };
  const fresh = Buffer.concat([MAGIC, Buffer.from([COST.logN, COST.r, COST.p]), randomBytes(SALT)]);
  return {
    seal(name, secret) {
      const { key, check } = keyOf(fresh);
      const head = Buffer.concat([fresh, check]);
      const nonce = randomBytes(NONCE);
      const cipher = createCipheriv('aes-256-gcm', key, nonce).setAAD(aad(head, name));
      return Buffer.concat([head, nonce, cipher.update(secret), cipher.final(), cipher.getAuthTag()]);
    },
    open(name, sealed) {
      const file = Buffer.from(sealed);
      const [logN, r, p] = file.subarray(MAGIC.length);
      if (file.length < SEALED_AT + TAG) return 'damaged';
      if (!(logN >= 1 && logN <= MOST.logN && r >= 1 && r <= MOST.r && p >= 1 && p <= MOST.p)) return 'damaged';
      const { key, check } = keyOf(file.subarray(0, CHECK_AT));
      if (!timingSafeEqual(check, file.subarray(CHECK_AT, NONCE_AT))) return 'another-key';
      const decipher = createDecipheriv('aes-256-gcm', key, file.subarray(NONCE_AT, SEALED_AT))
        .setAAD(aad(file.subarray(0, NONCE_AT), name))
        .setAuthTag(file.subarray(-TAG));
      try {
        return new Uint8Array(Buffer.concat([decipher.update(file.subarray(SEALED_AT, -TAG)), decipher.final()]));
      } catch {
        return 'damaged';
      }
    },
  };
}

function derive(passphrase: Uint8Array, begin: Uint8Array): { key: Buffer; check: Buffer } {
  const [logN, r, p] = begin.subarray(MAGIC.length);
  const salt = begin.subarray(MAGIC.length + 3);
  const N = 2 ** logN;
  const both = scryptSync(passphrase, salt, 64, { N, r, p, maxmem: 256 * N * r });
  const check = createHmac('sha256', both.subarray(32)).update(begin).digest().subarray(0, CHECK);
  return { key: both.subarray(0, 32), check };
}

function aad(head: Uint8Array, name: string): Buffer {
  return Buffer.concat([head, Buffer.from(name)]);
}
