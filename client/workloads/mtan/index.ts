/**
 * Multi-task learning: segmentation, depth and surface normals of ray-traced scenes with one network and an attention
 * mask for each task (Liu, Johns and Davison 2019, arXiv:1803.10704), where no client has the labels of all three.
 *
 * Six sites take pictures; each has labels for one or two of the tasks. All images shape the trunk; a task's own tensors
 * are averaged over the clients that own it, with a weight for each tensor. Losses are weighed by Dynamic Weight Average,
 * from their sums over clients (losses.ts).
 *
 * Losses of an example (section 3.4): cross-entropy over pixels; mean |depth error|; mean squared distance of unit normals,
 * which is 2 (1 - cosine). Of tasks that its site does not own there are none.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import { type Scenes, traceScenes } from '../../data/scenes.js';
import { defineWorkload } from '../../workload.js';
import { hyperChoice, hyperInteger } from '../parts/hyper.js';
import { batchOf, type MtanData, owns } from './batch.js';
import { mtanFloors } from './floors.js';
import { isDynamic, measureLosses, outputsOf, perExample } from './losses.js';
import { FIGURES, SIZES, taskSums } from './measures.js';
import { forward, initMtan, TASKS, type Task } from './model.js';
import { scenesArtefact } from './pictures.js';

/** Losses travel in units of this, so that they lie within a masked value's range. */
const LOSS_UNIT = 16;
/** Training scenes by which a client measures the losses that it sends. */
const MEASURED = 16;
/** By what a network is better than three: one figure for each task. */
const GAINS = [
  { metric: 'test.miou', better: 'higher' },
  { metric: 'test.depth-error', better: 'lower' },
  { metric: 'test.angle', better: 'lower' },
] as const;
/** So narrow, three networks are about as large as the shared one (121 k numbers at scale demo, against 132 k). */
const SINGLE_WIDTH = 0.8;
const NO_EXAMPLES = new Int32Array(0);

const DEMO: Hyper = {
  network: 'shared', // or single: a network of its own for each task, narrower by SINGLE_WIDTH
  weighting: 'dwa', // or equal: then there is no channel of losses
  temperature: 2,
  'image-size': 24, // a multiple of 4
  'train-scenes': 18, // of all sites together
  'test-scenes': 120,
  sites: 6,
  'width-0': 10,
  'width-1': 20,
  'width-2': 40,
};

