/**
 * What example-level privacy costs in a training step: the same network and batch, stepped plainly, with the gradient of
 * each example clipped, and with noise as well, in turn. Numbers of one machine and one run: compare within a run only.
 */
import tf = require('@tensorflow/tfjs-core');

import {
  gaussianLattice,
  type LatticeNoise,
  noisyMean,
  roundedGaussianNoise,
} from '../../shared/privacy/noise/rounded-gaussian.js';
import { rngFromSeed } from '../../shared/rng.js';
import { addScaled } from '../backends/layers.js';
import { type DrawnNetwork, drawNetwork, lossOf, NETWORKS, type Network } from '../backends/measure.js';
import { type ClippedSum, clippedSumByTaps } from './per-example/index.js';

/** Medians over the repeats, in ms. */
interface PrivateStepTime {
  readonly model: string;
  /** Numbers that are trained. */
  readonly size: number;
  readonly batchSize: number;
  /** Forward, backward, gradient descent. */
  readonly plainMs: number;
  /** The same with clipped gradients of single examples: what one more chunk of a lot costs. */
  readonly clippedMs: number;
  /** A whole step of DP-SGD whose lot is one batch: with the noise, which a lot needs once. */
  readonly privateMs: number;
}

/** The networks that are measured: the 2NN and the demo's CNN. */
export const MEASURED: readonly Network[] = NETWORKS.slice(0, 2);

/**
 * On the current back end: `repeats` steps of each kind after two of warming up.
 * @param options.nowMs a clock; that of the CPU's time, where the back end computes on it, is the steadier one
 */
export async function measurePrivateSteps({
  batchSize = 32,
  repeats = 30,
  nowMs = () => performance.now(),
} = {}): Promise<PrivateStepTime[]> {
  const times: PrivateStepTime[] = [];
  for (const network of MEASURED) times.push(await measure(network, batchSize, repeats, nowMs));
  return times;
}

const LEARNING_RATE = 0.01;
const CLIPPING = { bound: 1 };

async function measure(
  network: Network,
  batchSize: number,
  repeats: number,
  nowMs: () => number,
): Promise<PrivateStepTime> {
  const drawn = drawNetwork(tf, network, batchSize);
  const size = drawn.params.reduce((sum, param) => sum + param.size, 0);
  const noise = noiseFor(size);
  const [total, mean] = [new Float64Array(size), new Float32Array(size)];
  const steps = [
    () => plainStep(network, drawn),
    () => clippedStep(network, drawn),
    () => privateStep(network, drawn, noise, { total, mean }),
  ];
  const times: number[][] = steps.map(() => []);
  for (let run = -2; run < repeats; run++) {
    for (const [i, step] of steps.entries()) {
      const startMs = nowMs();
      const params = await step();
      await params[0].data(); // since a GPU works behind the back of the program
      tf.dispose(params);
      if (run >= 0) times[i].push(nowMs() - startMs);
    }
  }
  tf.dispose([...drawn.params, drawn.x, drawn.labels]);
  const [plainMs, clippedMs, privateMs] = times.map((all) => all.sort((a, b) => a - b)[Math.floor(repeats / 2)]);
  return { model: network.model, size, batchSize, plainMs, clippedMs, privateMs };
}

/** The parameters after a step; the caller owns them. */
function plainStep(network: Network, drawn: DrawnNetwork): tf.Tensor[] {
  const params = [...drawn.params];
  return tf.tidy(() => {
    const { grads } = tf.engine().gradients(() => tf.mean(lossOf(tf, network, drawn)), params);
    return grads.map((grad, i) => addScaled(tf, params[i], grad, -LEARNING_RATE));
  });
}

function clipped(network: Network, drawn: DrawnNetwork): tf.Tensor[] {
  const sum = clippedSumByTaps(drawn.params, drawn.x.shape[0], () => lossOf(tf, network, drawn), CLIPPING);
  return [...(sum as ClippedSum).sums];
}

function clippedStep(network: Network, drawn: DrawnNetwork): tf.Tensor[] {
  const rate = -LEARNING_RATE / drawn.x.shape[0];
  return tf.tidy(() => clipped(network, drawn).map((sum, i) => addScaled(tf, drawn.params[i], sum, rate)));
}

function noiseFor(dimension: number): LatticeNoise {
  const lattice = gaussianLattice({ sensitivity: CLIPPING.bound, noiseMultiplier: 1, dimension });
  return { lattice, table: roundedGaussianNoise(lattice.latticeStdDev) };
}

async function privateStep(
  network: Network,
  drawn: DrawnNetwork,
  noise: LatticeNoise,
  { total, mean }: { total: Float64Array; mean: Float32Array },
): Promise<tf.Tensor[]> {
  const sums = tf.tidy(() => clipped(network, drawn));
  let offset = 0;
  for (const values of await Promise.all(sums.map((sum) => sum.data<'float32'>()))) {
    total.set(values, offset);
    offset += values.length;
  }
  tf.dispose(sums);
  noisyMean(total, noise, drawn.x.shape[0], rngFromSeed(1), mean);
  return tf.tidy(() => {
    let at = 0;
    return drawn.params.map((param) => {
      const grad = tf.tensor(mean.subarray(at, at + param.size), param.shape);
      at += param.size;
      return addScaled(tf, param, grad, -LEARNING_RATE);
    });
  });
}
