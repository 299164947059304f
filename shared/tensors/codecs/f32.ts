/** The plain encoding: float32 little-endian, 4 bytes an element, exact to the bit. */
import { bytesOf, valuesIn } from '../bytes.js';
import { type Codec, checkLength } from './codec.js';

/** Four bytes a value, nothing lost; both ways a view on the same memory where it lies aligned. */
export const f32: Codec = {
  name: 'none',
  sizeBytes: (size) => 4 * size,
  encode: bytesOf,
  decode(bytes, size) {
    checkLength(f32, bytes, size);
    return valuesIn(bytes);
  },
};
