/**
 * Local training on one client: mini-batch SGD over a workload's loss, as in FedAvg's ClientUpdate (McMahan et al. 2017,
 * Algorithm 1), with momentum, weight decay, gradient clipping and FedProx's proximal term (Li et al. 2020).
 *
 * One step, with w the parameters, w0 those that the round began with, g the gradient of the batch's mean loss:
 *
 *     g' = g · min(1, gradientClipNorm / |g|)              the L2 norm is over all trained tensors together
 *     d  = g' + weightDecay · w + proximalMu · (w − w0)    neither pull is clipped; private tensors have no pull to w0
 *     v  = momentum · v + d                                v starts at 0 in every round
 *     w  = w − lr(round) · v
 *
 * With `optimizer` adam the last two are those of Kingma and Ba 2015 (arXiv:1412.6980, algorithm 1, with its constants); m, u and
 * the count of steps t start at 0 in every round:
 *
 *     m  = 0.9 · m + 0.1 · d,    u = 0.999 · u + 0.001 · d²
 *     w  = w − lr(round) · (m / (1 − 0.9^t)) / (√(u / (1 − 0.999^t)) + 1e-8)
 *
 * Parameters and momentum stay tensors of the back end between steps and are read back once, at the end: on wasm, one
 * step's arithmetic on 1.66 M parameters took 3.3 ms so, and 15 ms on the host; on 29 k both took a quarter of one.
 */
import { setImmediate } from 'node:timers/promises';

import tf = require('@tensorflow/tfjs-core');

import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Rng } from '../../shared/rng.js';
import type { TrainingSpec } from '../../shared/run/spec.js';
import { type Contribution, UPDATE_CHANNEL } from '../../shared/tensors/channels.js';
import { firstNonFinite, type HostTensors, type Layout, packTensors, sizeOf } from '../../shared/tensors/params.js';
import type { BatchContext, TensorMap, TrainContext, Workload } from '../workload.js';
import { lossFault } from './data-fault.js';

const BETA_1 = 0.9;
const BETA_2 = 0.999;
const ADAM_EPSILON = 1e-8;

/** What a client trains with. Nothing of it is changed. */
export interface LocalSgdInput<Data> extends TrainContext {
  readonly workload: Workload<Data>;
  readonly data: Data;
  readonly shared: HostTensors;
  /** The private tensors of this client; trained with the shared ones and never part of the contribution. */
  readonly privateTensors: HostTensors;
}

/** Told after each step. */
export type Progress = (stepsDone: number, stepsTotal: number) => void;

/** What training gives. */
export interface LocalResult {
  readonly contribution: Contribution;
  /** The new private tensors; a fresh copy. */
  readonly privateTensors: HostTensors;
  /** With `toTheEnd`: what was not finite, for the site's own log. */
  readonly diverged?: string;
}

/**
 * Trains and returns the update (local − global) of the tensors that the phase's update channel declares; other shared
 * tensors stay as they are. Equal input gives equal bits on one back end. Leaves no tensor behind.
 * @throws FlError failed-precondition: the loss or the update is not finite, unless the input says `toTheEnd`: then the
 *   update is full of NaN, and so is the loss · aborted: the signal fired
 */
export async function localSgd<Data>(input: LocalSgdInput<Data>): Promise<LocalResult> {
  const { training, shard, rng } = input;
  checkTraining(training);
  if (input.workload.loss === undefined) {
    throw invalidArgument('workload', 'a loss for local SGD', input.workload.manifest.name);
  }
  const layout = trainLayoutOf(input);
  const learningRate = learningRateOf(training, input);
  const steps = countSteps(training, shard.train.length);
  const order = batches(shard.train, training.batchSize, rng.split('order'));
  const lossRng = rng.split('loss');
  const state = startState(layout, training);
  let lossSum = 0;
  let examples = 0;
  let diverged: string | undefined;
  try {
    for (let step = 1; step <= steps; step++) {
      throwIfCancelled(input.signal);
      const indices = order.next().value;
      const loss = await descend(input, layout, state, { indices, learningRate, rng: lossRng });
      if (!Number.isFinite(loss)) {
        diverged ??= await whyNotFinite(input, layout, { step, indices });
        if (!input.toTheEnd) throw new FlError('failed-precondition', diverged);
      }
      lossSum += loss * indices.length;
      examples += indices.length;
      input.onProgress?.(step, steps);
      await setImmediate(); // the client answers its coordinator between steps
    }
    return await finish(input, layout, state, { metrics: { loss: { sum: [lossSum], count: examples } }, diverged });
  } finally {
    tf.dispose([state.params, state.velocity, state.anchor]);
  }
}

