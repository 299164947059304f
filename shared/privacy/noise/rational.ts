/**
 * Exact fractions and uniform integers: the only two things the exact samplers are made of, so that no rounding of a
 * logarithm can open a gap in the noise (Mironov 2012, "On significance of the least significant bits").
 */
import { invalidArgument } from '../../errors.js';
import type { Rng } from '../../rng.js';

/** A non-negative fraction in lowest terms. */
export interface Rational {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Uniform integers, the source of all randomness of the exact samplers; see {@link coinsFromRng}. */
export interface Coins {
  /** Uniform in [0, bound); `bound` >= 1. */
  below(bound: bigint): bigint;
}

/** Coins from our cryptographic generator. */
export function coinsFromRng(rng: Rng): Coins {
  return {
    below(bound) {
      if (bound <= 0xffff_ffffn) return BigInt(rng.below(Number(bound)));
      const bits = bound.toString(2).length;
      const words = Math.ceil(bits / 32);
      for (;;) {
        let value = 0n;
        for (let i = 0; i < words; i++) value = (value << 32n) | BigInt(rng.u32());
        value >>= BigInt(32 * words - bits);
        if (value < bound) return value; // at least every second try
      }
    },
  };
}

/** The fraction in lowest terms, of a numerator of at least 0 and a denominator above it. */
export function rational(numerator: bigint, denominator: bigint): Rational {
  const divisor = greatestCommonDivisor(numerator, denominator);
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

/** The exact value of a double. Throws unless it is finite and >= 0. */
export function rationalFromNumber(value: number, field = 'value'): Rational {
  if (!(value >= 0 && Number.isFinite(value))) throw invalidArgument(field, 'a finite number >= 0', value);
  let scaled = value;
  let denominator = 1n;
  while (!Number.isInteger(scaled)) {
    scaled *= 2; // exact: only the exponent changes
    denominator *= 2n;
  }
  return rational(BigInt(scaled), denominator);
}

function greatestCommonDivisor(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}
