import assert from 'node:assert/strict';
import { crc32, inflateSync } from 'node:zlib';
import { attentionPicture } from '../../../client/pictures/attention.js';
import { Canvas } from '../../../client/pictures/canvas.js';
import { confusionPicture } from '../../../client/pictures/confusion.js';
import { curvesPicture } from '../../../client/pictures/curves.js';
import { galleryPicture } from '../../../client/pictures/gallery.js';
import { encodePng } from '../../../client/pictures/png.js';

interface Decoded {
  readonly width: number;
  readonly height: number;
  readonly pixel: (x: number, y: number) => number[];
}

/** Reads back what we write, chunk by chunk as the PNG specification says. */
function decode(png: Uint8Array): Decoded {
  const bytes = Buffer.from(png);
  assert.equal(bytes.subarray(0, 8).toString('latin1'), '\x89PNG\r\n\x1a\n');
  const chunks = new Map<string, Buffer>();
  for (let at = 8; at < bytes.length; ) {
    const length = bytes.readUInt32BE(at);
    const named = bytes.subarray(at + 4, at + 8 + length);
    assert.equal(bytes.readUInt32BE(at + 8 + length), crc32(named));
    chunks.set(named.subarray(0, 4).toString('latin1'), named.subarray(4));
    at += 12 + length;
  }
  assert.deepEqual([...chunks.keys()], ['IHDR', 'IDAT', 'IEND']);
  const header = chunks.get('IHDR')!;
  const [width, height] = [header.readUInt32BE(0), header.readUInt32BE(4)];
  assert.deepEqual([...header.subarray(8)], [8, 2, 0, 0, 0]);
  const rows = inflateSync(chunks.get('IDAT')!);
  const stride = width * 3;
  assert.equal(rows.length, height * (stride + 1));
  const rgb = new Uint8Array(height * stride);
  for (let y = 0; y < height; y++) {
    assert.equal(rows[y * (stride + 1)], 2);
    for (let x = 0; x < stride; x++) {
      rgb[y * stride + x] = rows[y * (stride + 1) + 1 + x] + (y > 0 ? rgb[(y - 1) * stride + x] : 0);
    }
  }
  return { width, height, pixel: (x, y) => [...rgb.subarray((y * width + x) * 3, (y * width + x) * 3 + 3)] };
}

describe('the PNG writer', () => {
  it('writes every pixel', () => {
    const rgb = Uint8Array.from({ length: 5 * 3 * 3 }, (_, i) => (i * 37) % 256);
    const { width, height, pixel } = decode(encodePng(5, 3, rgb));
    assert.deepEqual([width, height], [5, 3]);
    assert.deepEqual(
      [0, 1, 2].flatMap((y) => [0, 1, 2, 3, 4].flatMap((x) => pixel(x, y))),
      [...rgb],
    );
  });

  it('begins as every PNG of this size does', () => {
    // signature, then IHDR of 1 x 1, 8 bit, RGB with CRC 90 77 53 de, as in any 1 x 1 RGB image, libpng's too
    const hex = Buffer.from(encodePng(1, 1, new Uint8Array(3))).toString('hex');
    assert.ok(hex.startsWith('89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de'));
  });

  it('refuses what is no picture', () => {
    assert.throws(() => encodePng(2, 2, new Uint8Array(11)), /rgb: expected 2 x 2 x 3 bytes, got 11/);
    assert.throws(() => encodePng(0, 0, new Uint8Array(0)), RangeError);
  });
});

describe('pictures', () => {
  it('draw text, and nothing outside their edges', () => {
    const canvas = new Canvas(9, 9, [0, 0, 0]);
    canvas.text('11', 0, 4, { colour: [9, 9, 9], scale: 1 });
    canvas.rect(8, 8, 5, 5, [7, 7, 7]);
    const { pixel } = decode(canvas.png());
    // rows of "1": ..#.. .##.. ..#.. ..#.. ..#.. ..#.. .###., from y = 1
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7].map((y) => [0, 1, 2, 3, 4].map((x) => pixel(x, y)[0] / 9).join('')),
      [...['00100', '01100', '00100', '00100', '00100', '00100', '01110']],
    );
    assert.deepEqual(pixel(8, 8), [7, 7, 7]);
  });

  it('show a class without examples, long names and an empty gallery', () => {
    const { width, height } = decode(confusionPicture([3, 1, 0, 0], ['t-shirt', 'pullover'], 'half'));
    assert.ok(width > 100 && height > 100);
    assert.ok(decode(galleryPicture('none', [], { height: 2, width: 2, columns: 3, scale: 4 })).width > 0);
  });

  it('show attention: the darker, the more weight, and nothing of what lies ahead', () => {
    const { pixel } = decode(
      attentionPicture('a', 'ab', [{ name: 'head', weights: Float32Array.of(1, 0, 0.25, 0.75) }], 1),
    );
    // cells of 9 from (38, 100); a weight of 1/4 is half the way from white to the full colour
    assert.deepEqual(pixel(40, 102), [29, 78, 216]);
    assert.deepEqual(pixel(49, 102), [243, 244, 246]);
    assert.deepEqual(pixel(40, 111), [142, 167, 236]);
  });

  it('show curves where their values are, and none at all', () => {
    const { pixel } = decode(curvesPicture('a', 'steps', [{ name: 'one', shares: [0.5, 1] }]));
    // shares 0 to 1 lie between y = 374 and 74; step 0 is x = 84, step 1 is 90 further
    assert.deepEqual(pixel(84, 224), [29, 78, 216]);
    assert.deepEqual(pixel(174, 74), [29, 78, 216]);
    assert.deepEqual(pixel(129, 149), [29, 78, 216]);
    assert.ok(decode(curvesPicture('none', 'steps', [])).width > 0);
  });
});