/** No learning rate is at fault before the first step; nor is it when one example has no finite loss, and others have. */
async function whyNotFinite<Data>(
  input: LocalSgdInput<Data>,
  layout: TrainLayout,
  { step, indices }: { readonly step: number; readonly indices: Int32Array },
): Promise<string> {
  const { round, training, rng } = input;
  const untouched = startState(layout, training);
  const own = rng.split('fault');
  try {
    const lossOf = (one: Int32Array) => lossAt(input, layout, untouched, { indices: one, rng: own });
    const fault = await lossFault(indices, lossOf);
    if (fault !== undefined) return fault;
  } finally {
    tf.dispose([untouched.params, untouched.velocity, untouched.anchor]);
  }
  if (step > 1) return `loss is not finite at step ${step} of round ${round}: lower client-lr`;
  const before = `loss is not finite before the first step of round ${round}`;
  return round === 1
    ? `${before}: look at the data and at init, not at client-lr`
    : `${before}: the model that came has diverged, or the data are not as before; lower client-lr or server-lr`;
}

/**
 * The learning rate of round `round` (from 1) of `rounds`: a cosine falls from `clientLr` in round 1 towards 0. A warm-up of
 * W rounds multiplies it with 1/W, 2/W ... 1: first updates that lead nowhere are small (Goyal et al. 2017, section 2.2).
 */
export function learningRateOf(
  { clientLr, lrSchedule, lrWarmupRounds = 1 }: Pick<TrainingSpec, 'clientLr' | 'lrSchedule' | 'lrWarmupRounds'>,
  { round, rounds }: { readonly round: number; readonly rounds: number },
): number {
  const warm = clientLr * Math.min(1, round / lrWarmupRounds);
  return lrSchedule === 'constant' ? warm : warm * (0.5 * (1 + Math.cos((Math.PI * (round - 1)) / rounds)));
}

/** Steps of one round over `examples` local examples; the last batch of an epoch may be smaller. */
export function countSteps(training: TrainingSpec, examples: number): number {
  if (examples === 0) return 0;
  return training.localSteps ?? (training.localEpochs ?? 0) * Math.ceil(examples / training.batchSize);
}

/** @throws FlError aborted, with the signal's reason as its cause */
export function throwIfCancelled(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw new FlError('aborted', 'the task was cancelled', { cause: signal.reason });
}

/** What is trained: first the shared tensors of the update channel, then the private ones, back to back in `start`. */
export interface TrainLayout {
  readonly tensors: Layout;
  /** How many of the tensors are shared, and how many numbers these hold. */
  readonly sharedTensors: number;
  readonly sharedSize: number;
  /** What training starts from; nobody changes it. */
  readonly start: Float32Array;
  /** Shared tensors that stay as they are. */
  readonly frozen: readonly (readonly [string, HostTensors[string]])[];
}

/** @throws FlError invalid-argument: a phase with other channels than the update, or a name that stands for two tensors */
export function trainLayoutOf<Data>({ phase, shared, privateTensors }: LocalSgdInput<Data>): TrainLayout {
  const channel = phase.channels.find(({ name }) => name === UPDATE_CHANNEL);
  if (channel === undefined || phase.channels.length > 1) {
    throw invalidArgument(
      `channels of phase ${phase.name}`,
      'the update channel alone, unless the workload brings its own train()',
      phase.channels.map(({ name }) => name).join(', '),
    );
  }
  const trained: HostTensors = {};
  for (const { name } of channel.tensors) {
    if (shared[name] === undefined) throw invalidArgument('update channel', 'tensors of the model', name);
    trained[name] = shared[name];
  }
  const { layout: tensors, values: start } = packTensors({ ...trained, ...privateTensors });
  const sharedTensors = Object.keys(trained).length;
  if (tensors.length !== sharedTensors + Object.keys(privateTensors).length) {
    throw invalidArgument('private tensors', 'names that no shared tensor has', Object.keys(privateTensors).join(', '));
  }
  const sharedSize = sizeOf(tensors.slice(0, sharedTensors));
  const frozen = Object.entries(shared).filter(([name]) => trained[name] === undefined);
  return { tensors, sharedTensors, sharedSize, start, frozen };
}

/** @throws FlError invalid-argument: not one of localEpochs and localSteps, a batch size that is none, or Adam with momentum */
export function checkTraining({ localEpochs, localSteps, batchSize, optimizer, momentum }: TrainingSpec): void {
  if (optimizer === 'adam' && momentum !== 0) {
    throw invalidArgument('momentum', '0 with optimizer adam, which has its own', momentum);
  }
  if ((localEpochs === undefined) === (localSteps === undefined)) {
    throw invalidArgument('training', 'one of localEpochs and localSteps', JSON.stringify({ localEpochs, localSteps }));
  }
  if (!Number.isInteger(batchSize) || batchSize < 1) throw invalidArgument('batchSize', 'an integer >= 1', batchSize);
}

