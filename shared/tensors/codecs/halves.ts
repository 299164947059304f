/** Between 16-bit words and their little-endian bytes; the host is little-endian (see bytes.ts). */

/** A view on the same memory. */
export function bytesOfU16(halves: Uint16Array): Uint8Array {
  return new Uint8Array(halves.buffer, halves.byteOffset, halves.byteLength);
}

/** A view if `bytes` lie on a 2-byte boundary, else a copy. */
export function u16Of(bytes: Uint8Array): Uint16Array {
  const aligned = bytes.byteOffset % 2 === 0 ? bytes : new Uint8Array(bytes);
  return new Uint16Array(aligned.buffer, aligned.byteOffset, aligned.length / 2);
}
