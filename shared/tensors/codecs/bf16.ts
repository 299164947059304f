/**
 * bfloat16: the upper half of a float32, rounded to nearest, ties to even; 2 bytes an element. Same range as float32,
 * 8 bits of precision: the error is at most 2^-8 · |x| (2^-134 for subnormal x). Infinity stays, NaN stays NaN, and what
 * rounds above the largest bfloat16 (3.39e38) becomes infinity.
 */
import { type Codec, checkLength } from './codec.js';
import { bytesOfU16, u16Of } from './halves.js';

/** Two bytes a value, the upper half of float32, rounded to nearest even: 8 bits of exponent, 8 of precision. */
export const bf16: Codec = {
  name: 'bf16',
  sizeBytes: (size) => 2 * size,
  encode(values) {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const halves = new Uint16Array(values.length);
    for (let i = 0; i < halves.length; i++) {
      const u = bits[i];
      const notANumber = (u & 0x7fffffff) > 0x7f800000;
      // Just below half a step, plus one if the kept part is odd: ties go to even. A carry runs into the exponent.
      halves[i] = notANumber ? (u >>> 16) | 0x40 : (u + 0x7fff + ((u >>> 16) & 1)) >>> 16;
    }
    return bytesOfU16(halves);
  },
  decode(bytes, size) {
    checkLength(bf16, bytes, size);
    const halves = u16Of(bytes);
    const bits = new Uint32Array(size);
    for (let i = 0; i < size; i++) bits[i] = halves[i] << 16;
    return new Float32Array(bits.buffer);
  },
};
