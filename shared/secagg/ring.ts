/**
 * The ring Z_2^b of a masked sum: the bound under which a sum cannot wrap, the least ring for a cohort, centring, and the
 * packing of b-bit elements. Sums are always kept modulo 2^32; since 2^b divides it, cutting to b bits loses nothing.
 */
import { FlError, invalidArgument } from '../errors.js';

/** The ring Z_2^bits, and what is promised about the elements that are summed in it. */
export interface RingSpec {
  /** Bits per element on the wire: 2 to 32. */
  readonly bits: number;
  /** Largest magnitude of one client's element, weight included and noise not. */
  readonly valueMax: number;
  /** Largest magnitude of the noise in one element of the whole sum that is still counted as possible; 0 without noise. */
  readonly noiseTailMax: number;
}

/** Whether `clients` elements of the largest magnitude could leave [-2^(b-1), 2^(b-1)), and so be read back wrong. */
export function ringMayWrap({ bits, valueMax, noiseTailMax }: RingSpec, clients: number): boolean {
  const safe =
    Number.isSafeInteger(valueMax) && Number.isSafeInteger(noiseTailMax) && valueMax >= 0 && noiseTailMax >= 0;
  return !safe || !(clients * valueMax + noiseTailMax < 2 ** (bits - 1));
}

/**
 * The smallest ring for a cohort, whole bytes preferred to none: 32 bits (no packing) unless `pack`.
 * @throws FlError `invalid-argument` when even 32 bits could wrap; the message says by how much
 */
export function chooseRing(
  { clients, valueMax, noiseTailMax = 0 }: { clients: number; valueMax: number; noiseTailMax?: number },
  pack = false,
): RingSpec {
  for (let bits = pack ? 2 : 32; bits <= 32; bits++) {
    const ring = { bits, valueMax, noiseTailMax };
    if (!ringMayWrap(ring, clients)) return ring;
  }
  throw new FlError(
    'invalid-argument',
    `ring: ${clients} clients x ${valueMax} + noise ${noiseTailMax} reaches 2^31; lower quantizeBits, weightCap or the cohort`,
  );
}

/** Elements modulo 2^b, read as the signed integers in [-2^(b-1), 2^(b-1)). */
export function centre(sum: Uint32Array, bits: number): Int32Array {
  const shift = 32 - bits;
  return Int32Array.from(sum, (word) => (word << shift) >> shift);
}

/** Bytes of a vector on the wire. */
export const packedBytes = (elements: number, bits: number): number => Math.ceil((elements * bits) / 8);

/** The low `bits` bits of each element, least significant first, without gaps; little-endian words at 32. */
export function pack(values: Uint32Array, bits: number): Uint8Array {
  const out = new Uint8Array(packedBytes(values.length, bits));
  if (bits === 32) {
    out.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
    return out;
  }
  const mask = 2 ** bits - 1;
  let held = 0; // up to 7 bits left over, then up to 31 more: 38 bits, exact in a double
  let heldBits = 0;
  let at = 0;
  for (let i = 0; i < values.length; i++) {
    held += ((values[i] & mask) >>> 0) * 2 ** heldBits;
    heldBits += bits;
    while (heldBits >= 8) {
      out[at++] = held % 256;
      held = Math.floor(held / 256);
      heldBits -= 8;
    }
  }
  if (heldBits > 0) out[at] = held;
  return out;
}

/**
 * Inverse of {@link pack}. @throws FlError `invalid-argument` on a wrong length or padding bits that are not zero
 */
export function unpack(bytes: Uint8Array, elements: number, bits: number): Uint32Array {
  if (bytes.length !== packedBytes(elements, bits)) {
    throw invalidArgument('packed vector', `${packedBytes(elements, bits)} bytes`, bytes);
  }
  if (bits === 32) return new Uint32Array(new Uint8Array(bytes).buffer);
  const out = new Uint32Array(elements);
  const size = 2 ** bits;
  let held = 0;
  let heldBits = 0;
  let at = 0;
  for (let i = 0; i < elements; i++) {
    while (heldBits < bits) {
      held += bytes[at++] * 2 ** heldBits;
      heldBits += 8;
    }
    out[i] = held % size;
    held = Math.floor(held / size);
    heldBits -= bits;
  }
  if (held !== 0) throw invalidArgument('packed vector', 'zero padding', held);
  return out;
}
