/**
 * What a curious coordinator can make of a training step, in five views of it: one image's gradient as it is, clipped, and
 * clipped with noise as under DP-SGD; and the sum over a cohort, which is all that secure aggregation shows, with one image
 * or with a whole batch at each client.
 *
 * The attacker knows the model and how many images there are. For one image it reads the label off the gradient; for sums it
 * is *given* all labels, and it may keep, for each image it is after, the best of what it found. So where it fails, that is
 * not for want of help.
 *
 * The model should be an untrained one. On one that had seen 2,000 images three times this search found nothing (9 dB, where
 * the untrained one gave 83 to 100; three seeds). That is a limit of the search and protects nobody.
 */
import tf = require('@tensorflow/tfjs-core');

import { clip } from '../../../shared/privacy/mechanisms/clip.js';
import { discreteGaussianTable } from '../../../shared/privacy/noise/table.js';
import type { Rng } from '../../../shared/rng.js';
import { type HostTensors, layoutOf, type Params } from '../../../shared/tensors/params.js';
import { uploadTensors } from '../../training/evaluate.js';
import type { TensorMap } from '../../workload.js';
import { invertGradient, labelOf, psnr } from './gradient-inversion.js';

/** Images of one size with labels; `pixels` [count · height · width] are standardised. */
interface Pictures {
  readonly pixels: Float32Array;
  readonly labels: ArrayLike<number>;
  readonly height: number;
  readonly width: number;
}

/** What an attacker knows, and what is tried. */
export interface AttackSetup {
  readonly params: HostTensors;
  /** Name of the last layer's bias, whose gradient tells the label. */
  readonly outputBias: string;
  readonly classes: number;
  readonly loss: (params: TensorMap, images: tf.Tensor, oneHot: tf.Tensor) => tf.Scalar;
  /** The images of the cohort, client after client; the first `victims` of them are what the attacker is after. */
  readonly cohort: Pictures;
  readonly victims: number;
  readonly clients: number;
  /** Examples of each client; `cohort` holds clients × batch images. */
  readonly batch: number;
  readonly iterations: number;
  readonly clippingBound: number;
  readonly noiseMultiplier: number;
  /** Standardised pixels to pixels in 0..1. */
  readonly toPixels: (standardised: Float32Array) => Float32Array;
  readonly rng: Rng;
}

/** An image with pixels in 0..1, and its distance from the truth: peak signal-to-noise ratio, more is closer. */
interface Guess {
  readonly pixels: Float32Array;
  readonly psnrDb: number;
}

/** What the attacker made of one view. */
export interface View {
  readonly name: 'plain' | 'clipped' | 'noised' | 'sum of images' | 'sum of batches';
  /** For each victim. */
  readonly found: readonly Guess[];
}

/** Weights of the prior: none for exact gradients, which it only blurs; some where there is noise to see through. */
const PRIOR = { exact: [0], noisy: [0, 0.03], sum: [1e-3] };
/** A sum over many images costs many times an image's evaluation, and is as clear as it gets after a quarter of the steps. */
const SUM_ITERATIONS = 1 / 4;
/** Steps of the noise's grid for each of its deviations. */
const GRID = 1024;

/** All five views, in their order. Leaves no tensor behind. */
export async function attack(setup: AttackSetup): Promise<readonly View[]> {
  const params = uploadTensors(setup.params);
  try {
    const { victims, clients, batch, cohort } = setup;
    const each = Array.from({ length: victims }, (_, victim) => part(cohort, victim, 1));
    const seen = await Promise.all(each.map((image) => gradientOf(setup, params, image)));
    const bound = setup.clippingBound;
    const clipped = seen.map((gradient) => clip(gradient, { bound }).vector);
    const noised = clipped.map((gradient, i) =>
      addNoise(gradient, bound * setup.noiseMultiplier, setup.rng.split(`noise/${i}`)),
    );
    const singly = async (name: View['name'], observed: readonly Float32Array[], prior: readonly number[]) => {
      const found: Guess[] = [];
      for (const [i, gradient] of observed.entries()) found.push(await attackOne(setup, params, gradient, i, prior));
      return { name, found };
    };
    return [
      await singly('plain', seen, PRIOR.exact),
      await singly('clipped', clipped, PRIOR.exact),
      await singly('noised', noised, PRIOR.noisy),
      { name: 'sum of images', found: await attackSum(setup, params, part(cohort, 0, clients), 1) },
      {
        name: 'sum of batches',
        found: await attackSum(setup, params, part(cohort, 0, clients * batch), SUM_ITERATIONS),
      },
    ];
  } finally {
    tf.dispose(params);
  }
}

