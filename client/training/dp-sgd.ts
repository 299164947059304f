/**
 * Local training under example-level differential privacy: DP-SGD (Abadi et al. 2016, arXiv:1607.00133, Algorithm 1).
 *
 * One step, with C the clipping bound, z the noise multiplier, q the sampling rate, n this client's examples:
 *
 *     lot    each example is in it with probability q, independently of the others and of earlier steps
 *     s      = Σ over the lot of g_b · min(1, C / |g_b|), over all trained tensors together, private ones too
 *     g      = (s + noise of deviation z · C per number) / (q · n)
 *     w      moves along g as in local SGD: momentum, learning rate, weight decay and proximal pull see no data
 *
 * Two data sets are neighbours if one example's gradients are there or are zero; so n is public, and the sum is divided by
 * the expected size of a lot, since its own size is not. What leaves is the update alone, no training metric.
 *
 * Noise is integer noise on a lattice (shared/privacy/noise/rounded-gaussian.ts), never floating point; it covers sensitivity
 * C and what the lattice and float32 sums add to it ({@link floatAllowance}). Lots and noise come from `noiseKey` alone, under
 * a label that names everything else that a step depends on: the run's seed is known to the coordinator, and a coordinator
 * that asks twice for one round with something changed must not get the same noise on two sums. Only the data itself is not
 * in the label: a key must not outlive a change of the data.
 */
import tf = require('@tensorflow/tfjs-core');

import { FlError, invalidArgument } from '../../shared/errors.js';
import { poissonBatch } from '../../shared/privacy/mechanisms/poisson.js';
import {
  gaussianLattice,
  type LatticeNoise,
  noisyMean,
  roundedGaussianNoise,
} from '../../shared/privacy/noise/rounded-gaussian.js';
import type { NoiseTable } from '../../shared/privacy/noise/table.js';
import { type Rng, rngFromKey } from '../../shared/rng.js';
import { dpSteps } from '../../shared/run/privacy-steps.js';
import type { PrivacySpec } from '../../shared/run/spec.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import type { Workload } from '../workload.js';
import {
  advance,
  checkTraining,
  finish,
  type LocalResult,
  learningRateOf,
  moved,
  type SgdState,
  startState,
  type TrainLayout,
  trainLayoutOf,
} from './local-sgd.js';
import { floatAllowance, LEAST_BOUND, MOST_BOUND } from './per-example/chunks.js';
import { chooseMethod, type LotInput, sumOverLot } from './per-example/lot.js';

export interface DpSgdInput<Data> extends LotInput<Data> {
  readonly privacy: PrivacySpec;
  /** 32 secret bytes, fresh for each run at least; whoever knows them can take the noise off. */
  readonly noiseKey: Uint8Array;
}

/**
 * Whether a run with this workload may promise example-level privacy; to be asked before it starts.
 * @throws FlError invalid-argument: its loss does not split into the losses of examples, or it trains by itself
 */
export function checkExamplePrivacy({ manifest, perExampleLoss, train }: Workload): void {
  if (perExampleLoss !== undefined && train === undefined) return;
  const why =
    train === undefined
      ? 'its loss does not split into losses of single examples'
      : 'it brings its own training, whose loss does not split into losses of single examples';
  throw new FlError(
    'invalid-argument',
    `privacy: workload ${manifest.name} cannot be clipped example by example: ${why}; protect whole clients instead, with ` +
      '--privacy distributed or --privacy central',
  );
}

/**
 * Trains and returns the update, without metrics. Equal input gives equal bits on one back end. Leaves no tensor behind.
 * @throws FlError invalid-argument: a workload without perExampleLoss, a rate or bound out of range · failed-precondition:
 * parameters that are not finite, as localSgd · aborted: the signal fired
 */
