/** The grid of a secure sum, worked out beside the code under test. */
import type { SecureSpec } from '../../shared/run/spec.js';

/**
 * Largest error of one element of the mean update. Values are whole numbers of b bits, at most 24, such that a sum over
 * the heaviest clients stays within a ring of 32: cohort x weightCap x (2^(b - 1) - 1) < 2^31.
 */
export function quantizationStep({ valueRange, weightCap }: SecureSpec, cohort: number): number {
  const largest = Math.ceil(2 ** 31 / (cohort * weightCap)) - 1;
  const bits = Math.min(24, 1 + Math.floor(Math.log2(largest + 1)));
  return valueRange / (2 ** (bits - 1) - 1);
}
