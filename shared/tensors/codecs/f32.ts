/** The plain encoding: float32 little-endian, 4 bytes an element, exact to the bit. */
import { bytesOf, valuesOf } from '../bytes.js';
import { type Codec, checkLength } from './codec.js';

/** Four bytes a value, nothing lost. */
export const f32: Codec = {
  name: 'f32',
  sizeBytes: (size) => 4 * size,
  encode: (values) => bytesOf(values).slice(),
  decode(bytes, size) {
    checkLength(f32, bytes, size);
    return valuesOf(bytes);
  },
};
