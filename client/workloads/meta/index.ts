/**
 * Meta-learning: a first model from which a handful of drawings is enough to tell characters of an alphabet apart that
 * nobody trained on (Reptile: Nichol et al. 2018, arXiv:1803.02999; Per-FedAvg: Fallah et al. 2020, arXiv:2002.07948).
 *
 * Clients are alphabets. A training example is a character with its twenty drawings; a test example is a task over five
 * characters of an unseen alphabet, which the model learns by `test-steps` steps of gradient descent from one drawing of
 * each (`accuracy`) or from five (`accuracy.five-shot`), and is then asked about other drawings.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import { type CharacterData, loadCharacters, TRAINING_CHARACTERS } from '../../data/characters.js';
import { defineWorkload, type TensorMap } from '../../workload.js';
import { hyperChoice, hyperInteger, hyperNumber } from '../parts/hyper.js';
import { crossEntropy, predictionOf } from '../parts/layers.js';
import { drawEpisode, drawingsOf, type Episode, imageTensor } from './episodes.js';
import { metaFloors } from './floors.js';
import { adapted, classesInOrder, initMeta, metaFeatures, metaLogits } from './model.js';
import { curveArtefact, taskArtefact } from './pictures.js';
import { ALGORITHMS, metaRound, TURNS } from './training.js';

/** Of a test task: its classes, the drawings of each that it learns from, at most, and those that it is asked about. */
const [WAYS, SHOTS, QUERIES] = [5, 5, 5];

const DEMO: Hyper = {
  data: 'omniglot',
  algorithm: 'fomaml', // or reptile (with inner-steps 5, inner-lr 0.2), fedavg, scratch: training.ts
  ways: 20, // of a training task
  shots: 1,
  queries: 3,
  'inner-steps': 1,
  // the first step moves the head alone, which starts at 0 and takes a rate that the rest would not bear
  'inner-lr': 3,
  'image-size': 28,
  blocks: 4,
  filters: 32,
  'test-tasks': 40,
  'test-steps': 5,
  'test-lr': 0.1,
};

interface MetaData {
  readonly characters: CharacterData;
  readonly tasks: readonly Episode[];
}

