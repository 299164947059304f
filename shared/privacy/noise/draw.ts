/**
 * Look-up in a table of 96-bit cumulative probabilities, the reference in plain TypeScript: a 32-bit word finds the entry,
 * 64 more bits are drawn only if it equals a threshold's high part. kernel.ts computes the same in WebAssembly.
 */
import type { Rng } from '../../rng.js';

/** Entry i stands for the value i − reach and is drawn when threshold[i − 1] <= random word < threshold[i]. */
export interface Thresholds {
  readonly high: Uint32Array;
  readonly low: BigUint64Array;
  /** For each prefix of `guideBits` bits the first entry whose `high` is not below all words with that prefix; then the last. */
  readonly guide: Uint32Array;
  readonly guideBits: number;
  readonly reach: number;
}

/** Adds `factor` times an independent draw to each element of `out`, modulo 2^32. */
export type Draw = (out: Int32Array, rng: Rng, factor: number) => void;

/** Random words are taken from the generator this many at a time, and the ties among them are broken before the next ones. */
export const BLOCK_WORDS = 4096;
/** A guide of 256 KiB stays in a second-level cache. */
const MAX_GUIDE_BITS = 16;

/**
 * A table of cumulative probabilities (96 bits: `high` and `low`), with a guide that finds the place of a word fast.
 */
export function thresholdsOf(high: Uint32Array, low: BigUint64Array, reach: number): Thresholds {
  const guideBits = Math.min(MAX_GUIDE_BITS, Math.ceil(Math.log2(high.length)));
  const guide = new Uint32Array((1 << guideBits) + 1);
  let entry = 0;
  for (let prefix = 0; prefix < 1 << guideBits; prefix++) {
    const smallest = prefix * 2 ** (32 - guideBits);
    while (high[entry] < smallest) entry++;
    guide[prefix] = entry;
  }
  guide[1 << guideBits] = high.length - 1;
  return { high, low, guide, guideBits, reach };
}

/**
 * Where the guide leads is mostly the entry or the one before it, which a comparison without a jump tells: a jump would be
 * mispredicted too often.
 */
export function plainDraw(table: Thresholds): Draw {
  const { guide, guideBits, reach } = table;
  const shift = 32 - guideBits;
  const high = new Int32Array(table.high).map((threshold) => threshold ^ SIGN); // signed numbers in the same order compare faster
  return (out, rng, factor) => {
    for (let from = 0; from < out.length; from += BLOCK_WORDS) {
      const words = new Int32Array(rng.bytes(4 * Math.min(BLOCK_WORDS, out.length - from)).buffer);
      for (let k = 0; k < words.length; k++) {
        const bits = words[k];
        const word = bits ^ SIGN;
        const prefix = bits >>> shift;
        let i = guide[prefix];
        i += ((high[i] < word) as unknown as number) | 0; // `Number()` and `? 1 : 0` compile to jumps
        if (high[i] <= word) {
          if (high[i] < word) i = firstNotBelow(high, word, i, guide[prefix + 1]);
          if (high[i] === word) i = breakTie(table, i, rng);
        }
        out[from + k] = out[from + k] + Math.imul(factor, i - reach);
      }
    }
  };
}

const SIGN = 0x80000000 | 0;

/** The first entry in start .. end that is not below the word; that of `end` is not. */
function firstNotBelow(high: Int32Array, word: number, start: number, end: number): number {
  let [low, top] = [start, end];
  while (low < top) {
    const middle = (low + top) >>> 1;
    if (high[middle] < word) low = middle + 1;
    else top = middle;
  }
  return low;
}

/** The entry for a word that equals the high part of entry `first` and of none before it: draws the word's other 64 bits. */
export function breakTie({ high, low }: Thresholds, first: number, rng: Rng): number {
  const last = high.length - 1;
  const rest = (BigInt(rng.u32()) << 32n) | BigInt(rng.u32());
  let i = first;
  while (i < last && high[i] === high[first] && low[i] <= rest) i++;
  return i;
}