/** Endless batches: epoch after epoch, each in a fresh order. */
function* batches(examples: Int32Array, batchSize: number, rng: Rng): Generator<Int32Array, never> {
  for (;;) {
    const order = rng.shuffle(examples.slice());
    for (let start = 0; start < order.length; start += batchSize) yield order.slice(start, start + batchSize);
  }
}

/**
 * The tensors of a {@link TrainLayout}, in its order; whoever started it disposes of them. `velocity` (with Adam m, and after it
 * u) and `anchor` (w0) are empty when nothing asks for them.
 */
export interface SgdState {
  params: tf.Tensor[];
  velocity: tf.Tensor[];
  anchor: tf.Tensor[];
  /** Taken so far. */
  steps: number;
}

/** Uploads what training starts from. */
export function startState(
  { tensors, start, sharedTensors }: TrainLayout,
  { momentum, proximalMu, optimizer }: TrainingSpec,
): SgdState {
  const upload = (entries: Layout): tf.Tensor[] =>
    entries.map(({ shape, offset, size }) => tf.tensor(start.subarray(offset, offset + size), [...shape]));
  const zeros = () => tensors.map(({ shape }) => tf.zeros([...shape]));
  return {
    params: upload(tensors),
    velocity: optimizer === 'adam' ? [...zeros(), ...zeros()] : momentum === 0 ? [] : zeros(),
    anchor: proximalMu === 0 ? [] : upload(tensors.slice(0, sharedTensors)),
    steps: 0,
  };
}

/** One step: moves `state` and returns the mean loss that the batch had before. */
async function descend<Data>(
  { workload, data, hyper, shard, training }: LocalSgdInput<Data>,
  layout: TrainLayout,
  state: SgdState,
  { indices, learningRate, rng }: { indices: Int32Array; learningRate: number; rng: Rng },
): Promise<number> {
  const context: BatchContext = { hyper, shard, split: 'train' };
  const [loss, params, velocity] = tf.tidy(() => {
    const named = namedParams(layout, state);
    const batch = workload.batch(data, indices, context);
    const { value, grads } = tf.engine().gradients(() => scalarLoss(workload, named, batch, rng), state.params);
    return [value, ...moved(state, training, grads, learningRate)] as const;
  });
  advance(state, params, velocity);
  try {
    return (await loss.data())[0]; // asynchronously, because GPU back ends can do no other
  } finally {
    loss.dispose();
  }
}

/** The loss of these examples, by these parameters. */
async function lossAt<Data>(
  { workload, data, hyper, shard }: LocalSgdInput<Data>,
  layout: TrainLayout,
  state: SgdState,
  { indices, rng }: { readonly indices: Int32Array; readonly rng: Rng },
): Promise<number> {
  const loss = tf.tidy(() => {
    const batch = workload.batch(data, indices, { hyper, shard, split: 'train' });
    return scalarLoss(workload, namedParams(layout, state), batch, rng);
  });
  try {
    return (await loss.data())[0];
  } finally {
    loss.dispose();
  }
}

/** All tensors by name, those that are not trained among them; for the caller's tidy. */
export function namedParams({ tensors, frozen }: TrainLayout, { params }: SgdState): Record<string, tf.Tensor> {
  const named: Record<string, tf.Tensor> = {};
  for (const [name, { shape, data: values }] of frozen) named[name] = tf.tensor(values, [...shape]);
  for (const [i, { name }] of tensors.entries()) named[name] = params[i];
  return named;
}

/** The parameters and velocities after a step along these gradients; for the caller's tidy, then for {@link advance}. */
export function moved(
  state: SgdState,
  training: TrainingSpec,
  grads: readonly (tf.Tensor | undefined)[],
  learningRate: number,
): [params: tf.Tensor[], velocity: tf.Tensor[]] {
  const directions = directionsOf(state, training, grads);
  if (training.optimizer === 'adam') return movedByAdam(state, directions, learningRate);
  const velocity = state.velocity.map((v, i) => tf.add(tf.mul(v, training.momentum), directions[i]));
  const steps = velocity.length > 0 ? velocity : directions;
  return [state.params.map((w, i) => tf.sub(w, tf.mul(steps[i], learningRate))), velocity];
}

