/**
 * The losses of representation learning, on embeddings whose similarities are 0 or 1, so that each number can be had with
 * a pocket calculator from the papers' equations.
 */
import assert from 'node:assert/strict';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../../../client/backends/index.js';
import { contrastiveLoss, sameImage, sameLabel, tripletLoss } from '../../../../client/workloads/simclr/contrastive.js';
import { simclr } from '../../../../client/workloads/simclr/index.js';
import { lossOf } from '../../../../client/workloads/simclr/loss.js';
import { rngFromSeed } from '../../../../shared/rng.js';

/** Two images, each seen twice: rows 0 and 2 are equal, and so are 1 and 3. */
const TWO_IMAGES = [
  [1, 0],
  [0, 1],
  [1, 0],
  [0, 1],
];

function near(tensor: tf.Tensor, expected: number): void {
  const [got] = tensor.dataSync();
  assert.ok(Math.abs(got - expected) < 1e-5, `expected ${expected}, got ${got}`);
}

describe('contrastive losses', () => {
  before(() => selectBackend('cpu'));
  beforeEach(() => tf.engine().startScope());
  afterEach(() => tf.engine().endScope());

  it('NT-Xent: of two images that are told apart, -log(e^1 / (e^1 + e^0 + e^0)) at temperature 1', () => {
    near(contrastiveLoss(tf.tensor2d(TWO_IMAGES), sameImage(2), 1), Math.log((Math.E + 2) / Math.E));
  });

  it('NT-Xent: a lower temperature sharpens: -log(e^2 / (e^2 + 2)) at 1/2', () => {
    near(contrastiveLoss(tf.tensor2d(TWO_IMAGES), sameImage(2), 0.5), Math.log((Math.E ** 2 + 2) / Math.E ** 2));
  });

  it('NT-Xent: with negatives of its own, an anchor meets no other and is no negative', () => {
    const z = tf.tensor2d([...TWO_IMAGES, [0, 1]]); // rows 0 to 3 are anchors, row 4 is what they are told from
    const alike = tf.pad(sameImage(2), [[0, 1], [0, 1]]) as tf.Tensor2D; // biome-ignore format: one matrix
    const apart = tf.tensor2d(Array.from({ length: 5 }, () => [0, 0, 0, 0, 1]));
    // anchors 0 and 2: -log(e / (e + 1)); anchors 1 and 3, which equal the negative: -log(e / (e + e))
    near(contrastiveLoss(z, alike, 1, apart), (Math.log((Math.E + 1) / Math.E) + Math.log(2)) / 2);
  });

  it('SupCon: with one label for all, three like ones that share everything, log 3', () => {
    const labels = tf.tensor2d([[1, 0], [1, 0]]); // biome-ignore format: one matrix
    near(contrastiveLoss(tf.tensor2d([[1, 0], [1, 0], [1, 0], [1, 0]]), sameLabel(labels), 1), Math.log(3)); // biome-ignore format: one matrix
  });

  it('SupCon: the mean over like ones is of logarithms (L_out of the paper, eq. 2)', () => {
    const labels = tf.tensor2d([[1, 0], [1, 0]]); // biome-ignore format: one matrix
    // each anchor: similarities 1, 0, 0, all three like it: -(1 + 0 + 0)/3 + log(e + 2)
    near(contrastiveLoss(tf.tensor2d(TWO_IMAGES), sameLabel(labels), 1), Math.log(Math.E + 2) - 1 / 3);
  });

  it('triplet: softplus of the hardest positive less the hardest negative distance', () => {
    const labels = tf.tensor2d([[1, 0], [0, 1]]); // biome-ignore format: one matrix
    // positives at distance 0 (0.001 by the constant under the root), negatives at √2
    near(tripletLoss(tf.tensor2d(TWO_IMAGES), sameLabel(labels)), Math.log1p(Math.exp(0.001 - Math.SQRT2)));
  });

  it('triplet: a client with one label has nothing to learn, and no number that is not finite', () => {
    const labels = tf.tensor2d([[1, 0], [1, 0]]); // biome-ignore format: one matrix
    near(tripletLoss(tf.tensor2d(TWO_IMAGES), sameLabel(labels)), 0);
  });

  for (const loss of ['nt-xent', 'supcon', 'triplet']) {
    it(`${loss}: has a finite gradient for every parameter of the encoder and the projector`, async () => {
      const hyper = { ...simclr.manifest.scales.smoke.hyper, loss };
      const data = await simclr.load({ hyper, rng: rngFromSeed(1) });
      const { shared, private: own = {} } = simclr.init(rngFromSeed(2), hyper);
      const trained = Object.entries({ ...shared, ...own }).filter(([name]) => !name.startsWith('previous/'));
      const names = trained.map(([name]) => name);
      const tensors = trained.map(([, { shape, data: values }]) => tf.tensor(values, [...shape]));
      const params = Object.fromEntries(names.map((name, i) => [name, tensors[i]]));
      const shard = { train: Int32Array.of(0, 1, 2, 3, 4, 5), test: new Int32Array(0), index: 0, count: 1 };
      const batch = simclr.batch(data, shard.train, { hyper, shard, split: 'train' });
      const { grads } = tf.engine().gradients(() => lossOf(hyper, data.bank)(params, batch, rngFromSeed(3)), tensors);
      for (const [i, grad] of grads.entries()) {
        assert.ok(grad !== undefined, `no gradient for ${names[i]}`);
        assert.ok(grad.dataSync().every(Number.isFinite), names[i]);
      }
      assert.ok(grads.some((grad) => grad.dataSync().some((value) => value !== 0)));
    });
  }
});
