/**
 * The one random generator of Starling: the AES-256-CTR keystream under a key derived by HKDF-SHA256 from a seed and a
 * label (SP 800-90A's CTR construction without reseeding; HKDF: RFC 5869).
 *
 * A simulation fixes the seed and is reproducible to the bit; a real run takes 32 fresh bytes. Generators are *split* by
 * label (per round, per client), never shared, so the order in which clients run cannot change what they draw.
 */
import { createCipheriv, hkdfSync, randomBytes } from 'node:crypto';

const BLOCK_BYTES = 16_384;
/** Encrypted, they are the keystream. */
const ZEROS = new Uint8Array(BLOCK_BYTES);

/** Randomness as an argument. Equal seeds give equal draws; a split is independent of all others. */
export interface Rng {
  /** A generator independent of this one and of every other label; does not advance this one. */
  split(label: string): Rng;
  /** `length` uniform bytes, a fresh array that the caller owns. */
  bytes(length: number): Uint8Array;
  /** Overwrites `out` with the bytes that `bytes(out.length)` would return. */
  fill(out: Uint8Array): void;
  /** Uniform in [0, 2^32). */
  u32(): number;
  /** Uniform in [0, 1) with 53 random bits. */
  uniform(): number;
  /** Uniform integer in [0, bound), without modulo bias. */
  below(bound: number): number;
  /** Standard normal (Box–Muller, one of the pair). For model initialisation and data, never for privacy noise. */
  normal(): number;
  /** Shuffles in place (Fisher–Yates) and returns the same array. */
  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T;
}

/** A reproducible generator: equal seeds give equal streams. `seed` is a safe integer (0 is a seed like any other). */
export function rngFromSeed(seed: number): Rng {
  if (!Number.isSafeInteger(seed)) throw new RangeError(`rngSeed: expected a safe integer, got ${seed}`);
  const key = new Uint8Array(8);
  new DataView(key.buffer).setBigInt64(0, BigInt(seed));
  return new KeystreamRng(derive(key, 'root'));
}

/** A generator over `key` (at least 16 bytes of entropy, from a key agreement or the operating system). */
export function rngFromKey(key: Uint8Array, label: string): Rng {
  if (key.length < 16) throw new RangeError(`key: expected at least 16 bytes, got ${key.length}`);
  return new KeystreamRng(derive(key, label));
}

/** A generator that nobody can reproduce: 32 bytes from the operating system. */
export function rngFromEntropy(): Rng {
  return new KeystreamRng(randomBytes(32));
}

function derive(key: Uint8Array, label: string): Uint8Array {
  return new Uint8Array(hkdfSync('sha256', key, new Uint8Array(0), `starling/rng/v1/${label}`, 32));
}

class KeystreamRng implements Rng {
  readonly #key: Uint8Array;
  readonly #cipher;
  #block = new Uint8Array(0);
  #words = new DataView(this.#block.buffer);
  #position = 0;

  constructor(key: Uint8Array) {
    this.#key = key;
    this.#cipher = createCipheriv('aes-256-ctr', key, new Uint8Array(16));
  }

  split(label: string): Rng {
    return new KeystreamRng(derive(this.#key, label));
  }

  /** The first block is small: most generators of a simulation draw a few numbers and are dropped. */
  #refill(): void {
    const sizeBytes = this.#block.length === 0 ? 512 : BLOCK_BYTES;
    this.#block = this.#cipher.update(ZEROS.subarray(0, sizeBytes));
    this.#words = new DataView(this.#block.buffer, this.#block.byteOffset, this.#block.byteLength);
    this.#position = 0;
  }

  bytes(length: number): Uint8Array {
    const out = new Uint8Array(length);
    this.fill(out);
    return out;
  }

  fill(out: Uint8Array): void {
    for (let filled = 0; filled < out.length; ) {
      if (this.#position >= this.#block.length) this.#refill();
      const part = this.#block.subarray(this.#position, this.#position + out.length - filled);
      out.set(part, filled);
      filled += part.length;
      this.#position += part.length;
    }
  }

  u32(): number {
    if (this.#position + 4 > this.#block.length) this.#refill();
    const word = this.#words.getUint32(this.#position, true);
    this.#position += 4;
    return word;
  }

  uniform(): number {
    const high = this.u32() >>> 5;
    const low = this.u32() >>> 6;
    return (high * 67_108_864 + low) / 9_007_199_254_740_992; // 27 + 26 bits over 2^53
  }

  below(bound: number): number {
    if (!Number.isInteger(bound) || bound < 1 || bound > 2 ** 32) {
      throw new RangeError(`bound: expected an integer in 1..2^32, got ${bound}`);
    }
    const limit = 2 ** 32 - (2 ** 32 % bound); // words at or above it would favour small results
    let word = this.u32();
    while (word >= limit) word = this.u32();
    return word % bound;
  }

  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  shuffle<T extends { length: number; [index: number]: unknown }>(items: T): T {
    for (let i = items.length - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const held = items[i];
      items[i] = items[j];
      items[j] = held;
    }
    return items;
  }
}
