/**
 * Reads black-and-white PNG images (W3C PNG specification, second edition): one grey bit for each pixel, not interlaced,
 * rows without a filter, as scans of handwriting are stored. 1 is white.
 */
import { inflateSync } from 'node:zlib';
import { FlError } from '../../shared/errors.js';

const SIGNATURE = Buffer.of(137, 80, 78, 71, 13, 10, 26, 10);
/** Side of the largest image that we read; a wrong header must not make us allocate. */
const MAX_SIDE = 4096;

/** An image of black and white. */
export interface Bitmap {
  readonly width: number;
  readonly height: number;
  /** [height · width], each 0 or 1. */
  readonly pixels: Uint8Array;
}

/** `path` is for the message of an error. @throws FlError corrupt: not such a PNG, or a damaged one */
export function readBitmap(png: Uint8Array, path: string): Bitmap {
  try {
    return parse(Buffer.from(png.buffer, png.byteOffset, png.byteLength));
  } catch (cause) {
    throw new FlError('corrupt', `${path}: ${(cause as Error).message}`, { cause });
  }
}

function parse(bytes: Buffer): Bitmap {
  if (!bytes.subarray(0, 8).equals(SIGNATURE)) throw new RangeError('expected a PNG');
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  const format = [...bytes.subarray(24, 29)].join(' '); // bits, colour type, compression, filter, interlace
  if (format !== '1 0 0 0 0') throw new RangeError(`expected one grey bit for each pixel (1 0 0 0 0), got ${format}`);
  if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE) {
    throw new RangeError(`expected sides of 1 to ${MAX_SIDE}, got ${width} x ${height}`);
  }
  const stride = Math.ceil(width / 8);
  const rows = inflateSync(Buffer.concat(imageData(bytes)), { maxOutputLength: height * (stride + 1) });
  if (rows.length !== height * (stride + 1)) throw new RangeError('the image is cut short');
  const pixels = new Uint8Array(width * height);
  for (let y = 0; y < height; y++) {
    const row = y * (stride + 1) + 1;
    if (rows[row - 1] !== 0) throw new RangeError(`expected rows without a filter (0), got filter ${rows[row - 1]}`);
    for (let x = 0; x < width; x++) pixels[y * width + x] = (rows[row + (x >> 3)] >> (7 - (x & 7))) & 1;
  }
  return { width, height, pixels };
}

function imageData(bytes: Buffer): Buffer[] {
  const parts: Buffer[] = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const type = bytes.toString('latin1', at + 4, at + 8);
    if (type === 'IDAT') parts.push(bytes.subarray(at + 8, at + 8 + length));
    if (type === 'IEND') break;
    at += 12 + length;
  }
  return parts;
}