/** The attack on one image; of several priors the attacker is told which came closest. */
async function attackOne(
  setup: AttackSetup,
  params: TensorMap,
  gradient: Float32Array,
  victim: number,
  priors: readonly number[],
): Promise<Guess> {
  const bias = layoutOfModel(setup).find(({ name }) => name === setup.outputBias);
  if (bias === undefined) throw new RangeError(`outputBias: expected a tensor of the model, got ${setup.outputBias}`);
  const label = labelOf(gradient.subarray(bias.offset, bias.offset + bias.size));
  const guesses: Guess[] = [];
  for (const prior of priors) {
    const images = await invert(setup, params, { gradient, labels: [label], prior, iterations: setup.iterations });
    guesses.push(bestOf(setup, images, victim));
  }
  return guesses.reduce((best, guess) => (guess.psnrDb > best.psnrDb ? guess : best));
}

async function attackSum(
  setup: AttackSetup,
  params: TensorMap,
  images: Pictures,
  share: number,
): Promise<readonly Guess[]> {
  const gradient = await gradientOf(setup, params, images);
  const labels = Array.from(images.labels);
  const iterations = Math.ceil(setup.iterations * share);
  const found = await invert(setup, params, { gradient, labels, prior: PRIOR.sum[0], iterations });
  return Array.from({ length: setup.victims }, (_, victim) => bestOf(setup, found, victim));
}

async function invert(
  { cohort, classes, loss, rng, ...setup }: AttackSetup,
  params: TensorMap,
  sight: { gradient: Float32Array; labels: readonly number[]; prior: number; iterations: number },
): Promise<Float32Array> {
  const { labels, iterations } = sight;
  const shape = [labels.length, cohort.height, cohort.width, 1] as const;
  const source = rng.split('start');
  const start = Float32Array.from(
    { length: labels.length * cohort.height * cohort.width },
    () => 0.1 * source.normal(),
  );
  const oneHot = oneHotOf(labels, classes);
  const observed = layoutOfModel(setup).map(({ shape: of, offset, size }) =>
    tf.tensor(sight.gradient.subarray(offset, offset + size), [...of]),
  );
  const gradientOfImages = (images: tf.Tensor4D) => gradients(params, () => loss(params, images, oneHot));
  try {
    const goal = { observed, start, shape, iterations, totalVariation: sight.prior };
    return await invertGradient({ ...goal, gradientOf: gradientOfImages });
  } finally {
    tf.dispose([oneHot, observed]);
  }
}

/** Of all that was found, what is closest to the victim. */
function bestOf({ cohort, toPixels }: AttackSetup, found: Float32Array, victim: number): Guess {
  const size = cohort.height * cohort.width;
  const truth = toPixels(cohort.pixels.subarray(victim * size, (victim + 1) * size));
  let best = { pixels: truth, psnrDb: Number.NEGATIVE_INFINITY };
  for (let start = 0; start < found.length; start += size) {
    const pixels = toPixels(found.subarray(start, start + size));
    const psnrDb = psnr(pixels, truth);
    if (psnrDb > best.psnrDb) best = { pixels, psnrDb };
  }
  return best;
}

/** Gradient of the mean loss over `images`, flat, in the order of the model's tensors. */
async function gradientOf(setup: AttackSetup, params: TensorMap, images: Pictures): Promise<Float32Array> {
  const flat = tf.tidy(() => {
    const x = tf.tensor4d(images.pixels, [images.labels.length, images.height, images.width, 1]);
    const oneHot = oneHotOf(Array.from(images.labels), setup.classes);
    return tf.concat(gradients(params, () => setup.loss(params, x, oneHot)).map((tensor) => tf.reshape(tensor, [-1])));
  });
  try {
    return (await flat.data<'float32'>()).slice();
  } finally {
    flat.dispose();
  }
}

function gradients(params: TensorMap, loss: () => tf.Scalar): tf.Tensor[] {
  return tf.engine().gradients(loss, Object.values(params)).grads;
}

function oneHotOf(labels: readonly number[], classes: number): tf.Tensor2D {
  return tf.tidy(() => tf.cast(tf.oneHot(tf.tensor1d([...labels], 'int32'), classes), 'float32') as tf.Tensor2D);
}

function layoutOfModel({ params }: Pick<AttackSetup, 'params'>): Params['layout'] {
  return layoutOf(Object.entries(params).map(([name, { shape }]) => ({ name, shape })));
}

function part({ pixels, labels, height, width }: Pictures, first: number, count: number): Pictures {
  const size = height * width;
  const [from, to] = [first, first + count];
  return { pixels: pixels.subarray(from * size, to * size), labels: Array.from(labels).slice(from, to), height, width };
}

function addNoise(vector: Float32Array, noiseStdDev: number, rng: Rng): Float32Array {
  const noise = new Int32Array(vector.length);
  discreteGaussianTable(GRID).fill(noise, rng);
  return vector.map((value, i) => value + (noise[i] * noiseStdDev) / GRID);
}
