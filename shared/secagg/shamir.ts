/**
 * Shamir's secret sharing (Shamir, How to share a secret, 1979) of 64-byte secrets over GF(2^16), 32 words at a time:
 * any `threshold` shares give the secret, fewer say nothing about it. Words are little-endian; share j belongs to the
 * point x = j + 1, which is a holder's rank and is never chosen by the dealer or the server.
 */
import type { Rng } from '../rng.js';
import { LIMIT, SECRET_BYTES } from './constants.js';
import { lagrangeAtZero, tables } from './field.js';
import type { Kernel } from './kernel.js';

/** A piece of a secret over GF(2^16), as long as the secret. */
export interface Share {
  /** The holder's point, 1 to 65535. */
  readonly x: number;
  readonly bytes: Uint8Array;
}

/**
 * One share of `secret` (64 bytes) per holder, in the order of their points 1..holders.
 * @throws RangeError unless 1 <= threshold <= holders within the limits
 */
export function splitSecret(
  kernel: Kernel,
  rng: Rng,
  { secret, threshold, holders }: { secret: Uint8Array; threshold: number; holders: number },
): Uint8Array[] {
  if (secret.length !== SECRET_BYTES)
    throw new RangeError(`secret: expected ${SECRET_BYTES} bytes, got ${secret.length}`);
  if (!(threshold >= 1 && threshold <= holders && threshold <= LIMIT.neighbours && holders <= LIMIT.cohort)) {
    throw new RangeError(`threshold: expected 1..holders (${holders}), got ${threshold}`);
  }
  const coefficients = new Uint8Array(threshold * SECRET_BYTES);
  coefficients.set(secret);
  coefficients.set(rng.bytes((threshold - 1) * SECRET_BYTES), SECRET_BYTES);
  const all = kernel.shares(coefficients, holders);
  coefficients.fill(0);
  return Array.from({ length: holders }, (_, j) => all.subarray(j * SECRET_BYTES, (j + 1) * SECRET_BYTES));
}

/**
 * The secret of which `shares` are exactly a threshold's worth; any even number of bytes, so halves of a secret can be
 * combined alone. Wrong shares give a wrong secret, silently: compare it with a commitment.
 * @throws RangeError for points that are zero or not distinct, or shares of unequal length
 */
export function combineShares(shares: readonly Share[]): Uint8Array {
  const points = shares.map(({ x }) => x);
  if (new Set(points).size !== points.length || points.some((x) => !(x >= 1 && x <= 0xffff))) {
    throw new RangeError('shares: expected distinct points in 1..65535');
  }
  const sizeBytes = shares[0]?.bytes.length ?? 0;
  if (shares.some(({ bytes }) => bytes.length !== sizeBytes)) throw new RangeError('shares: expected equal lengths');
  const { log, exp } = tables();
  const weights = lagrangeAtZero(points);
  const secret = new Uint8Array(sizeBytes);
  for (let j = 0; j < shares.length; j++) {
    const { bytes } = shares[j];
    const logWeight = log[weights[j]!]; // a Lagrange weight is never 0
    for (let i = 0; i < sizeBytes; i += 2) {
      const word = bytes[i] | (bytes[i + 1] << 8);
      if (word === 0) continue;
      const term = exp[log[word] + logWeight];
      secret[i] ^= term & 0xff;
      secret[i + 1] ^= term >> 8;
    }
  }
  return secret;
}