export const meta = defineWorkload<MetaData>({
  manifest: {
    name: 'meta',
    topic: 'Meta-learning',
    paper: 'Fallah et al. 2020, Personalized Federated Learning: A Meta-Learning Approach',
    data: 'Omniglot, the two small background sets (MIT; starling data get omniglot)',
    privacyUnits: ['client'],
    roleKeys: [],
    headline: { metric: 'test.accuracy', better: 'higher' },
    published: [
      {
        metric: 'test.accuracy',
        value: 0.954,
        source: 'Nichol et al. 2018, table 2: Reptile on Omniglot, 5-way 1-shot, not transductive',
        note: 'quoted from memory; 1,200 training characters and 100,000 outer steps; here 183 characters and 2,400 tasks',
      },
    ],
    comparisons: [
      { name: 'fine-tune', label: 'usual training, then the same steps', settings: { hyper: { algorithm: 'fedavg' } } },
      { name: 'scratch', label: 'untrained', settings: { rounds: 1, hyper: { algorithm: 'scratch' } } },
    ],
    bars: [
      { metric: 'test.accuracy', row: 'federated', against: 'federated/fine-tune', atLeast: 0.03 },
      { metric: 'test.accuracy', row: 'federated', against: 'federated/scratch', atLeast: 0.25 },
      { metric: 'test.accuracy', row: 'federated', against: 'centralised', atLeast: -0.05 },
    ],
    maskedMetrics: (hyper) => [
      { name: 'accuracy', size: 1, max: 1 },
      { name: 'accuracy.five-shot', size: 1, max: 1 },
      { name: 'loss', size: 1, max: 16 },
      { name: 'curve.one-shot', size: hyperInteger(hyper, 'test-steps') + 1, max: 1 },
      { name: 'curve.five-shot', size: hyperInteger(hyper, 'test-steps') + 1, max: 1 },
    ],
    scales: {
      smoke: {
        clients: 4,
        cohort: 4,
        rounds: 4,
        partition: 'natural',
        training: { localSteps: 4, batchSize: 5, clientLr: 1 },
        hyper: {
          ...DEMO,
          data: 'drawn',
          ways: 5,
          queries: 2,
          'image-size': 12,
          blocks: 3,
          filters: 4,
          'test-tasks': 4,
          'test-steps': 2,
        },
      },
      demo: {
        clients: 6,
        cohort: 6,
        rounds: 16,
        partition: 'natural',
        training: { localSteps: 25, batchSize: 20, clientLr: 1 },
        hyper: DEMO,
      },
      full: {
        clients: 6,
        cohort: 6,
        rounds: 400,
        partition: 'natural',
        training: { localSteps: 25, batchSize: 20, clientLr: 1 },
        hyper: { ...DEMO, filters: 64, 'test-tasks': 500 },
      },
    },
  },

  init(rng, hyper) {
    const characters = TRAINING_CHARACTERS[hyperChoice(hyper, 'data', ['omniglot', 'drawn'])];
    return {
      shared: initMeta(rng, {
        side: hyperInteger(hyper, 'image-size', 8),
        filters: hyperInteger(hyper, 'filters', 4),
        blocks: hyperInteger(hyper, 'blocks', 1),
        catalogue: hyperChoice(hyper, 'algorithm', ALGORITHMS) === 'fedavg' ? TURNS * characters : 0,
      }),
    };
  },

  async load({ hyper, dataDir, rng }) {
    const characters = await loadCharacters({
      name: hyperChoice(hyper, 'data', ['omniglot', 'drawn']),
      side: hyperInteger(hyper, 'image-size', 8),
      rng: rng.split('characters'),
      dataDir,
    });
    const everyone = Array.from(characters.test.alphabets.keys());
    const about = { ways: WAYS, turned: false };
    const tasks = Array.from({ length: hyperInteger(hyper, 'test-tasks', 1) }, (_, i) =>
      drawEpisode(characters.test, everyone, about, rng.split(`test task ${i}`)),
    );
    return { characters, tasks };
  },

  /** Nobody holds the alphabets of the test tasks: the tasks are dealt out. */
  examples({ characters, tasks }) {
    const { alphabets } = characters.train;
    const names = [...new Set(alphabets)];
    const labels = alphabets.map((alphabet) => names.indexOf(alphabet));
    return { train: { count: alphabets.length, groups: alphabets, labels }, test: { count: tasks.length } };
  },

  /** Of test tasks: support [tasks, ways, 5, side, side], query [tasks, ways, 5, side, side], a learning rate for each step. */
  batch({ characters, tasks }, indices, { hyper, split }) {
    if (split === 'train') throw new RangeError('split: expected test, as training draws tasks by itself, got train');
    const { side, test } = characters;
    const chosen = Array.from(indices, (index) => tasks[index]);
    const steps = hyperInteger(hyper, 'test-steps');
    const support = drawingsOf(test, side, chosen, [0, SHOTS]);
    const query = drawingsOf(test, side, chosen, [SHOTS, SHOTS + QUERIES]);
    return {
      support: tf.tensor5d(support, [chosen.length, WAYS, SHOTS, side, side]),
      query: tf.tensor5d(query, [chosen.length, WAYS, QUERIES, side, side]),
      rates: tf.fill([steps], hyperNumber(hyper, 'test-lr')),
    };
  },

  async train(shared, _own, data, context) {
    const { hyper, shard } = context;
    const { tensors, loss } = await metaRound({
      ...context,
      shared,
      data: data.characters,
      characters: shard.train,
      settings: {
        algorithm: hyperChoice(hyper, 'algorithm', ALGORITHMS),
        ways: hyperInteger(hyper, 'ways', 2),
        shots: hyperInteger(hyper, 'shots', 1),
        queries: hyperInteger(hyper, 'queries', 1),
        innerSteps: hyperInteger(hyper, 'inner-steps', 1),
        innerLr: hyperNumber(hyper, 'inner-lr'),
      },
    });
    const before = Object.values(shared);
    const values = Float32Array.from(
      tensors.flatMap((after, i) => Array.from(after, (value, k) => value - before[i].data[k])),
    );
    return { contribution: { values, weights: before.map(() => shard.train.length), metrics: { loss } } };
  },

  metrics(params, { support, query, rates }) {
    const tasks = support.shape[0];
    const rows = Array.from({ length: tasks }, (_, task) =>
      tf.tidy(() => {
        const queries = imagesOf(query, task, QUERIES);
        const one = learn(params, { images: imagesOf(support, task, 1), queries, rates });
        const five = learn(params, { images: imagesOf(support, task, SHOTS), queries, rates });
        return { one: one.right, five: five.right, loss: one.loss };
      }),
    );
    const count = tasks * WAYS * QUERIES;
    const [one, five] = [tf.addN(rows.map((row) => row.one)), tf.addN(rows.map((row) => row.five))];
    const last = (curve: tf.Tensor) => tf.slice(curve, [rates.size], [1]);
    return {
      accuracy: { sum: last(one), count },
      'accuracy.five-shot': { sum: last(five), count },
      loss: { sum: tf.addN(rows.map(({ loss }) => loss)), count },
      'curve.one-shot': { sum: one, count },
      'curve.five-shot': { sum: five, count },
    };
  },

  floors: metaFloors,

  predict: {
    inputs(hyper) {
      const side = hyperInteger(hyper, 'image-size', 8);
      return { images: { shape: [side, side, 1], about: 'a drawn character: ink 1 on paper 0' } };
    },
    outputs: { features: 'what a task learns its own layer on, from a few drawings of each class' },
    forward: (params, { images }) => ({ features: metaFeatures(params, images) }),
    /** Of each test task the first drawing of its first class. */
    batch({ characters, tasks }, indices) {
      const { side, test } = characters;
      const first = Array.from(indices, (index) => tasks[index].slice(0, 1));
      return { images: imageTensor(drawingsOf(test, side, first, [0, 1]), side) };
    },
  },

  async *artefacts({ shared, data, hyper, sums }) {
    yield curveArtefact(sums);
    const steps = hyperInteger(hyper, 'test-steps');
    yield await taskArtefact({ shared, characters: data.characters, task: data.tasks[0] }, (params, images) => {
      const rates = tf.fill([steps], hyperNumber(hyper, 'test-lr'));
      const { support, query } = images;
      const [after] = [...adapted(params, support, classesInOrder(WAYS, 1), rates)].slice(-1);
      return metaLogits(after, query);
    });
  },
});

