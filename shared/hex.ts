/** Bytes as lower-case hex, as every file, message and log of ours shows them. */

/** 32 bytes as hex: a SHA-256 or an Ed25519 key. */
export const HEX_32_BYTES = /^[0-9a-f]{64}$/;

/** Two lower-case digits a byte. */
export function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('hex');
}

/** Inverse of {@link toHex}, upper-case digits too. @throws RangeError unless `hex` is pairs of hexadecimal digits */
export function fromHex(hex: string): Uint8Array {
  const bytes = new Uint8Array(Buffer.from(hex, 'hex')); // which ends at the first pair that is none
  if (2 * bytes.length !== hex.length) throw new RangeError('hex: expected pairs of hexadecimal digits');
  return bytes;
}