export const mtan = defineWorkload<MtanData>({
  manifest: {
    name: 'mtan',
    topic: 'Multi-task learning',
    paper: 'Liu, Johns and Davison 2019, End-to-End Multi-Task Learning with Attention',
    data: 'scenes that are ray traced on the spot, with exact ground truth',
    privacyUnits: ['client', 'example'],
    roleKeys: [],
    headline: { metric: 'test.score', better: 'higher' },
    published: (
      [
        ['test.miou', 0.177],
        ['test.depth-error', 0.59],
        ['test.angle', 31.4],
      ] as const
    ).map(([metric, value]) => ({
      metric,
      value,
      source: 'Liu, Johns and Davison 2019, table 3: NYUv2, 13 classes',
      note: 'quoted from memory; real rooms in all their clutter, 288 x 384 pixels, SegNet; here drawn ones of three solids',
    })),
    comparisons: [
      {
        name: 'single-task',
        label: 'three networks, together as large',
        settings: { hyper: { network: 'single', weighting: 'equal' } },
      },
      {
        name: 'example',
        label: 'private by scene',
        settings: {
          privacy: 'example',
          'secure-aggregation': true,
          'noise-multiplier': 1,
          'sampling-rate': 1,
          momentum: 0,
          hyper: { weighting: 'equal' }, // the losses by task would be a second release
        },
      },
    ],
    bars: [
      { metric: 'Δm', gainsOf: GAINS, row: 'federated', against: 'federated/single-task', atLeast: 0 },
      ...GAINS.map(({ metric, better }) => {
        const isMet = better === 'higher' ? { atLeast: 0 } : { atMost: 0 };
        return { metric, row: 'federated', against: 'local', on: 'each', ...isMet } as const;
      }),
    ],
    phases: (hyper, shared) => {
      const isUpdate = ({ name }: { name: string }) => !name.startsWith('losses/');
      const how = { reduce: 'mean', weight: 'per-tensor' } as const;
      const update = { name: 'update', tensors: shared.filter(isUpdate), ...how };
      const losses = {
        name: 'losses',
        tensors: TASKS.map((task) => ({ name: task, shape: [2] })),
        ...how,
        clip: { norm: 0.5 },
      };
      return [{ name: 'train', channels: isDynamic(hyper) ? [update, losses] : [update] }];
    },
    figures: () => FIGURES,
    maskedMetrics: () => [
      { name: 'loss', size: 1, max: 16 },
      ...TASKS.map((task) => ({ name: task, size: SIZES[task], max: 1 })),
    ],
    scales: {
      smoke: {
        clients: 6,
        cohort: 6,
        rounds: 3,
        partition: 'natural',
        training: { localEpochs: 2, batchSize: 8, clientLr: 0.1, momentum: 0.9, gradientClipNorm: 1 },
        hyper: {
          ...DEMO,
          'image-size': 8,
          'train-scenes': 24,
          'test-scenes': 12,
          'width-0': 3,
          'width-1': 3,
          'width-2': 3,
        },
      },
      demo: {
        clients: 6,
        cohort: 6,
        rounds: 120,
        partition: 'natural',
        strategy: 'fedavgm:momentum=0.8',
        training: {
          localSteps: 3,
          batchSize: 5,
          clientLr: 0.2,
          gradientClipNorm: 1,
          lrSchedule: 'cosine',
        },
        hyper: DEMO,
      },
      full: {
        clients: 6,
        cohort: 6,
        rounds: 200,
        partition: 'natural',
        training: { localEpochs: 1, batchSize: 8, clientLr: 0.05, momentum: 0.9 },
        hyper: {
          ...DEMO,
          'image-size': 96,
          'train-scenes': 4770,
          'test-scenes': 654,
          'width-0': 32,
          'width-1': 64,
          'width-2': 128,
        },
      },
    },
  },

  init(rng, hyper) {
    const sharing = hyperChoice(hyper, 'network', ['shared', 'single']);
    const factor = sharing === 'single' ? SINGLE_WIDTH : 1;
    const widths = [0, 1, 2].map((level) => Math.round(factor * hyperInteger(hyper, `width-${level}`, 1)));
    const weighed = isDynamic(hyper) ? TASKS : [];
    const losses = weighed.map((task) => [`losses/${task}`, { shape: [2], data: new Float32Array(2) }]);
    const network = initMtan(rng, widths, sharing);
    return { shared: { ...network, ...Object.fromEntries(losses) } };
  },

  async load({ hyper, rng }) {
    const sites = hyperInteger(hyper, 'sites', 1);
    const size = hyperInteger(hyper, 'image-size', 4);
    const trace = (split: string) =>
      traceScenes(rng.split(split), { count: hyperInteger(hyper, `${split}-scenes`, 1), size, sites });
    return { train: trace('train'), test: trace('test') };
  },

  examples({ train, test }) {
    const of = ({ count, sites }: Scenes) => ({ count, groups: sites });
    return { train: of(train), test: of(test) };
  },

  batch: batchOf,

  loss(params, batch) {
    return tf.mean(perExample(params, batch, outputsOf(params, batch)));
  },

  perExampleLoss(params, batch) {
    return perExample(params, batch, outputsOf(params, batch));
  },

  async contribute({ shared, data, hyper, shard }) {
    const { sites } = data.train;
    const counts = TASKS.map((task) => shard.train.filter((i) => owns(sites[i], task)).length);
    const weights: Record<string, number> = {};
    for (const name of Object.keys(shared)) {
      const isLoss = name.startsWith('losses/');
      const k = TASKS.findIndex((task) => name.startsWith(`${task}/`) || name === `losses/${task}`);
      if (k >= 0) weights[isLoss ? name : `update/${name}`] = counts[k];
    }
    if (!isDynamic(hyper)) return { weights };
    const losses = await measureLosses(shared, data, shard.train.slice(0, MEASURED), { hyper, shard, split: 'train' });
    const tensors = TASKS.map((task, k) => {
      const [last] = shared[`losses/${task}`].data;
      return [`losses/${task}`, { shape: [2], data: Float32Array.of(losses[k] / LOSS_UNIT, last) }];
    });
    return { tensors: Object.fromEntries(tensors), weights };
  },

  metrics(params, batch) {
    const outputs = outputsOf(params, batch);
    const count = batch.images.shape[0];
    const sums = TASKS.map((task) => {
      const found = outputs[task];
      const none = () => tf.zeros([SIZES[task]]);
      const sum =
        found === undefined ? none() : taskSums(task, found.output, batch, batch[`owns/${task}`] as tf.Tensor1D);
      return [task, { sum, count }] as const;
    });
    return { loss: { sum: tf.sum(perExample(params, batch, outputs)), count }, ...Object.fromEntries(sums) };
  },

  floors: mtanFloors,

  predict: {
    inputs(hyper) {
      const side = hyperInteger(hyper, 'image-size', 4);
      const about = 'red, green and blue less 0.5; then how far right and how far down the pixel is, -0.5..0.5';
      return { images: { shape: [side, side, 5], about } };
    },
    outputs: {
      segmentation: 'of each pixel: the probability of each class',
      depth: 'of each pixel',
      normals: 'of each pixel: the direction of the surface, x, y, z, of any length',
    },
    forward(params, { images }) {
      const outputs = forward(params, images as tf.Tensor4D, TASKS);
      const of = (task: Task) => (outputs[task] as { output: tf.Tensor4D }).output;
      return { segmentation: tf.softmax(of('segmentation')), depth: of('depth'), normals: of('normals') };
    },
  },

  async *artefacts({ shared, data, hyper }) {
    const shard = { train: NO_EXAMPLES, test: NO_EXAMPLES, index: 0, count: 1 };
    yield await scenesArtefact(shared, data.test, (indices) => batchOf(data, indices, { hyper, split: 'test', shard }));
  },
});
