/** ZIP archives and black-and-white PNGs, against files of other programs. */
import assert from 'node:assert/strict';
import { readBitmap } from '../../../client/data/bitmap.js';
import { readZip } from '../../../client/data/zip.js';
import { FlError } from '../../../shared/errors.js';

/** Python 3.11 zipfile: a folder, "as it is" stored, "na" 40 times deflated, and a comment at the end. */
const PYTHON_ZIP =
  'UEsDBBQAAAAAAAAAIQAAAAAAAAAAAAAAAAAHAAAAZm9sZGVyL1BLAwQUAAAAAAAAACFQsyROlggAAAAIAAAAEQAAAGZvbGRlci9zdG9yZWQudHh0YXMg' +
  'aXQgaXNQSwMEFAAAAAgAAAAhUASuly8HAAAAUAAAABEAAABmb2xkZXIvcGFja2VkLnR4dMtLzKMqBABQSwECFAMUAAAAAAAAACEAAAAAAAAAAAAAAAAABwAA' +
  'AAAAAAAAABAA/0EAAAAAZm9sZGVyL1BLAQIUAxQAAAAAAAAAIVCzJE6WCAAAAAgAAAARAAAAAAAAAAAAAACAASUAAABmb2xkZXIvc3RvcmVkLnR4dFBLAQIU' +
  'AxQAAAAIAAAAIVAErpcvBwAAAFAAAAARAAAAAAAAAAAAAACAAVwAAABmb2xkZXIvcGFja2VkLnR4dFBLBQYAAAAAAwADALMAAACSAAAAFgBtYWRlIGJ5IFB5' +
  'dGhvbiB6aXBmaWxl';
/** Info-ZIP 3.0, `printf 'streamed streamed streamed' | zip - -`: sizes follow the content and stand in the directory. */
const STREAMED_ZIP =
  'UEsDBC0ACAAIAOUDeV0AAAAA//////////8BABQALQEAEAAAAAAAAAAAAAAAAAAAAAAAKy4pSk3MTU1RKEZnAABQSwcIJOQDiw4AAAAAAAAAGgAAAAAAAABQ' +
  'SwECHgMtAAgACADlA3ldJOQDiw4AAAAaAAAAAQAAAAAAAAABAAAAgBEAAAAALVBLBQYAAAAAAQABAC8AAABZAAAAAAA=';
/** PngSuite basn0g01.png (W. van Schaik; free for any purpose): 32 x 32, one bit. */
const PNG_SUITE =
  'iVBORw0KGgoAAAANSUhEUgAAACAAAAAgAQAAAABbAUdZAAAABGdBTUEAAYagMeiWXwAAAFtJREFUCJktzLEJAzAMBdHr0gSySiALejRvkBU8gsGNCmFFB1Hx' +
  '4IovqurSpIRszqklUwbnUzRXEuIRsiG/SyY9G0JzJSVei9qynm9qyjBpLp0pYW7pbzBl8L8fEIdJL6WUeFsAAAAASUVORK5CYII=';

function unpacked(base64: string): Record<string, string> {
  const files = [...readZip(Buffer.from(base64, 'base64'), 'test.zip')];
  return Object.fromEntries(files.map(({ name, bytes }) => [name, Buffer.from(bytes).toString()]));
}

const isCorrupt = (pattern: RegExp) => (error: unknown) =>
  error instanceof FlError && error.code === 'corrupt' && pattern.test(error.message);

describe('a ZIP archive', () => {
  it('gives its stored and deflated files, without folders', () => {
    assert.deepEqual(unpacked(PYTHON_ZIP), { 'folder/stored.txt': 'as it is', 'folder/packed.txt': 'na'.repeat(40) });
  });

  it('may have been written as a stream', () => {
    assert.deepEqual(unpacked(STREAMED_ZIP), { '-': 'streamed streamed streamed' });
  });

  it('that is cut, damaged or none at all is an error that names the file', () => {
    const whole = Buffer.from(PYTHON_ZIP, 'base64');
    const read = (bytes: Uint8Array) => () => [...readZip(bytes, 'test.zip')];
    assert.throws(read(whole.subarray(0, whole.length - 40)), isCorrupt(/^test\.zip: expected a ZIP archive/));
    assert.throws(read(new Uint8Array(0)), isCorrupt(/^test\.zip: expected a ZIP archive/));
    const damaged = Buffer.from(whole);
    damaged[damaged.indexOf('as it is')] ^= 1;
    assert.throws(read(damaged), isCorrupt(/^test\.zip: folder\/stored\.txt: size or CRC-32 is wrong/));
  });
});

describe('a black-and-white PNG', () => {
  const bytes = Buffer.from(PNG_SUITE, 'base64');

  it('gives its pixels, 1 for white', () => {
    const { width, height, pixels } = readBitmap(bytes, 'a.png');
    const row = (y: number) => pixels.subarray(y * width, (y + 1) * width).join('');
    assert.deepEqual([width, height], [32, 32]);
    // basn0g01.sng beside the image in the Go distribution, ff as 1 and 00 as 0
    assert.equal(row(0), `${'1'.repeat(31)}0`);
    assert.equal(row(4), '11110011111100111111111111100000');
    assert.equal(row(31), '0'.repeat(32));
  });

  it('of another kind or cut short is an error that names the file', () => {
    const grey = Buffer.from(bytes);
    grey[24] = 8;
    assert.throws(() => readBitmap(grey, 'a.png'), isCorrupt(/^a\.png: expected one grey bit/));
    const huge = Buffer.from(bytes);
    huge.writeUInt32BE(5000, 16);
    assert.throws(() => readBitmap(huge, 'a.png'), isCorrupt(/^a\.png: expected sides of 1 to 4096, got 5000 x 32/));
    const damaged = Buffer.from(bytes);
    damaged[bytes.indexOf('IDAT') + 20] ^= 1;
    assert.throws(() => readBitmap(damaged, 'a.png'), isCorrupt(/^a\.png: /));
    assert.throws(() => readBitmap(bytes.subarray(0, 80), 'a.png'), isCorrupt(/^a\.png: /));
    assert.throws(() => readBitmap(Buffer.from('GIF89a'), 'a.png'), isCorrupt(/^a\.png: expected a PNG/));
  });
});
