/**
 * IEEE 754 binary16, rounded to nearest, ties to even; 2 bytes an element. 11 bits of precision: the error is at most
 * 2^-11 · |x|, and 2^-25 below 2^-14 (subnormals). From 65,520 upwards x becomes infinity, which a receiver refuses:
 * for updates of any size use bf16.
 */
import { type Codec, checkLength } from './codec.js';
import { bytesOfU16, u16Of } from './halves.js';

/** 2^-14, 2^16 and infinity as float32 bits. */
const SMALLEST_NORMAL = 0x38800000;
const ABOVE_RANGE = 0x47800000;
const INFINITY_BITS = 0x7f800000;
/** Adding and subtracting 1.5 · 2^52 rounds a float64 below 2^51 to an integer, ties to even. */
const TO_INTEGER = 1.5 * 2 ** 52;

/** IEEE 754 binary16, two bytes a value: 11 bits of precision, magnitudes up to 65,504. */
export const f16: Codec = {
  name: 'f16',
  sizeBytes: (size) => 2 * size,
  encode(values) {
    const bits = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const halves = new Uint16Array(values.length);
    for (let i = 0; i < halves.length; i++) {
      const u = bits[i] & 0x7fffffff;
      const sign = (bits[i] >>> 16) & 0x8000;
      if (u >= ABOVE_RANGE) halves[i] = sign | (u > INFINITY_BITS ? 0x7e00 : 0x7c00);
      // A subnormal counts steps of 2^-24; 1,024 steps are the code of the smallest normal number, as they should be.
      else if (u < SMALLEST_NORMAL) halves[i] = sign | (Math.abs(values[i]) * 2 ** 24 + TO_INTEGER - TO_INTEGER);
      // Exponent bias 127 to 15 is 112 · 2^23; 13 bits go, ties to even; a carry runs into the exponent, up to infinity.
      else halves[i] = sign | ((u - 0x38000000 + 0xfff + ((u >>> 13) & 1)) >>> 13);
    }
    return bytesOfU16(halves);
  },
  decode(bytes, size) {
    checkLength(f16, bytes, size);
    const table = decodeTable();
    const halves = u16Of(bytes);
    const values = new Float32Array(size);
    for (let i = 0; i < size; i++) values[i] = table[halves[i]];
    return values;
  },
};

let cachedTable: Float32Array | undefined;

/** The value of each of the 65,536 codes: 256 KiB, made at first use. */
function decodeTable(): Float32Array {
  cachedTable ??= Float32Array.from({ length: 65_536 }, (_, code) => valueOfCode(code));
  return cachedTable;
}

function valueOfCode(code: number): number {
  const sign = code & 0x8000 ? -1 : 1;
  const exponent = (code >>> 10) & 31;
  const fraction = code & 1023;
  if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
