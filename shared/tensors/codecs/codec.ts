/** What an encoding of update vectors is. All are little-endian, self-contained given the number of elements, and pure. */
import { FlError, invalidArgument } from '../../errors.js';

/** How values travel when float32 is too much; what is lost is the codec's to say. */
export interface Codec {
  /** As `--compression` says it, with its setting: `bf16`, `top-k:0.01`. */
  readonly name: string;
  /** Exactly this many bytes encode `size` elements: what a receiver allocates and admits. */
  sizeBytes(size: number): number;
  /** @throws FlError invalid-argument if the codec has no code for one of the values (see each for non-finite ones). */
  encode(values: Float32Array): Uint8Array;
  /** @throws FlError corrupt if `bytes` cannot be an encoding of `size` elements. */
  decode(bytes: Uint8Array, size: number): Float32Array;
}

/** Called first by every decode, so nothing is allocated for a wrong length. */
export function checkLength(codec: Codec, bytes: Uint8Array, size: number): void {
  const expected = codec.sizeBytes(size);
  if (bytes.length !== expected) throw corrupt(codec.name, `${expected} bytes for ${size} elements`, bytes.length);
}

/** What a decoder throws: the code is `corrupt`, the message names field, expected and got. */
export function corrupt(field: string, expected: string, got: unknown): FlError {
  return new FlError('corrupt', invalidArgument(field, expected, got).message);
}