export async function dpSgd<Data>(input: DpSgdInput<Data>): Promise<LocalResult> {
  checkExamplePrivacy(input.workload);
  checkTraining(input.training);
  const { training, shard, round, rounds } = input;
  const layout = trainLayoutOf(input);
  const noise = noiseOf(input, layout);
  const { samplingRate } = noise;
  const rng = rngFromKey(input.noiseKey, `dp-sgd/v1/${round}/${fingerprint(input, layout)}`);
  const steps = shard.train.length === 0 ? 0 : dpSteps(training, samplingRate);
  const learningRate = learningRateOf(training, { round, rounds });
  const state = startState(layout, training);
  try {
    const clipping = { bound: input.privacy.clippingBound };
    const [total, mean] = [new Float64Array(layout.start.length), new Float32Array(layout.start.length)]; // of each step anew
    const method = await chooseMethod(input, layout, state, clipping);
    for (let step = 1; step <= steps; step++) {
      const lot = lotOf(shard.train.length, samplingRate, rng.split(`lot/${step}`));
      const sum = await sumOverLot(input, layout, state, { clipping, method, lot, samplingRate, total });
      const gradient = noisyMean(sum, noise, samplingRate * shard.train.length, rng.split(`noise/${step}`), mean);
      descend(input, layout, state, { gradient, learningRate });
      input.onProgress?.(step, steps);
    }
    return await finish(input, layout, state, { metrics: {} });
  } finally {
    tf.dispose([state.params, state.velocity, state.anchor]);
  }
}

interface Noise extends LatticeNoise {
  readonly samplingRate: number;
}

function noiseOf<Data>({ privacy, training, shard }: DpSgdInput<Data>, layout: TrainLayout): Noise {
  const { clippingBound, noiseMultiplier, samplingRate } = privacy;
  if (!(clippingBound >= LEAST_BOUND && clippingBound <= MOST_BOUND)) {
    throw invalidArgument('privacy.clippingBound', 'a number in 2^-40 .. 2^40', clippingBound);
  }
  if (samplingRate === undefined || !(samplingRate > 0 && samplingRate <= 1)) {
    throw invalidArgument('privacy.samplingRate', 'a number in (0, 1]', samplingRate);
  }
  const allowance = floatAllowance(training.batchSize, samplingRate * shard.train.length);
  const lattice = gaussianLattice({
    sensitivity: clippingBound * (1 + allowance),
    noiseMultiplier,
    dimension: layout.start.length,
  });
  return { samplingRate, lattice, table: noiseTable(lattice.latticeStdDev) };
}

/** The latest of this thread: tables take a tenth of a second to make, and the clients of a run all use the same ones. */
const noises = new Map<number, NoiseTable>();
const NOISES_KEPT = 2;

function noiseTable(stdDev: number): NoiseTable {
  const table = noises.get(stdDev) ?? roundedGaussianNoise(stdDev);
  noises.delete(stdDev);
  noises.set(stdDev, table);
  for (const oldest of noises.keys()) if (noises.size > NOISES_KEPT) noises.delete(oldest);
  return table;
}

/** What a step depends on, the data itself excepted. */
function fingerprint<Data>(input: DpSgdInput<Data>, { tensors, start, frozen }: TrainLayout): string {
  const { workload, phase, hyper, training, privacy, shard, rounds } = input;
  const others = Object.fromEntries(frozen.map(([name, { data }]) => [name, sha256Of({ values: data })]));
  const model = { layout: tensors, start: sha256Of({ values: start }), others };
  const examples = Array.from(shard.train).join();
  const { name } = workload.manifest;
  return sha256Hex(canonicalJson({ name, phase, hyper, training, privacy, rounds, model, examples }));
}

/** Positions in the shard of the examples of one lot; none, when chance will have it so. */
function lotOf(population: number, samplingRate: number, rng: Rng): Int32Array {
  return Int32Array.from(poissonBatch({ population, samplingRate, rng }));
}

/** One step along the noisy gradient: moves `state`. */
function descend<Data>(
  { training }: DpSgdInput<Data>,
  { tensors }: TrainLayout,
  state: SgdState,
  { gradient, learningRate }: { gradient: Float32Array; learningRate: number },
): void {
  const [params, velocity] = tf.tidy(() => {
    const parts = tensors.map(({ offset, size }) => gradient.subarray(offset, offset + size));
    const grads = tensors.map(({ shape }, i) => tf.tensor(parts[i], [...shape]));
    return moved(state, training, grads, learningRate);
  });
  advance(state, params, velocity);
}
