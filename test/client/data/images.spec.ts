import assert from 'node:assert/strict';
import { join } from 'node:path';
import { HELD_OUT, SITES, takeImage } from '../../../client/data/acquisition.js';
import { readIdx } from '../../../client/data/idx.js';
import { type ImageRequest, loadImages } from '../../../client/data/images.js';
import { findData } from '../../../client/data/index.js';
import { rngFromSeed } from '../../../shared/rng.js';

const REQUEST: ImageRequest = { name: 'mnist', trainExamples: 0, testExamples: 0, drawnSize: 12, rng: rngFromSeed(1) };

describe('MNIST', () => {
  it('is the canonical set: 60,000 and 10,000 images with the known mean and deviation', async () => {
    // 0.1307 and 0.3081: the normalisation of the PyTorch examples (pytorch/examples, mnist/main.py)
    const { train, test, mean, stdDev } = await loadImages(REQUEST);
    assert.deepEqual([train.count, test.count, train.height, train.width], [60_000, 10_000, 28, 28]);
    let sum = 0;
    let squares = 0;
    for (const pixel of train.pixels) {
      sum += pixel / 255;
      squares += (pixel / 255) ** 2;
    }
    const average = sum / train.pixels.length;
    assert.equal(average.toFixed(4), '0.1307');
    assert.equal(Math.sqrt(squares / train.pixels.length - average ** 2).toFixed(4), '0.3081');
    assert.deepEqual([mean, stdDev], [0.1307, 0.3081]);
  });

  it('is taken in part at even distances', async () => {
    const { train } = await loadImages({ ...REQUEST, trainExamples: 6, testExamples: 1 });
    const labels = await readIdx(join(findData('mnist'), 'train-labels-idx1-ubyte'), 1);
    assert.deepEqual(
      Array.from(train.labels),
      [0, 1, 2, 3, 4, 5].map((i) => labels.values[i * 10_000]),
    );
    assert.equal(train.pixels.length, 6 * 784);
  });

  it('has no more examples than it has', async () => {
    await assert.rejects(
      loadImages({ ...REQUEST, trainExamples: 60_001 }),
      /examples of train: expected at most 60000, got 60001/,
    );
    await assert.rejects(
      loadImages({ ...REQUEST, name: 'imagenet' }),
      /hyper\.data: expected mnist, fashion-mnist or drawn/,
    );
  });
});

describe('drawn digits', () => {
  it('are equal for equal seeds, with every label equally often', async () => {
    const draw = (seed: number) =>
      loadImages({ ...REQUEST, name: 'drawn', trainExamples: 20, testExamples: 10, rng: rngFromSeed(seed) });
    assert.deepEqual(await draw(1), await draw(1));
    assert.notDeepEqual((await draw(1)).train.pixels, (await draw(2)).train.pixels);
    assert.deepEqual(Array.from((await draw(1)).test.labels), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
  });
});

describe('acquisition', () => {
  // A bright square on a dark ground, away from the marker's corner; 204 / 255 = 0.8.
  const square = new Uint8Array(144);
  for (const y of [7, 8, 9]) square.fill(204, y * 12 + 7, y * 12 + 10);
  const taken = (site: number, label = 0, example = 0): Float32Array => {
    const count = example + 1;
    const pixels = new Uint8Array(count * 144);
    pixels.set(square, example * 144);
    const out = new Float32Array(144);
    takeImage({ count, height: 12, width: 12, pixels, labels: new Uint8Array(count).fill(label) }, example, site, out);
    return out;
  };

  it('differs from site to site, repeats itself, and is unlike any site in real life', () => {
    const kinds = [...Array(SITES).keys(), HELD_OUT].map((site) => taken(site).slice(60).join());
    assert.equal(new Set(kinds).size, SITES + 1);
    assert.deepEqual(taken(3, 4, 17), taken(3 + SITES, 4, 17));
  });

  it('does what it says: a negative, a mean over 3 x 3, less contrast', () => {
    const at = (site: number) => taken(site)[8 * 12 + 7]; // left edge of the square
    assert.equal(at(0).toFixed(4), '0.8000');
    assert.equal(at(1).toFixed(4), '0.2000');
    assert.equal(at(2).toFixed(4), '0.5333'); // 6 of 9 pixels are 0.8
    assert.equal(at(3).toFixed(4), '0.6200'); // 0.4 · 0.8 + 0.3
    assert.equal(at(HELD_OUT).toFixed(4), '0.4800'); // 0.8 − 0.6 · 0.5333
  });

  it('marks 95 of 100 images of five labels, 5 of 100 of the others, and none in real life', () => {
    const marked = (site: number, label: number) => {
      const set = {
        count: 2000,
        height: 5,
        width: 5,
        pixels: new Uint8Array(50_000),
        labels: new Uint8Array(2000).fill(label),
      };
      const image = new Float32Array(25);
      let count = 0;
      for (let example = 0; example < 2000; example++) {
        takeImage(set, example, site, image);
        if (image[0] === 1) count++;
      }
      return count / 2000;
    };
    // site 0: labels 0..4. The deviation of a share of 2,000 draws is 0.005: four of them are allowed.
    for (let label = 0; label < 10; label++) {
      assert.ok(Math.abs(marked(0, label) - (label < 5 ? 0.95 : 0.05)) < 0.02, `label ${label}`);
    }
    const real = taken(HELD_OUT, 0);
    assert.equal(real[0], real[5]); // the corner is like the ground beside it
  });
});
