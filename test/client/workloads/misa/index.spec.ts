/** What a client without a modality sends, and what stands in for what it lacks. */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../../client/backends/index.js';
import { uploadTensors } from '../../../../client/training/evaluate.js';
import { misa } from '../../../../client/workloads/misa/index.js';
import { answer, encode, initMisa } from '../../../../client/workloads/misa/model.js';
import { rngFromSeed } from '../../../../shared/rng.js';

const HYPER = misa.manifest.scales.smoke.hyper;
const RNG = rngFromSeed(5);
const AUDIO_ONLY = 4;

describe('multi-modal learning', () => {
  let data: Awaited<ReturnType<typeof misa.load>>;
  before(async () => {
    await selectBackend('cpu');
    data = await misa.load({ hyper: HYPER, rng: RNG });
  });

  it('gives no weight to a modality that a client lacks, and counts digits by what it has', async () => {
    const { shared } = misa.init(RNG, HYPER);
    const train = Int32Array.from([...data.train.speakers.keys()].filter((i) => data.train.speakers[i] === AUDIO_ONLY));
    assert.equal(train.length, 20); // two takes of ten digits
    const shard = { train, test: new Int32Array(0), index: 0, count: 1 };
    const context = { hyper: HYPER, shard, split: 'train', shared, privateTensors: {}, data, rng: RNG } as const;
    const { tensors = {}, weights = {} } = await misa.contribute!(context);
    for (const [name, weight] of Object.entries(weights)) {
      const expected = name.includes('image') ? 0 : name.startsWith('prototypes/') ? 2 : 20;
      assert.equal(weight, expected, name);
    }
    assert.equal(Object.keys(tensors).length, 20);
    const [s] = tf.tidy(() => {
      const batch = misa.batch(data, train, { hyper: HYPER, shard, split: 'train' });
      return [encode(uploadTensors(shared), batch).audio!.s.arraySync()];
    });
    const threes = s.filter((_, row) => data.train.labels[train[row]] === 3);
    for (const [k, value] of tensors['prototypes/audio-3'].data.entries()) {
      assert.ok(Math.abs(value - (threes[0][k] + threes[1][k]) / 2) < 1e-6);
    }
  });

  it('puts the prototypes of what is heard in the place of what is not seen', () => {
    const size = { side: 8, hidden: 6, width: 4, filters: 2 };
    const said = (imageOfNearest: number) =>
      tf.tidy(() => {
        const params: Record<string, tf.Tensor> = uploadTensors(initMisa(RNG, size));
        const s = tf.tensor2d([[1, 0, 0, 0]]);
        // Digit 2 sounds like s exactly; all others are as far as they can be, so they have no say: exp(-20 x 4 / 4).
        for (let digit = 0; digit < 10; digit++) {
          params[`prototypes/audio-${digit}`] = tf.tensor1d(digit === 2 ? [1, 0, 0, 0] : [0, 1, 1, 1]);
          params[`prototypes/image-${digit}`] = tf.fill([4], digit === 2 ? imageOfNearest : 0.5);
        }
        const there = tf.ones([1, 1]);
        const encodings = {
          audio: { h: tf.zeros([1, 6]), s, p: s },
          image: { h: tf.zeros([1, 6]), s: tf.fill([1, 4], 0.9), p: s },
        };
        const both = { ...encodings, image: { ...encodings.image, p: tf.zeros([1, 4]) } } as never;
        const heard = answer(params, both, { audio: there }).arraySync()[0];
        const [kernel, bias] = ['kernel', 'bias'].map((part) => params[`image/fuse-private/${part}`]);
        // Seeing 0.9 everywhere, and nothing private, is the same but for the private layer's bias, which is 0 at first.
        assert.equal(Math.max(...bias.dataSync().map(Math.abs)), 0);
        assert.equal(kernel.shape[0], 4);
        const seen = answer(params, both, { audio: there, image: there }).arraySync()[0];
        return { heard, seen };
      });
    const near = said(0.9);
    for (const [digit, value] of near.heard.entries()) assert.ok(Math.abs(value - near.seen[digit]) < 1e-4);
    const far = said(0.1);
    assert.ok(far.heard.some((value, digit) => Math.abs(value - far.seen[digit]) > 1e-3));
  });
});
