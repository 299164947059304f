/**
 * The idx format of MNIST and its relatives (Y. LeCun, http://yann.lecun.com/exdb/mnist/): two zero bytes, a type code
 * (8: unsigned byte), the number of dimensions, each dimension as a big-endian uint32, then the values row-major. Files
 * that end in .gz are unpacked, and one that is there only with `.gz` after its name is read so.
 */
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gunzip } from 'node:zlib';
import { corrupt, FlError } from '../../shared/errors.js';
import { presentAs } from './present.js';

const UNSIGNED_BYTE = 8;
/** Larger than any file of the format that we read; a wrong header must not make us allocate. */
const MAX_BYTES = 2 ** 28;

interface IdxArray {
  readonly shape: readonly number[];
  readonly values: Uint8Array;
}

/** @throws FlError data-missing: no such file · corrupt: not an idx file of unsigned bytes of this rank, whole */
export async function readIdx(path: string, rank: number): Promise<IdxArray> {
  let bytes: Buffer;
  try {
    const file = presentAs(path) ?? path;
    bytes = await readFile(file);
    if (file.endsWith('.gz')) bytes = await promisify(gunzip)(bytes, { maxOutputLength: MAX_BYTES });
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
    throw new FlError(missing ? 'data-missing' : 'corrupt', `${path}: ${(cause as Error).message}`, { cause });
  }
  return parseIdx(bytes, rank, path);
}

/** `path` is for the message of an error. The values are a view of `bytes`. */
export function parseIdx(bytes: Uint8Array, rank: number, path: string): IdxArray {
  const headerBytes = 4 + 4 * rank;
  if (bytes.length < headerBytes) throw corrupt(path, `a header of ${headerBytes} bytes`, `${bytes.length} bytes`);
  const magic = [0, 0, UNSIGNED_BYTE, rank];
  if (magic.some((byte, i) => bytes[i] !== byte)) {
    throw corrupt(path, `idx magic ${magic.join(' ')}`, Array.from(bytes.subarray(0, 4)).join(' '));
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const shape = Array.from({ length: rank }, (_, axis) => view.getUint32(4 + 4 * axis));
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  if (bytes.length - headerBytes !== size) {
    throw corrupt(path, `${size} values for shape [${shape.join(',')}]`, bytes.length - headerBytes);
  }
  return { shape, values: bytes.subarray(headerBytes) };
}
