/**
 * A site's images: files that Pillow 13.0.0 wrote, and the pixels that it reads from them; and what is refused.
 * JPEG decoders may differ by the rounding of their cosine transforms.
 */
import assert from 'node:assert/strict';
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { decodeImage } from '../../../client/data/decode-image.js';
import { readImageFolder } from '../../../client/workloads/index.js';

const bytes = (base64: string) => new Uint8Array(Buffer.from(base64, 'base64'));

/** 4 x 3: black, white, red, green / blue, (10, 20, 30), (200, 100, 50), grey 128 / yellow, cyan, magenta, grey 77. */
const RGB = bytes(
  'iVBORw0KGgoAAAANSUhEUgAAAAQAAAADCAIAAAA7ljmRAAAAKklEQVR4nAXBsQ0AIAwEsaOlTonERB8xLhWrHTaAKiADnLXfqbsaBRWTfBWXD17tTXbwAAAAAElFTkSuQmCC',
);
/** The same with a palette of 4 bits. */
const PALETTE = bytes(
  'iVBORw0KGgoAAAANSUhEUgAAAAQAAAADBAMAAABG2rP1AAAAJFBMVEX//////wAA//8A/wDIZDKAgIBNTU3/AP//AAAKFB4AAP8AAAAqJKQCAAAAEUlEQVR4nGPccJnp5yFGoRQAE9MDuabyZFkAAAAASUVORK5CYII=',
);
const COLOURS = [
  [0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 255, 0],
  [0, 0, 255, 10, 20, 30, 200, 100, 50, 128, 128, 128],
  [255, 255, 0, 0, 255, 255, 255, 0, 255, 77, 77, 77],
].flat();
/** Pillow's convert('L'). */
const GREYS = [0, 255, 76, 150, 29, 18, 124, 128, 226, 179, 105, 77];
/** 2 x 1, 16 bits: 0x1234, 0xfedc. */
const GREY_16 = bytes(
  'iVBORw0KGgoAAAANSUhEUgAAAAIAAAABEAAAAACB2fwVAAAADUlEQVR4nGMQMvl3BwADwQIhDeNHMgAAAABJRU5ErkJggg==',
);
/** 8 x 1, one bit each: black and white in turn. */
const BITS = bytes('iVBORw0KGgoAAAANSUhEUgAAAAgAAAABAQAAAADLe9LuAAAACklEQVR4nGMIBQAAVwBWP0MfTAAAAABJRU5ErkJggg==');
/** 2 x 1: (1, 2, 3), (4, 5, 6), opaque; and with 254 of 255 for the second. */
const OPAQUE = bytes(
  'iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAYAAAD0In+KAAAAEUlEQVR4nGNkZGL+z8zMzAAABVABEFdxg1EAAAAASUVORK5CYII=',
);
const TRANSPARENT = bytes(
  'iVBORw0KGgoAAAANSUhEUgAAAAIAAAABCAYAAAD0In+KAAAAEUlEQVR4nGNkZGL+z8zM/B8ABk8CD654g9gAAAAASUVORK5CYII=',
);
/** 16 x 8, progressive; Pillow reads pixels 0, 1, 37 and 127 as below. */
const PROGRESSIVE = bytes(
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/2wBDAQMEBAUEBQkFBQkUDQsNFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBT/wgARCAAIABADAREAAhEBAxEB/8QAFAABAAAAAAAAAAAAAAAAAAAABv/EABUBAQEAAAAAAAAAAAAAAAAAAAcG/9oADAMBAAIQAxAAAAE2kyik4XP/xAAWEAADAAAAAAAAAAAAAAAAAAAABAb/2gAIAQEAAQUCXmReZP/EABcRAQADAAAAAAAAAAAAAAAAAAUAITH/2gAIAQMBAT8BMby4Y3lz/8QAFxEAAwEAAAAAAAAAAAAAAAAAAAQGYf/aAAgBAgEBPwF+g0foNP/EABUQAQEAAAAAAAAAAAAAAAAAAAAy/9oACAEBAAY/ApS//8QAFhAAAwAAAAAAAAAAAAAAAAAAADHB/9oACAEBAAE/IVSKk//aAAwDAQACAAMAAAAQV//EABQRAQAAAAAAAAAAAAAAAAAAABD/2gAIAQMBAT8QJn//xAAVEQEBAAAAAAAAAAAAAAAAAAAAMf/aAAgBAgEBPxCzZ//EABQQAQAAAAAAAAAAAAAAAAAAABD/2gAIAQEAAT8QLW//2Q==',
);
const JPEG_PIXELS = { 0: [0, 1, 252], 1: [14, 0, 246], 37: [76, 62, 197], 127: [239, 210, 80] };
/** 16 x 8, grey, baseline: pixels 0, 37 and 127. */
const GREY_JPEG = bytes(
  '/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDAAMCAgMCAgMDAwMEAwMEBQgFBQQEBQoHBwYIDAoMDAsKCwsNDhIQDQ4RDgsLEBYQERMUFRUVDA8XGBYUGBIUFRT/wAALCAAIABABAREA/8QAHwAAAQUBAQEBAQEAAAAAAAAAAAECAwQFBgcICQoL/8QAtRAAAgEDAwIEAwUFBAQAAAF9AQIDAAQRBRIhMUEGE1FhByJxFDKBkaEII0KxwRVS0fAkM2JyggkKFhcYGRolJicoKSo0NTY3ODk6Q0RFRkdISUpTVFVWV1hZWmNkZWZnaGlqc3R1dnd4eXqDhIWGh4iJipKTlJWWl5iZmqKjpKWmp6ipqrKztLW2t7i5usLDxMXGx8jJytLT1NXW19jZ2uHi4+Tl5ufo6erx8vP09fb3+Pn6/9oACAEBAAA/APN/Dn7M/wBz/RP/AB2vU/Dn7M/3P9E/8dr/2Q==',
);
const GREY_JPEG_PIXELS = { 0: 29, 37: 82, 127: 204 };

