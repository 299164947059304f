/**
 * Between float32 vectors and their bytes. Everything we store or send is little-endian; so is every machine that Node
 * has prebuilt binaries for except s390x, which is refused here once instead of being wrong everywhere.
 */
import { createHash } from 'node:crypto';
import { FlError, invalidArgument } from '../errors.js';
import type { Params } from './params.js';

const HOST_IS_LITTLE_ENDIAN = new Uint8Array(Uint16Array.of(1).buffer)[0] === 1;

/** The bytes of `values`, float32 little-endian: a view on the same memory, not a copy. */
export function bytesOf(values: Float32Array): Uint8Array {
  requireLittleEndian();
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** The float32 little-endian numbers in `bytes`: a copy, since a view would need `bytes` to lie 4-byte aligned. */
export function valuesOf(bytes: Uint8Array): Float32Array {
  requireLittleEndian();
  if (bytes.length % 4 !== 0) throw invalidArgument('bytes', 'a multiple of 4 bytes', bytes.length);
  const values = new Float32Array(bytes.length / 4);
  new Uint8Array(values.buffer).set(bytes);
  return values;
}

/** The same numbers, where `bytes` lie aligned as a view on the same memory: for bytes that nobody else writes to. */
export function valuesIn(bytes: Uint8Array): Float32Array {
  if (bytes.length % 4 !== 0 || bytes.byteOffset % 4 !== 0) return valuesOf(bytes);
  requireLittleEndian();
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** The identity of a model: lower-case hex SHA-256 over its float32 little-endian values, tensors in layout order. */
export function sha256Of(params: Pick<Params, 'values'>): string {
  return createHash('sha256').update(bytesOf(params.values)).digest('hex');
}

function requireLittleEndian(): void {
  if (!HOST_IS_LITTLE_ENDIAN) throw new FlError('failed-precondition', 'host byte order: expected little-endian');
}
