/**
 * How a lot is cut into chunks, so that one example changes one chunk and no other; and what float32 sums over chunks that
 * are cut so may add to the sensitivity.
 */

/** Examples in a chunk on average, at most: above it a chunk is no faster, and its float32 sum no longer exact enough. */
const MOST_ON_AVERAGE = 128;

function averageOf(batchSize: number): number {
  return Math.min(batchSize, MOST_ON_AVERAGE);
}

/** Most examples of one chunk: four deviations above the average. */
function mostOf(average: number): number {
  return Math.floor(average + 4 * Math.sqrt(average));
}

/**
 * Cuts a lot, ascending positions in the data, into chunks that are not empty and have `batchSize` examples on average. Where
 * it is cut depends on positions: every `width` of them, and a part with too many examples is halved, again by position,
 * until none has. So a lot and the same lot with one example more have the same chunks, but for those of one part, `most` + 1
 * examples at most: the chunk that the example is in, or the first part around it that is halved with it and not without.
 */
export function chunksOf(
  lot: Int32Array,
  { batchSize, samplingRate }: { batchSize: number; samplingRate: number },
): Int32Array[] {
  const average = averageOf(batchSize);
  const width = Math.max(1, Math.floor(average / samplingRate));
  const most = samplingRate === 1 ? average : mostOf(average);
  const chunks: Int32Array[] = [];
  const add = (part: Int32Array, from: number, to: number): void => {
    if (part.length === 0) return;
    if (part.length <= most) {
      chunks.push(part);
      return;
    }
    const middle = Math.floor((from + to) / 2);
    const below = countBelow(part, middle);
    add(part.subarray(0, below), from, middle);
    add(part.subarray(below), middle, to);
  };
  for (let rest = lot; rest.length > 0; ) {
    const from = rest[0] - (rest[0] % width);
    const count = countBelow(rest, from + width);
    add(rest.subarray(0, count), from, from + width);
    rest = rest.subarray(count);
  }
  return chunks;
}

function countBelow(ascending: Int32Array, limit: number): number {
  const first = ascending.findIndex((position) => position >= limit);
  return first < 0 ? ascending.length : first;
}

/** Clipping bounds for which the proof of {@link floatAllowance} holds, and far more than anybody needs. */
export const LEAST_BOUND = 2 ** -40;
export const MOST_BOUND = 2 ** 40;

/**
 * Part of the clipping bound C by which float arithmetic may move the sum of a lot between neighbours, beside C itself: less
 * than 1 % for any batch size and any lot up to 10^6. The sum is one of what single examples add, each following from its
 * example alone: row b of a batch has the bits that it has in any other, on back ends whose kernels compute a row from that
 * row (the tests hold wasm and cpu to it).
 *
 * 1. What one example adds is at most C (1 + 2^-10), u being 2^-24. Norms are too small by a part of 2^-11 + 2^-13 at most
 *    (norms.ts); C, its quotient and its products are rounded, by u each. Underflow: norms being below 2^64, a factor is at
 *    least 2^-104, a normal number; fl(f δ_j) may lose 2^-126, that is 2^-62 √out in the norm, and C >= 2^-40.
 * 2. In one chunk S terms of norm C are summed in float32, in any order: off by S · S C · u. That differs between neighbours
 *    in the chunks of S = `most` examples that the example changes, on both sides: S² 2u. All other chunks have equal bits.
 * 3. Chunks are added in float64, k of them with partial sums of at most L C: off by k L C 2^-53 on both sides. Taken as
 *    four times that, for lots up to twice as large as expected: larger ones have a chance below e^(-L/3), and where that
 *    counts, L being small, the term is nothing beside the slack of 1.
 */
export function floatAllowance(batchSize: number, expectedLot: number): number {
  const average = averageOf(batchSize);
  const chunk = mostOf(average);
  const chunks = Math.ceil(expectedLot / average);
  return 2 ** -10 + chunk * chunk * 2 ** -23 + chunks * expectedLot * 2 ** -50;
}