/** The first `each` images of each class of one task: [ways · each, side, side, 1]. */
function imagesOf(images: tf.Tensor, task: number, each: number): tf.Tensor4D {
  const [, ways, , side] = images.shape as [number, number, number, number];
  return tf.reshape(tf.slice(images, [task, 0, 0, 0, 0], [1, ways, each, side, side]), [ways * each, side, side, 1]);
}

interface Lesson {
  readonly images: tf.Tensor4D;
  readonly queries: tf.Tensor4D;
  readonly rates: tf.Tensor;
}

/** Queries answered rightly before and after each step [steps + 1], and the sum of their losses after the last. */
function learn(params: TensorMap, { images, queries, rates }: Lesson): { right: tf.Tensor; loss: tf.Tensor } {
  const truth = classesInOrder(WAYS, queries.shape[0] / WAYS);
  const right: tf.Tensor[] = [];
  let logits: tf.Tensor2D | undefined;
  for (const current of adapted(params, images, classesInOrder(WAYS, images.shape[0] / WAYS), rates)) {
    logits = metaLogits(current, queries);
    right.push(tf.sum(tf.mul(truth, predictionOf(logits))));
  }
  return { right: tf.stack(right), loss: tf.sum(crossEntropy(logits as tf.Tensor2D, truth)) };
}
