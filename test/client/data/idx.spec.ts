import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { parseIdx, readIdx } from '../../../client/data/idx.js';
import { FlError } from '../../../shared/errors.js';

/** Two images of 1 x 3: the layout of http://yann.lecun.com/exdb/mnist/, "the IDX file format". */
const WHOLE = Uint8Array.of(0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 3, 1, 2, 3, 4, 5, 6);

describe('the idx reader', () => {
  let folder: string;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-idx-'));
  });
  after(() => rm(folder, { recursive: true, force: true }));

  it('reads shape and values, also from the middle of a buffer', () => {
    const held = new Uint8Array(WHOLE.length + 5);
    held.set(WHOLE, 5);
    for (const bytes of [WHOLE, held.subarray(5)]) {
      const { shape, values } = parseIdx(bytes, 3, 'x');
      assert.deepEqual(shape, [2, 1, 3]);
      assert.deepEqual(Array.from(values), [1, 2, 3, 4, 5, 6]);
    }
  });

  it('unpacks what ends in .gz', async () => {
    const path = join(folder, 'images.gz');
    await writeFile(path, gzipSync(WHOLE));
    for (const name of [path, path.slice(0, -'.gz'.length)])
      assert.deepEqual((await readIdx(name, 3)).shape, [2, 1, 3]);
  });

  it('names the file and what is wrong with it', async () => {
    const changed = (index: number, value: number) => Object.assign(WHOLE.slice(), { [index]: value });
    const cases: [string, Uint8Array, RegExp][] = [
      ['empty', new Uint8Array(0), /expected a header of 16 bytes, got 0 bytes/],
      ['cut-header', WHOLE.slice(0, 15), /expected a header of 16 bytes, got 15 bytes/],
      ['cut', WHOLE.slice(0, -1), /expected 6 values for shape \[2,1,3\], got 5/],
      ['long', Uint8Array.of(...WHOLE, 7), /expected 6 values for shape \[2,1,3\], got 7/],
      ['floats', changed(2, 13), /expected idx magic 0 0 8 3, got 0 0 13 3/],
      ['labels', changed(3, 1), /expected idx magic 0 0 8 3, got 0 0 8 1/],
      ['huge', changed(4, 255), /expected 12834570246 values/], // 0xff000002 · 3
      ['page.gz', WHOLE, /incorrect header check/],
    ];
    for (const [name, bytes, message] of cases) {
      const path = join(folder, name);
      await writeFile(path, bytes);
      await assert.rejects(readIdx(path, 3), (error) => {
        assert.ok(error instanceof FlError && error.code === 'corrupt');
        assert.ok(error.message.startsWith(path));
        assert.match(error.message, message);
        return true;
      });
    }
  });

  it('says that a file is not there', async () => {
    await assert.rejects(
      readIdx(join(folder, 'none'), 3),
      (error) => error instanceof FlError && error.code === 'data-missing',
    );
  });
});