/** Adam's step; its m and u are the state's velocity. */
function movedByAdam(
  { params, velocity, steps }: SgdState,
  directions: readonly tf.Tensor[],
  learningRate: number,
): [params: tf.Tensor[], velocity: tf.Tensor[]] {
  const blend = (old: tf.Tensor, value: tf.Tensor, beta: number) => tf.add(tf.mul(old, beta), tf.mul(value, 1 - beta));
  const first = directions.map((d, i) => blend(velocity[i], d, BETA_1));
  const second = directions.map((d, i) => blend(velocity[params.length + i], tf.square(d), BETA_2));
  const rate = learningRate / (1 - BETA_1 ** (steps + 1));
  const unbiased = 1 / (1 - BETA_2 ** (steps + 1));
  const next = params.map((w, i) => {
    const spread = tf.add(tf.sqrt(tf.mul(second[i], unbiased)), ADAM_EPSILON);
    return tf.sub(w, tf.mul(tf.div(first[i], spread), rate));
  });
  return [next, [...first, ...second]];
}

/** Puts new parameters and velocities into the state and frees the old ones. */
export function advance(state: SgdState, params: tf.Tensor[], velocity: tf.Tensor[]): void {
  tf.dispose([state.params, state.velocity]);
  state.params = params;
  state.velocity = velocity;
  state.steps += 1;
}

/** d of the header, for each tensor. A tensor that the loss does not touch has no gradient: `undefined`, meant as 0. */
function directionsOf(state: SgdState, training: TrainingSpec, grads: readonly (tf.Tensor | undefined)[]): tf.Tensor[] {
  const { weightDecay, proximalMu } = training;
  const scale = clipFactor(grads, training.gradientClipNorm);
  return state.params.map((w, i) => {
    let direction = grads[i] ?? tf.zerosLike(w);
    if (scale !== undefined) direction = tf.mul(direction, scale);
    if (weightDecay !== 0) direction = tf.add(direction, tf.mul(w, weightDecay));
    if (i < state.anchor.length) direction = tf.add(direction, tf.mul(tf.sub(w, state.anchor[i]), proximalMu));
    return direction;
  });
}

/** What gradients are multiplied by so that their common norm is at most `bound`; nothing when bound is 0. */
function clipFactor(grads: readonly (tf.Tensor | undefined)[], bound: number): tf.Tensor | undefined {
  const present = grads.filter((grad) => grad !== undefined);
  if (bound === 0 || present.length === 0) return undefined;
  const norm = tf.sqrt(tf.addN(present.map((grad) => tf.sum(tf.square(grad)))));
  return tf.div(bound, tf.maximum(norm, bound));
}

function scalarLoss<Data>(workload: Workload<Data>, params: TensorMap, batch: TensorMap, rng: Rng): tf.Scalar {
  const loss = workload.loss!(params, batch, rng);
  if (loss.rank !== 0) throw invalidArgument('loss', 'a scalar, the mean over the batch', `shape [${loss.shape}]`);
  return loss;
}

/**
 * Reads the trained tensors back; the update is their difference from where training started. `diverged`: how it went wrong
 * before. @throws FlError failed-precondition: not finite, unless the input says `toTheEnd`
 */
export async function finish<Data>(
  { privateTensors, round, shard, toTheEnd }: LocalSgdInput<Data>,
  { tensors, start, sharedTensors, sharedSize }: TrainLayout,
  { params }: SgdState,
  { metrics, diverged: before }: { readonly metrics: Contribution['metrics']; readonly diverged?: string },
): Promise<LocalResult> {
  const local = await Promise.all(params.map((tensor) => tensor.data<'float32'>()));
  const areFinite = local.every((values) => firstNonFinite(values) < 0);
  const after = areFinite ? undefined : `parameters are not finite after training in round ${round}: lower client-lr`;
  const diverged = before ?? after;
  if (diverged !== undefined && !toTheEnd) throw new FlError('failed-precondition', diverged);
  const values = new Float32Array(sharedSize);
  const kept: HostTensors = {};
  for (const [i, { name, shape, offset, size }] of tensors.entries()) {
    if (privateTensors[name] !== undefined) kept[name] = { shape, data: local[i].slice() };
    else subtract(local[i], start.subarray(offset, offset + size), values.subarray(offset, offset + size));
  }
  const weights = new Array<number>(sharedTensors).fill(shard.train.length);
  if (diverged !== undefined) values.fill(Number.NaN); // also where the loss was no number and no parameter shows it
  return { contribution: { values, weights, metrics }, privateTensors: kept, ...(diverged && { diverged }) };
}

/** a − b into `difference`. On its own, so that the loop only ever sees three vectors: a third of the time. */
function subtract(a: Float32Array, b: Float32Array, difference: Float32Array): void {
  for (let i = 0; i < difference.length; i++) difference[i] = a[i] - b[i];
}
