/**
 * The random rotation that spreads an update evenly over its coordinates before it is rounded to the ring, so that no
 * coordinate comes near the wrap (Suresh et al. 2017, arXiv:1611.00429; section 4 of arXiv:2102.06387): random signs, then the
 * Walsh-Hadamard transform over the length padded to a power of two, scaled by 1/sqrt(length). It keeps L2 norms.
 */
import type { Rng } from '../../rng.js';

/** Length after padding. */
export function rotatedLength(length: number): number {
  return length <= 1 ? 1 : 2 ** (32 - Math.clz32(length - 1));
}

/** Rotates by the signs drawn from `signs`, which every client of the round must be given alike (public randomness). */
export function rotate(vector: Float32Array, signs: Rng): Float64Array {
  const out = new Float64Array(rotatedLength(vector.length));
  out.set(vector);
  flip(out, signs);
  walshHadamard(out);
  return out;
}

/** Undoes {@link rotate} given a generator in the same state; returns the first `length` entries. */
export function unrotate(rotated: Float64Array, signs: Rng, length: number): Float64Array {
  const out = rotated.slice();
  walshHadamard(out);
  flip(out, signs);
  return out.slice(0, length);
}

function flip(values: Float64Array, signs: Rng): void {
  const bits = signs.bytes(Math.ceil(values.length / 8));
  for (let i = 0; i < values.length; i++) {
    if ((bits[i >>> 3] >>> (i & 7)) & 1) values[i] = -values[i];
  }
}

/** Orthonormal and its own inverse. */
function walshHadamard(values: Float64Array): void {
  const length = values.length;
  for (let half = 1; half < length; half *= 2) {
    for (let start = 0; start < length; start += 2 * half) {
      for (let a = start, b = start + half; a < start + half; a++, b++) {
        const x = values[a];
        const y = values[b];
        values[a] = x + y;
        values[b] = x - y;
      }
    }
  }
  const scale = 1 / Math.sqrt(length);
  for (let i = 0; i < length; i++) values[i] = values[i] * scale;
}
