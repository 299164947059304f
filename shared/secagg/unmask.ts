/**
 * Takes the masks off a sum: whole, or one range of coordinates per thread (the keystream can start at any chunk).
 */
import { CHUNK_BYTES } from './constants.js';
import type { Kernel } from './kernel.js';
import { centre } from './ring.js';
import type { MaskTerm } from './server/state.js';
import type { CryptoSuite } from './suite.js';

/** Coordinates at which a range may begin are multiples of this. */
export const RANGE_ELEMENTS = CHUNK_BYTES / 4;

/**
 * The sum of the survivors' vectors, as signed integers. Changes `sum`: once per aggregation.
 * @param ringBits the ring's bits, 2 to 32
 */
export function unmaskSum(
  { suite, sum, ringBits }: { suite: CryptoSuite; sum: Kernel; ringBits: number },
  masks: readonly MaskTerm[],
): Int32Array {
  for (const mask of masks) sum.addMask(suite, mask);
  return centre(sum.read(), ringBits);
}

/**
 * The same for the coordinates from `first` (a multiple of RANGE_ELEMENTS) on, on a kernel of the caller's own: what one
 * worker thread of several does.
 */
export function unmaskRange(
  { suite, kernel, ringBits }: { suite: CryptoSuite; kernel: Kernel; ringBits: number },
  { first, masked }: { first: number; masked: Uint32Array },
  masks: readonly MaskTerm[],
): Int32Array {
  if (first % RANGE_ELEMENTS !== 0)
    throw new RangeError(`first: expected a multiple of ${RANGE_ELEMENTS}, got ${first}`);
  kernel.reset(masked.length);
  kernel.add(masked);
  const firstChunk = first / RANGE_ELEMENTS;
  for (const mask of masks) kernel.addMask(suite, { ...mask, firstChunk });
  return centre(kernel.read(), ringBits);
}
