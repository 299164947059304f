/** Black-and-white PNG images: one grey bit for each pixel, as scans of handwriting are stored. 1 is white. */
import { decode } from 'fast-png';
import { FlError } from '../../shared/errors.js';

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
    checkHeader(Buffer.from(png.buffer, png.byteOffset, png.byteLength));
    const { width, height, data } = decode(png, { checkCrc: true });
    const stride = Math.ceil(width / 8); // rows are whole bytes
    const pixels = new Uint8Array(width * height);
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) pixels[y * width + x] = (data[y * stride + (x >> 3)] >> (7 - (x & 7))) & 1;
    }
    return { width, height, pixels };
  } catch (cause) {
    throw new FlError('corrupt', `${path}: ${(cause as Error).message}`, { cause });
  }
}

/** Signature, then length and name of the first chunk, which begins with the sides (W3C PNG, second edition, 11.2.2). */
function checkHeader(bytes: Buffer): void {
  if (bytes.toString('latin1', 0, 8) !== '\x89PNG\r\n\x1a\n') throw new RangeError('expected a PNG');
  const [width, height] = [bytes.readUInt32BE(16), bytes.readUInt32BE(20)];
  const [bits, colourType] = bytes.subarray(24);
  if (bits !== 1 || colourType !== 0) {
    throw new RangeError(`expected one grey bit for each pixel (1 0), got ${bits} ${colourType}`);
  }
  if (width < 1 || height < 1 || width > MAX_SIDE || height > MAX_SIDE) {
    throw new RangeError(`expected sides of 1 to ${MAX_SIDE}, got ${width} x ${height}`);
  }
}