describe('an image', () => {
  it('has the pixels that Pillow reads, from PNG', async () => {
    for (const png of [RGB, PALETTE]) {
      const { height, width, pixels } = await decodeImage(png, 'x', 3);
      assert.deepEqual([height, width, [...pixels]], [3, 4, COLOURS]);
      const grey = (await decodeImage(png, 'x', 1)).pixels;
      for (const [i, want] of GREYS.entries())
        assert.ok(Math.abs(grey[i] - want) <= 1, `${i}: ${grey[i]}, not ${want}`);
    }
    assert.deepEqual([...(await decodeImage(GREY_16, 'x', 1)).pixels], [0x12, 0xfe]);
    assert.deepEqual([...(await decodeImage(GREY_16, 'x', 3)).pixels], [0x12, 0x12, 0x12, 0xfe, 0xfe, 0xfe]);
    assert.deepEqual([...(await decodeImage(BITS, 'x', 1)).pixels], [0, 255, 0, 255, 0, 255, 0, 255]);
    assert.deepEqual([...(await decodeImage(OPAQUE, 'x', 3)).pixels], [1, 2, 3, 4, 5, 6]);
  });

  it('has them to 3 of 255 from JPEG, progressive and grey', async () => {
    const { height, width, pixels } = await decodeImage(PROGRESSIVE, 'x', 3);
    assert.deepEqual([height, width], [8, 16]);
    for (const [at, want] of Object.entries(JPEG_PIXELS)) {
      for (const [k, value] of want.entries()) assert.ok(Math.abs(pixels[3 * Number(at) + k] - value) <= 3, at);
    }
    const grey = (await decodeImage(GREY_JPEG, 'x', 1)).pixels;
    for (const [at, want] of Object.entries(GREY_JPEG_PIXELS)) assert.ok(Math.abs(grey[Number(at)] - want) <= 3, at);
  });

  it('is refused in words when it is none, is cut short, has no colour somewhere, or claims to be huge', async () => {
    const refused = async (image: Uint8Array, message: string | RegExp) =>
      assert.rejects(decodeImage(image, 'x.png', 1), { code: 'invalid-argument', message });
    await refused(new Uint8Array(), 'x.png: expected a PNG or JPEG image, got "an empty file"');
    await refused(Buffer.from('GIF89a'), 'x.png: expected a PNG or JPEG image, got "another kind of file"');
    await refused(TRANSPARENT, 'x.png: expected no transparent pixel, got "one in row 0, column 1"');
    for (const image of [RGB, PROGRESSIVE, GREY_JPEG]) {
      for (const part of [0.2, 0.5]) {
        const cut = image.slice(0, Math.floor(image.length * part));
        await refused(cut, /^x\.png: expected a whole (PNG|JPEG) image, got one that fails: /);
      }
    }
    const huge = RGB.slice();
    new DataView(huge.buffer).setUint32(16, 60_000);
    new DataView(huge.buffer).setUint32(20, 60_000);
    await refused(huge, 'x.png: expected at most 64 megapixels, got 3600');
  });
});

describe('a folder of images', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-images-'));
  });
  afterEach(() => rm(folder, { recursive: true, force: true }));

  const put = async (name: string, content: Uint8Array) => {
    await mkdir(dirname(join(folder, name)), { recursive: true });
    await writeFile(join(folder, name), content);
  };
  const OPTIONS = { classes: ['gesund', 'krank', 'unklar'], height: 3, width: 4 } as const;
  const refused = (says: string) =>
    assert.rejects(readImageFolder(folder, OPTIONS), { code: 'invalid-argument', message: `${folder}${says}` });

  it('has labels by the order of the classes, and images by class and name', async () => {
    await put('krank/b.PNG', RGB);
    await put('krank/a.png', PALETTE);
    await put('gesund/c.png', RGB);
    await put('gesund/.DS_Store', new Uint8Array(3));
    await put('Thumbs.db', new Uint8Array(3));
    const { count, labels, files, pixels } = await readImageFolder(folder, { ...OPTIONS, channels: 3 });
    assert.deepEqual([count, [...labels], files], [3, [0, 1, 1], ['gesund/c.png', 'krank/a.png', 'krank/b.PNG']]);
    assert.deepEqual([...pixels], [...COLOURS, ...COLOURS, ...COLOURS]);
  });

  it('is refused when it holds anything else', async () => {
    await refused(': expected an image in a folder of its class, got "none"');
    await put('krank/a.png', OPAQUE);
    await refused('/krank/a.png: expected 4 x 3 pixels, got 2 x 1; scale it before, as every lab has to');
    await put('krank/a.png', RGB);
    await put('krank/notes.txt', RGB);
    await refused('/krank/notes.txt: expected a file that ends in .png, .jpg or .jpeg, got "notes.txt"');
    await rm(join(folder, 'krank/notes.txt'));
    await put('Krank/a.png', RGB);
    await refused(': expected a folder for each class: gesund, krank, unklar, got "the folder Krank"');
    await rm(folder, { recursive: true });
    await refused(': expected a readable folder, got ENOENT');
  });
});
