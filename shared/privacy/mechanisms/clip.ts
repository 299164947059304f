/**
 * Clipping: the step that makes sensitivity finite. Nothing here is private by itself; noise in proportion to the clipping
 * bound is (Abadi et al. 2016, arXiv:1607.00133; McMahan et al. 2018, arXiv:1710.06963).
 *
 * Sensitivity, for neighbours "this client's contribution is there, or is zero":
 * - Sum of clipped updates: one client moves the sum by its clipped update, at most `bound`, whatever the others send.
 * - Unweighted mean: the sum divided by a number that does not depend on the data (the cohort size, or the number of
 *   survivors, which the coordinator sees anyway): bound / count.
 * - Weighted mean Σ w x / Σ w: the weights are data too. Each client sends (w x, w) with 0 <= w <= weightCap; the pair moves
 *   by at most weightCap × sqrt(bound² + weightUnit²) if the weight coordinate is scaled by weightUnit before noise is added
 *   to all of it. Dividing afterwards is post-processing. See {@link weightedSensitivity}.
 */
import { invalidArgument } from '../../errors.js';

/** What is scaled together: the whole vector, each tensor of it, or each row of each tensor. */
export type ClipScope = 'all' | 'tensor' | 'row';

/** Consecutive groups of `length` entries; a tensor [rows, columns] is `length` = rows × columns with `rowLength` = columns. */
export interface ClipGroup {
  readonly length: number;
  readonly rowLength?: number;
}

/** A clipped vector, and what it was. */
export interface Clipped {
  /** A new vector whose L2 norm is at most the clipping bound (for `row`: each row's share of it). */
  readonly vector: Float32Array;
  /** L2 norm before clipping. */
  readonly normL2: number;
  readonly wasClipped: boolean;
}

/**
 * Scales `vector` down until its L2 norm is at most `bound`; a shorter vector comes back unchanged, as a copy.
 *
 * With `tensor` or `row` each of the m groups gets bound / sqrt(m), so that the whole still has norm at most `bound`: the
 * sensitivity is the same, the direction changes, and no group can crowd out another. Throws on a number that is not finite.
 */
export function clip(
  vector: Float32Array,
  options: { readonly bound: number; readonly scope?: ClipScope; readonly groups?: readonly ClipGroup[] },
): Clipped {
  const { bound, scope = 'all', groups = [] } = options;
  if (!(bound > 0 && Number.isFinite(bound))) throw invalidArgument('bound', 'a number > 0', bound);
  const normL2 = norm(vector);
  if (!Number.isFinite(normL2)) throw invalidArgument('vector', 'finite numbers', 'NaN or Infinity');
  const lengths = scope === 'all' ? [vector.length] : groupLengths(scope, groups, vector.length);
  const share = bound / Math.sqrt(lengths.length);
  const out = vector.slice();
  let wasClipped = false;
  let start = 0;
  for (const length of lengths) {
    wasClipped = shrink(out.subarray(start, start + length), share) || wasClipped;
    start += length;
  }
  return { vector: out, normL2, wasClipped };
}

/**
 * min(1, bound / normL2): the factor for a gradient that was never written down. `normL2` must not be below its norm: ghost
 * norms in float32 can be, where terms cancel.
 */
export function clipFactor(normL2: number, bound: number): number {
  return normL2 > bound ? bound / normL2 : 1;
}

/** L2 norm in double precision. */
export function norm(vector: Float32Array | Int32Array): number {
  let squares = 0;
  for (let i = 0; i < vector.length; i++) squares += vector[i] * vector[i];
  return Math.sqrt(squares);
}

/** L2 sensitivity of the pair (w x, w × weightUnit) with ‖x‖ <= bound and 0 <= w <= weightCap. */
export function weightedSensitivity(options: { bound: number; weightCap: number; weightUnit: number }): number {
  return options.weightCap * Math.hypot(options.bound, options.weightUnit);
}

/** Rounding to float32 can lengthen a vector by 2^-24 of itself: take a little more each time until the promise holds. */
function shrink(part: Float32Array, bound: number): boolean {
  let current = norm(part);
  if (current <= bound) return false;
  for (let margin = 2 ** -26; current > bound; margin *= 2) {
    const factor = (bound / current) * (1 - margin);
    for (let i = 0; i < part.length; i++) part[i] = part[i] * factor;
    current = norm(part);
  }
  return true;
}

function groupLengths(scope: 'tensor' | 'row', groups: readonly ClipGroup[], total: number): number[] {
  const lengths: number[] = [];
  for (const { length, rowLength = length } of groups) {
    if (scope === 'tensor') lengths.push(length);
    else {
      if (rowLength < 1 || length % rowLength !== 0)
        throw invalidArgument('rowLength', `a divisor of ${length}`, rowLength);
      for (let row = 0; row < length / rowLength; row++) lengths.push(rowLength);
    }
  }
  const sum = lengths.reduce((a, b) => a + b, 0);
  if (sum !== total) throw invalidArgument('groups', `lengths that add up to ${total}`, sum);
  return lengths;
}
