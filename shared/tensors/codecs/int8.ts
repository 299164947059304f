/**
 * 8-bit integers with one scale for each block of 1,024 elements (absmax quantization, Dettmers et al. 2022,
 * https://arxiv.org/abs/2110.02861): x ≈ scale · q, scale = max|x| / 127 of the block, q in −127..127.
 *
 *     float32 LE scale of every block | int8 q of every element            about 1.004 bytes an element
 *
 * The error is at most half a step, scale / 2 = max|x| / 254, up to float32 rounding. A block whose max|x| is below
 * 2^-100 becomes 0. There is no code for NaN and infinity.
 */
import { invalidArgument } from '../../errors.js';
import { bytesOf, valuesOf } from '../bytes.js';
import { firstNonFinite } from '../params.js';
import { type Codec, checkLength, corrupt } from './codec.js';

/** Values that share one scale. */
export const BLOCK = 1024;
/** Below this a scale would lose precision as a subnormal float32. */
const SMALLEST = 2 ** -100;
/** (2 − 2^-23) · 2^127, the largest float32, over 127, rounded down to a float32: 127 times it is still finite. */
const LARGEST_SCALE = Math.fround((2 ** 128 - 2 ** 104) / 127) - 2 ** 98;
/** Adding and subtracting 1.5 · 2^52 rounds a float64 below 2^51 to an integer, ties to even. */
const TO_INTEGER = 1.5 * 2 ** 52;

/** One byte a value and a float32 scale a block. */
export const int8: Codec = {
  name: 'int8',
  sizeBytes: (size) => 4 * Math.ceil(size / BLOCK) + size,
  encode(values) {
    const bad = firstNonFinite(values);
    if (bad >= 0) throw invalidArgument(`values[${bad}]`, 'a finite number', values[bad]);
    const scales = new Float32Array(Math.ceil(values.length / BLOCK));
    const bytes = new Uint8Array(4 * scales.length + values.length);
    const codes = new Int8Array(bytes.buffer, 4 * scales.length);
    for (let block = 0; block < scales.length; block++) {
      const from = block * BLOCK;
      const to = Math.min(from + BLOCK, values.length);
      const largest = maxMagnitude(values, from, to);
      if (largest < SMALLEST) continue; // scale and codes are 0 already
      scales[block] = Math.min(largest / 127, LARGEST_SCALE);
      quantize(codes, values, 1 / scales[block], from, to);
    }
    bytes.set(bytesOf(scales));
    return bytes;
  },
  decode(bytes, size) {
    checkLength(int8, bytes, size);
    const blocks = Math.ceil(size / BLOCK);
    const scales = valuesOf(bytes.subarray(0, 4 * blocks));
    const bad = scales.findIndex((scale) => !(scale >= 0 && scale < Number.POSITIVE_INFINITY));
    if (bad >= 0) throw corrupt(`scale of block ${bad}`, 'a finite number of at least 0', scales[bad]);
    const codes = new Int8Array(bytes.buffer, bytes.byteOffset + 4 * blocks, size);
    const values = new Float32Array(size);
    for (let block = 0; block < blocks; block++) {
      const to = Math.min((block + 1) * BLOCK, size);
      for (let i = block * BLOCK; i < to; i++) values[i] = scales[block] * codes[i];
    }
    return values;
  },
};

/** |x / scale| is at most 127 · (1 + 2^-24) by the rounding of the scale, which rounds to 127. */
function quantize(codes: Int8Array, values: Float32Array, inverse: number, from: number, to: number): void {
  for (let i = from; i < to; i++) codes[i] = values[i] * inverse + TO_INTEGER - TO_INTEGER;
}

/** Without its sign bit a float32 orders like the integer of its bits. */
function maxMagnitude(values: Float32Array, from: number, to: number): number {
  const bits = new Int32Array(values.buffer, values.byteOffset + 4 * from, to - from);
  let largest = 0;
  for (let i = 0; i < bits.length; i++) largest = Math.max(largest, bits[i] & 0x7fffffff);
  return new Float32Array(Int32Array.of(largest).buffer)[0];
}
