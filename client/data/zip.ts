/**
 * Reads ZIP archives that lie in memory (PKWARE APPNOTE 6.3.10): stored and deflated entries, found through the central
 * directory at the end, which alone has the sizes of entries that were written as a stream. No ZIP64, no encryption.
 */
import { crc32, inflateRawSync } from 'node:zlib';
import { FlError } from '../../shared/errors.js';

const END_SIGNATURE = 0x06054b50;
const END_BYTES = 22;
/** The end record may be followed by a comment of this length. */
const MAX_COMMENT_BYTES = 0xffff;
const ENTRY_SIGNATURE = 0x02014b50;
const ENTRY_BYTES = 46;
const LOCAL_SIGNATURE = 0x04034b50;
const LOCAL_BYTES = 30;
const [STORED, DEFLATED] = [0, 8];
/** Larger than any file that we read; a wrong header must not make us allocate. */
const MAX_ENTRY_BYTES = 2 ** 24;

interface ZipEntry {
  readonly name: string;
  readonly bytes: Uint8Array;
}

/**
 * The files of an archive in the order of its directory; folders are left out. `path` is for the message of an error.
 * @throws FlError corrupt: no archive, a cut or damaged one, or a method other than stored and deflated
 */
export function* readZip(archive: Uint8Array, path: string): Generator<ZipEntry> {
  const bytes = Buffer.from(archive.buffer, archive.byteOffset, archive.byteLength);
  try {
    const end = findEnd(bytes);
    let at = bytes.readUInt32LE(end + 16);
    for (let entry = bytes.readUInt16LE(end + 10); entry > 0; entry--) {
      if (bytes.readUInt32LE(at) !== ENTRY_SIGNATURE) throw new RangeError(`no directory entry at byte ${at}`);
      const [nameBytes, extraBytes, commentBytes] = [28, 30, 32].map((offset) => bytes.readUInt16LE(at + offset));
      const name = bytes.toString('utf8', at + ENTRY_BYTES, at + ENTRY_BYTES + nameBytes);
      if (!name.endsWith('/')) yield { name, bytes: contentOf(bytes, at, name) };
      at += ENTRY_BYTES + nameBytes + extraBytes + commentBytes;
    }
  } catch (cause) {
    throw new FlError('corrupt', `${path}: ${(cause as Error).message}`, { cause });
  }
}

function findEnd(bytes: Buffer): number {
  const first = Math.max(0, bytes.length - END_BYTES - MAX_COMMENT_BYTES);
  for (let at = bytes.length - END_BYTES; at >= first; at--) if (bytes.readUInt32LE(at) === END_SIGNATURE) return at;
  throw new RangeError('expected a ZIP archive, found no end of a directory');
}

function contentOf(bytes: Buffer, entry: number, name: string): Uint8Array {
  const method = bytes.readUInt16LE(entry + 10);
  const crc = bytes.readUInt32LE(entry + 16);
  const [packedBytes, sizeBytes, local] = [20, 24, 42].map((offset) => bytes.readUInt32LE(entry + offset));
  if (bytes.readUInt32LE(local) !== LOCAL_SIGNATURE) throw new RangeError(`${name}: no entry at byte ${local}`);
  if (sizeBytes > MAX_ENTRY_BYTES) throw new RangeError(`${name}: expected at most ${MAX_ENTRY_BYTES} bytes`);
  const start = local + LOCAL_BYTES + bytes.readUInt16LE(local + 26) + bytes.readUInt16LE(local + 28);
  const packed = bytes.subarray(start, start + packedBytes);
  if (method !== STORED && method !== DEFLATED) throw new RangeError(`${name}: unknown method ${method}`);
  const content = method === STORED ? packed : inflateRawSync(packed, { maxOutputLength: sizeBytes });
  if (content.length !== sizeBytes || crc32(content) !== crc) throw new RangeError(`${name}: size or CRC-32 is wrong`);
  return content;
}
