/**
 * The k elements of largest magnitude, k = ⌈fraction · size⌉, and zero for the rest (sparsified SGD, Stich, Cordonnier &
 * Jaggi 2018, https://arxiv.org/abs/1809.07599). What is left out is lost: a client keeps no memory of it, since most
 * take part in few rounds.
 *
 *     u32 LE index of each, ascending | float32 LE value of each            8 bytes for each element kept
 *
 * The choice is exact and depends on the values alone: of equal magnitudes the lower index wins. What is left out has
 * at most (1 − k / size) of the squared norm. There is no code for NaN and infinity.
 */
import { invalidArgument } from '../../errors.js';
import { bytesOf, valuesOf } from '../bytes.js';
import { firstNonFinite } from '../params.js';
import { type Codec, checkLength, corrupt } from './codec.js';

/** @param fraction of elements kept, in (0, 1] */
export function topK(fraction: number): Codec {
  if (!(fraction > 0 && fraction <= 1)) throw invalidArgument('compression top-k', 'a fraction in (0, 1]', fraction);
  const keptOf = (size: number) => Math.ceil(fraction * size);
  const codec: Codec = {
    name: `top-k:${fraction}`,
    sizeBytes: (size) => 8 * keptOf(size),
    encode(values) {
      const bad = firstNonFinite(values);
      if (bad >= 0) throw invalidArgument(`values[${bad}]`, 'a finite number', values[bad]);
      const indices = largestIndices(values, keptOf(values.length));
      const bytes = new Uint8Array(8 * indices.length);
      bytes.set(new Uint8Array(indices.buffer));
      bytes.set(bytesOf(Float32Array.from(indices, (i) => values[i])), 4 * indices.length);
      return bytes;
    },
    decode(bytes, size) {
      checkLength(codec, bytes, size);
      const kept = keptOf(size);
      const view = new DataView(bytes.buffer, bytes.byteOffset);
      const chosen = valuesOf(bytes.subarray(4 * kept));
      const values = new Float32Array(size);
      for (let i = 0, before = -1; i < kept; i++) {
        const index = view.getUint32(4 * i, true);
        if (index <= before || index >= size) throw corrupt(`index ${i}`, `${before + 1}..${size - 1}`, index);
        values[index] = chosen[i];
        before = index;
      }
      return values;
    },
  };
  return codec;
}

/** Ascending indices of the `k` largest magnitudes. */
function largestIndices(values: Float32Array, k: number): Uint32Array {
  const bits = new Int32Array(values.buffer, values.byteOffset, values.length);
  const { threshold, above } = kthMagnitude(bits, k);
  const indices = new Uint32Array(k);
  let atThreshold = k - above;
  for (let i = 0, found = 0; found < k; i++) {
    const magnitude = bits[i] & 0x7fffffff;
    if (magnitude > threshold || (magnitude === threshold && atThreshold-- > 0)) indices[found++] = i;
  }
  return indices;
}

/**
 * The bits of the k-th largest magnitude, and how many are larger. Two counting passes, over the upper 15 bits and then,
 * within the bucket where the k-th lies, over the lower 16: exact, and linear whatever the values.
 */
function kthMagnitude(bits: Int32Array, k: number): { threshold: number; above: number } {
  const upper = new Uint32Array(1 << 15);
  for (let i = 0; i < bits.length; i++) upper[(bits[i] & 0x7fffffff) >>> 16]++;
  const high = bucketOf(upper, k);
  const lower = new Uint32Array(1 << 16);
  for (let i = 0; i < bits.length; i++) {
    const magnitude = bits[i] & 0x7fffffff;
    if (magnitude >>> 16 === high.bucket) lower[magnitude & 0xffff]++;
  }
  const low = bucketOf(lower, k - high.above);
  return { threshold: (high.bucket << 16) | low.bucket, above: high.above + low.above };
}

/** The bucket that holds the k-th from the top, and how many lie in the buckets above it. */
function bucketOf(counts: Uint32Array, k: number): { bucket: number; above: number } {
  let above = 0;
  let bucket = counts.length - 1;
  while (bucket > 0 && above + counts[bucket] < k) above += counts[bucket--];
  return { bucket, above };
}
