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
 * The parameters live in one flat float32 vector on the host and are uploaded for each step: the arithmetic above is
 * then one loop over numbers instead of several kernel calls for each tensor, and every back end rounds it alike.
 */
import { setImmediate } from 'node:timers/promises';
import * as tf from '@tensorflow/tfjs-core';
import { type Contribution, UPDATE_CHANNEL } from '../../shared/channels.js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { firstNonFinite, type HostTensors, type Layout, packTensors } from '../../shared/params.js';
import type { Rng } from '../../shared/rng.js';
import type { TrainingSpec } from '../../shared/round.js';
import type { BatchContext, TensorMap, TrainContext, Workload } from '../workload.js';

export interface LocalSgdInput<Data> extends TrainContext {
  readonly workload: Workload<Data>;
  readonly data: Data;
  readonly shared: HostTensors;
  /** The private tensors of this client; trained with the shared ones and never part of the contribution. */
  readonly own: HostTensors;
  /** Rounds of the whole run, for the learning-rate schedule. */
  readonly rounds: number;
  readonly signal?: AbortSignal;
  readonly onProgress?: Progress;
}

export type Progress = (stepsDone: number, stepsTotal: number) => void;

export interface LocalResult {
  readonly contribution: Contribution;
  /** The new private tensors; a fresh copy. */
  readonly own: HostTensors;
}

/**
 * Trains and returns the update (local − global) of the tensors that the phase's update channel declares; other shared
 * tensors stay as they are. Equal input gives equal bits on one back end. Leaves no tensor behind.
 * @throws FlError failed-precondition: the loss or the update is not finite · aborted: the signal fired
 */
export async function localSgd<Data>(input: LocalSgdInput<Data>): Promise<LocalResult> {
  const { training, shard, rng } = input;
  checkTraining(training);
  const state = startState(input);
  const learningRate = training.clientLr * scheduleFactor(training.lrSchedule, input.round, input.rounds);
  const steps = countSteps(training, shard.train.length);
  const order = batches(shard.train, training.batchSize, rng.split('order'));
  const lossRng = rng.split('loss');
  let lossSum = 0;
  let examples = 0;
  for (let step = 1; step <= steps; step++) {
    throwIfCancelled(input.signal);
    const indices = order.next().value;
    const loss = await lossAndGradient(input, state, indices, lossRng);
    if (!Number.isFinite(loss)) {
      throw new FlError(
        'failed-precondition',
        `loss is not finite at step ${step} of round ${input.round}: lower client-lr`,
      );
    }
    lossSum += loss * indices.length;
    examples += indices.length;
    descend(state, training, learningRate);
    input.onProgress?.(step, steps);
    await setImmediate(); // the client answers its coordinator between steps
  }
  return finish(input, state, { sum: [lossSum], count: examples });
}

