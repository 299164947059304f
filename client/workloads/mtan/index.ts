/**
 * Multi-task learning: segmentation, depth and surface normals of ray-traced scenes with one network and an attention
 * mask for each task (Liu, Johns and Davison 2019, arXiv:1803.10704), where no client has the labels of all three.
 *
 * Six sites take pictures; each has labels for one or two of the tasks. All images shape the trunk; a task's own tensors
 * are averaged over the clients that own it, with a weight for each tensor. The weights of the losses follow Dynamic
 * Weight Average (section 3.3), from losses that exist as sums over clients only:
 *
 *     lambda_k(t) = K exp(w_k / T) / sum_i exp(w_i / T)     w_k = L_k(t - 1) / L_k(t - 2), 1 in the first two rounds
 *
 * Losses of an example (section 3.4): cross-entropy over pixels; mean |depth error|; mean squared distance of unit normals,
 * which is 2 (1 - cosine). Of tasks that its site does not own there are none.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Hyper } from '../../../shared/run/spec.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { CLASS_NAMES, type Scenes, traceScenes } from '../../data/scenes.js';
import { uploadTensors } from '../../training/evaluate.js';
import { type Batch, type BatchContext, defineWorkload, type TensorMap } from '../../workload.js';
import { hyperChoice, hyperInteger, hyperNumber } from '../parts/hyper.js';
import { figuresOf, SIZES, taskLoss, taskSums } from './measures.js';
import { forward, initMtan, type Outputs, TASKS, type Task } from './model.js';
import { scenesArtefact } from './pictures.js';

export interface MtanData {
  readonly train: Scenes;
  readonly test: Scenes;
}

const CLASSES = CLASS_NAMES.length;
/** What site s owns is entry s modulo 6: each task is owned by three of six sites, alone or in a pair. */
const OWNED: readonly (readonly Task[])[] = [
  ['segmentation'],
  ['depth'],
  ['normals'],
  ['segmentation', 'depth'],
  ['depth', 'normals'],
  ['normals', 'segmentation'],
];
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
    headline: { metric: 'test.score', better: 'higher' },
    published: (
      [
        ['test.miou', 0.177],
        ['test.depth-error', 0.59],
        ['test.angle', 31.4],
      ] as const
    ).map(([metric, value]) => ({
      ...{ metric, value, source: 'Liu, Johns and Davison 2019, table 3: NYUv2, 13 classes' },
      note: 'quoted from memory; real rooms in all their clutter, 288 x 384 pixels, SegNet; here drawn ones of three solids',
    })),
    comparisons: [
      {
        ...{ name: 'single-task', label: 'three networks, together as large' },
        settings: { hyper: { network: 'single', weighting: 'equal' } },
      },
      {
        ...{ name: 'example', label: 'private by scene' },
        settings: {
          ...{ privacy: 'example', 'secure-aggregation': true, 'noise-multiplier': 1, 'sampling-rate': 1, momentum: 0 },
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
          ...{ 'image-size': 8, 'train-scenes': 24, 'test-scenes': 12, 'width-0': 3, 'width-1': 3, 'width-2': 3 },
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
          ...{ 'image-size': 96, 'train-scenes': 4770, 'test-scenes': 654 },
          ...{ 'width-0': 32, 'width-1': 64, 'width-2': 128 },
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

  finish: figuresOf,

  async *artefacts({ shared, data, hyper }) {
    const shard = { train: NO_EXAMPLES, test: NO_EXAMPLES, index: 0, count: 1 };
    yield await scenesArtefact(shared, data.test, (indices) => batchOf(data, indices, { hyper, split: 'test', shard }));
  },
});

/** What is predicted from and what it should be; [batch, S, S, ...] but for the marks of ownership, [batch] each. */
function batchOf(data: MtanData, indices: Int32Array, { split, hyper }: BatchContext): Batch {
  const scenes = data[split];
  const { size } = scenes;
  const take = (values: Float32Array | Uint8Array, width: number) =>
    tf.tensor4d(rows(values, indices, size * size * width), [indices.length, size, size, width]);
  const owned = TASKS.map((task) => Float32Array.from(indices, (i) => (owns(scenes.sites[i], task) ? 1 : 0)));
  return {
    images: tf.concat([tf.sub(take(scenes.images, 3), 0.5), positions(indices.length, size)], 3),
    classes: tf.cast(tf.oneHot(tf.cast(tf.squeeze(take(scenes.classes, 1), [3]), 'int32'), CLASSES), 'float32'),
    depth: take(scenes.depths, 1),
    normals: take(scenes.normals, 3),
    // A task that nobody in the batch owns is absent, so that it is not computed; to see that needs no tensor read.
    ...Object.fromEntries(
      TASKS.flatMap((task, k) => (owned[k].includes(1) ? [[`owns/${task}`, tf.tensor1d(owned[k])]] : [])),
    ),
    temperature: tf.scalar(hyperNumber(hyper, 'temperature')),
  };
}

/** Of the tasks that somebody in the batch owns. */
function outputsOf(params: TensorMap, batch: Batch): Outputs {
  return forward(params, batch.images as tf.Tensor4D, ownedIn(batch));
}

/** The weighted losses of the owned tasks, summed for each example [batch]. */
function perExample(params: TensorMap, batch: Batch, outputs: Outputs): tf.Tensor1D {
  const lambdas = lossWeights(params, batch);
  const parts = ownedIn(batch).map((task) => {
    const loss = tf.mul(taskLoss(task, outputs[task]!.output, batch), batch[`owns/${task}`]);
    return tf.mul(loss, tf.gather(lambdas, TASKS.indexOf(task)));
  });
  return tf.addN(parts) as tf.Tensor1D;
}

/** lambda [3] of the header; L(t - 1) and L(t - 2) are what `losses/TASK` holds, 0 while there is none. */
function lossWeights(params: TensorMap, { temperature }: Batch): tf.Tensor {
  if (params[`losses/${TASKS[0]}`] === undefined) return tf.ones([TASKS.length]);
  const history = tf.stack(TASKS.map((task) => params[`losses/${task}`])); // [3, 2]
  const [last, before] = tf.unstack(history, 1);
  const ratio = tf.where(tf.greater(before, 0), tf.div(last, tf.maximum(before, 1e-6)), tf.onesLike(last));
  return tf.mul(TASKS.length, tf.softmax(tf.div(ratio, temperature)));
}

/** Mean loss of the model by task over these examples; 0 for a task without any. */
async function measureLosses(
  shared: HostTensors,
  data: MtanData,
  indices: Int32Array,
  context: BatchContext,
): Promise<readonly number[]> {
  const sums = tf.tidy(() => {
    const batch = batchOf(data, indices, context);
    const outputs = outputsOf(uploadTensors(shared), batch);
    return TASKS.map((task) => {
      const owned = batch[`owns/${task}`];
      if (owned === undefined) return tf.scalar(0);
      return tf.div(tf.sum(tf.mul(taskLoss(task, outputs[task]!.output, batch), owned)), tf.sum(owned));
    });
  });
  const values = await Promise.all(sums.map((sum) => sum.data()));
  tf.dispose(sums);
  return values.map(([value]) => value);
}

/** Where a pixel is: x to the right and y down, -0.5..0.5, [batch, size, size, 2] (CoordConv, Liu et al. 2018). */
function positions(batch: number, size: number): tf.Tensor4D {
  const line = tf.sub(tf.div(tf.range(0, size), size - 1), 0.5);
  const plane = tf.stack(
    [tf.tile(tf.reshape(line, [1, size]), [size, 1]), tf.tile(tf.reshape(line, [size, 1]), [1, size])],
    2,
  );
  return tf.tile(tf.expandDims(plane, 0) as tf.Tensor4D, [batch, 1, 1, 1]);
}

function ownedIn(batch: Batch): readonly Task[] {
  return TASKS.filter((task) => batch[`owns/${task}`] !== undefined);
}

function isDynamic(hyper: Hyper): boolean {
  return hyperChoice(hyper, 'weighting', ['dwa', 'equal']) === 'dwa';
}

function owns(site: number, task: Task): boolean {
  return OWNED[site % OWNED.length].includes(task);
}

/** Rows of `width` numbers, one below the other. */
function rows<Values extends Float32Array | Uint8Array>(
  values: Values,
  indices: Int32Array,
  width: number,
): Float32Array {
  const out = new Float32Array(indices.length * width);
  for (const [row, i] of indices.entries()) out.set(values.subarray(i * width, (i + 1) * width), row * width);
  return out;
}
