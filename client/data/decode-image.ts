/**
 * One PNG (fast-png) or JPEG (jpeg-js, plain JavaScript) as rows of bytes with one channel (grey) or three (RGB).
 *
 * Colours become grey by the luma of ITU-R BT.601, 16 bits become 8 by their upper byte; a transparent pixel has no colour
 * and is refused. The orientation that a camera notes beside the pixels (EXIF) is not applied.
 */
import { FlError, invalidArgument } from '../../shared/errors.js';

/** `pixels` is [height, width, channels], row-major. */
export interface DecodedImage {
  readonly height: number;
  readonly width: number;
  readonly pixels: Uint8Array;
}

/** More is a picture for people, and a claim of more may be a file made to exhaust memory. */
const MAX_MEGAPIXELS = 64;

/** By what a file begins with, whatever its name. @throws FlError invalid-argument naming `path`, expected and got */
export async function decodeImage(bytes: Uint8Array, path: string, channels: 1 | 3): Promise<DecodedImage> {
  const isPng = bytes[0] === 0x89 && bytes[1] === 0x50 && bytes[2] === 0x4e && bytes[3] === 0x47;
  const isJpeg = bytes[0] === 0xff && bytes[1] === 0xd8;
  if (!isPng && !isJpeg) {
    throw invalidArgument(path, 'a PNG or JPEG image', bytes.length === 0 ? 'an empty file' : 'another kind of file');
  }
  let rgba: Raw;
  try {
    rgba = isPng ? await png(bytes, path) : await jpeg(bytes);
  } catch (thrown) {
    if (thrown instanceof FlError) throw thrown;
    const why = thrown instanceof Error ? thrown.message : String(thrown);
    const kind = isPng ? 'PNG' : 'JPEG';
    throw new FlError('invalid-argument', `${path}: expected a whole ${kind} image, got one that fails: ${why}`, {
      cause: thrown,
    });
  }
  return { height: rgba.height, width: rgba.width, pixels: withChannels(rgba, channels, path) };
}

/** `data` is [height, width, channels], 8 bits; grey, grey and alpha, RGB or RGBA. */
interface Raw {
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  readonly data: ArrayLike<number>;
}

async function png(bytes: Uint8Array, path: string): Promise<Raw> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length >= 24) checkSize(view.getUint32(20), view.getUint32(16), path); // of the header, before any memory is taken
  const { decode, convertIndexedToRgb } = await import('fast-png');
  const image = decode(bytes);
  const { width, height, depth } = image;
  if (image.palette !== undefined) {
    const data = convertIndexedToRgb(image);
    return { height, width, channels: data.length / (height * width), data };
  }
  if (image.transparency !== undefined) throw invalidArgument(path, 'no transparent colour', 'one');
  if (depth < 8) return { height, width, channels: 1, data: unpacked(image.data, { height, width, depth }) };
  const data = depth === 8 ? image.data : image.data.map((value) => value >> 8);
  return { height, width, channels: image.channels, data };
}

/** Grey of 1, 2 or 4 bits, several pixels in a byte, each row in whole bytes (PNG, 7.2), to 0..255. */
function unpacked(
  packed: ArrayLike<number>,
  { height, width, depth }: { height: number; width: number; depth: number },
) {
  const rowBytes = Math.ceil((width * depth) / 8);
  const most = 2 ** depth - 1;
  return Uint8Array.from({ length: height * width }, (_, i) => {
    const bit = (i % width) * depth;
    const byte = packed[Math.floor(i / width) * rowBytes + (bit >> 3)];
    return (((byte >> (8 - depth - (bit % 8))) & most) * 255) / most;
  });
}

async function jpeg(bytes: Uint8Array): Promise<Raw> {
  const { default: codec } = await import('jpeg-js');
  const limits = { maxResolutionInMP: MAX_MEGAPIXELS, maxMemoryUsageInMB: 1024, tolerantDecoding: false };
  const { height, width, data } = codec.decode(bytes, { useTArray: true, ...limits });
  return { height, width, channels: 4, data };
}

function checkSize(height: number, width: number, path: string): void {
  const megapixels = (height * width) / 1e6;
  if (megapixels > MAX_MEGAPIXELS) throw invalidArgument(path, `at most ${MAX_MEGAPIXELS} megapixels`, megapixels);
}

function withChannels({ height, width, channels: from, data }: Raw, channels: 1 | 3, path: string): Uint8Array {
  const hasColour = from >= 3;
  const hasAlpha = from === 2 || from === 4;
  const pixels = new Uint8Array(height * width * channels);
  for (let i = 0; i < height * width; i++) {
    const at = i * from;
    if (hasAlpha && data[at + from - 1] !== 255) {
      throw invalidArgument(path, 'no transparent pixel', `one in row ${Math.floor(i / width)}, column ${i % width}`);
    }
    const red = data[at];
    const [green, blue] = hasColour ? [data[at + 1], data[at + 2]] : [red, red];
    if (channels === 3) pixels.set([red, green, blue], i * 3);
    else pixels[i] = hasColour ? Math.round(0.299 * red + 0.587 * green + 0.114 * blue) : red;
  }
  return pixels;
}