/** What the learning rate is multiplied by in round `round` (from 1): cosine falls from 1 in round 1 towards 0. */
export function scheduleFactor(schedule: TrainingSpec['lrSchedule'], round: number, rounds: number): number {
  return schedule === 'constant' ? 1 : 0.5 * (1 + Math.cos((Math.PI * (round - 1)) / rounds));
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

interface State {
  /** Trained tensors back to back: first the shared ones of the update channel, then the private ones. */
  readonly layout: Layout;
  readonly sharedSize: number;
  readonly params: Float32Array;
  readonly start: Float32Array;
  readonly gradient: Float32Array;
  readonly velocity: Float32Array;
  readonly frozen: readonly (readonly [string, HostTensors[string]])[];
}

function startState<Data>({ workload, phase, shared, own }: LocalSgdInput<Data>): State {
  if (workload.loss === undefined) throw invalidArgument('workload', 'a loss for local SGD', workload.manifest.name);
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
  const { layout: sharedLayout, values: sharedValues } = packTensors(trained);
  const { layout, values: params } = packTensors({ ...trained, ...own });
  if (layout.length !== sharedLayout.length + Object.keys(own).length) {
    throw invalidArgument('private tensors', 'names that no shared tensor has', Object.keys(own).join(', '));
  }
  return {
    layout,
    sharedSize: sharedValues.length,
    params,
    start: params.slice(),
    gradient: new Float32Array(params.length),
    velocity: new Float32Array(params.length),
    frozen: Object.entries(shared).filter(([name]) => trained[name] === undefined),
  };
}

function checkTraining({ localEpochs, localSteps, batchSize }: TrainingSpec): void {
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

/** Fills `state.gradient` and returns the mean loss. Reads asynchronously, because GPU back ends can do no other. */
async function lossAndGradient<Data>(
  input: LocalSgdInput<Data>,
  state: State,
  indices: Int32Array,
  rng: Rng,
): Promise<number> {
  const { workload, data, hyper, shard } = input;
  const context: BatchContext = { hyper, shard, split: 'train' };
  const { value, grads } = tf.tidy(() => {
    const trained = state.layout.map(({ shape, offset, size }) =>
      tf.tensor(state.params.subarray(offset, offset + size), [...shape]),
    );
    const params: Record<string, tf.Tensor> = {};
    for (const [name, { shape, data }] of state.frozen) params[name] = tf.tensor(data, [...shape]);
    for (const [i, { name }] of state.layout.entries()) params[name] = trained[i];
    const batch = workload.batch(data, indices, context);
    return tf.engine().gradients(() => scalarLoss(workload, params, batch, rng), trained);
  });
  try {
    const [loss, ...parts] = await Promise.all([value.data(), ...grads.map((grad) => grad?.data())]);
    for (const [i, { offset, size }] of state.layout.entries()) {
      const part = parts[i];
      // A tensor that the loss does not touch has no gradient.
      if (part === undefined) state.gradient.fill(0, offset, offset + size);
      else state.gradient.set(part, offset);
    }
    return (loss as Float32Array)[0];
  } finally {
    tf.dispose([value, ...grads.filter((grad) => grad !== undefined)]);
  }
}

function scalarLoss<Data>(workload: Workload<Data>, params: TensorMap, batch: TensorMap, rng: Rng): tf.Scalar {
  const loss = workload.loss?.(params, batch, rng) as tf.Tensor;
  if (loss.rank !== 0) throw invalidArgument('loss', 'a scalar, the mean over the batch', `shape [${loss.shape}]`);
  return loss as tf.Scalar;
}

function descend(state: State, training: TrainingSpec, learningRate: number): void {
  const { params, start, gradient, velocity, sharedSize } = state;
  const { momentum, weightDecay } = training;
  const scale = clipFactor(gradient, training.gradientClipNorm);
  for (let i = 0; i < params.length; i++) {
    const pull = i < sharedSize ? training.proximalMu * (params[i] - start[i]) : 0;
    const direction = gradient[i] * scale + weightDecay * params[i] + pull;
    velocity[i] = momentum * velocity[i] + direction;
    params[i] -= learningRate * velocity[i];
  }
}

/** What the gradient is multiplied by so that its norm is at most `bound`; 1 when bound is 0. */
function clipFactor(gradient: Float32Array, bound: number): number {
  if (bound === 0) return 1;
  let squares = 0;
  for (let i = 0; i < gradient.length; i++) squares += gradient[i] * gradient[i];
  const norm = Math.sqrt(squares);
  return norm > bound ? bound / norm : 1;
}

function finish<Data>(input: LocalSgdInput<Data>, state: State, loss: Contribution['metrics'][string]): LocalResult {
  const values = new Float32Array(state.sharedSize);
  for (let i = 0; i < values.length; i++) values[i] = state.params[i] - state.start[i];
  if (firstNonFinite(state.params) >= 0) {
    throw new FlError(
      'failed-precondition',
      `parameters are not finite after training in round ${input.round}: lower client-lr`,
    );
  }
  const own: HostTensors = {};
  for (const { name, shape, offset, size } of state.layout) {
    if (input.own[name] !== undefined) own[name] = { shape, data: state.params.slice(offset, offset + size) };
  }
  const sharedTensors = state.layout.length - Object.keys(own).length;
  const weights = new Array<number>(sharedTensors).fill(input.shard.train.length);
  return { contribution: { values, weights, metrics: { loss } }, own };
}
