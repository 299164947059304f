/**
 * What a client does in a round of meta-learning, beginning with the global model. A local step is a task:
 *
 *     reptile   inner steps of gradient descent on the task's drawings, then go clientLr of the way there (Nichol et al.
 *               2018, arXiv:1803.02999, Algorithm 1)
 *     fomaml    inner steps, then clientLr along the gradient that the adapted model has on other drawings of the task,
 *               taken from where the task began: first-order Per-FedAvg (Fallah et al. 2020, arXiv:2002.07948)
 *     fedavg    no tasks: a step of the usual classifier over all training characters
 *     scratch   nothing: the model stays as it was drawn
 *
 * Reptile with one local step, clientLr 1 and a server learning rate below 1 is its outer step to the letter.
 */
import { setImmediate } from 'node:timers/promises';

import tf = require('@tensorflow/tfjs-core');

import { FlError, invalidArgument } from '../../../shared/errors.js';
import type { Rng } from '../../../shared/rng.js';
import { firstNonFinite, type HostTensors } from '../../../shared/tensors/params.js';
import { type CharacterData, DRAWINGS } from '../../data/characters.js';
import { uploadTensors } from '../../training/evaluate.js';
import { throwIfCancelled } from '../../training/local-sgd.js';
import type { TensorMap, TrainContext } from '../../workload.js';
import { drawEpisode, drawingsOf, imageTensor } from './episodes.js';
import { CATALOGUE, classesInOrder, descended, differentiate, metaLoss, withHead } from './model.js';

/** Ways to a start from which few steps are enough; scratch: none. */
export const ALGORITHMS = ['reptile', 'fomaml', 'fedavg', 'scratch'] as const;
export type Algorithm = (typeof ALGORITHMS)[number];

/** Quarter turns of a character, each a class of its own. */
export const TURNS = 4;

interface MetaSettings {
  readonly algorithm: Algorithm;
  /** Characters of a task; fewer where an alphabet has no more. */
  readonly ways: number;
  /** Drawings of each that a task's steps learn from. */
  readonly shots: number;
  /** Further drawings of each that the adapted model is judged on (fomaml). */
  readonly queries: number;
  readonly innerSteps: number;
  readonly innerLr: number;
}

interface MetaRound extends Pick<TrainContext, 'training' | 'rng' | 'toTheEnd' | 'signal' | 'onProgress'> {
  readonly shared: HostTensors;
  readonly data: CharacterData;
  /** The client's training characters. */
  readonly characters: Int32Array;
  readonly settings: MetaSettings;
}

interface MetaResult {
  /** The client's model, tensor by tensor in the order of `shared`. */
  readonly tensors: readonly Float32Array[];
  /** Of each task when it has been learned: at the last step, or on the drawings asked about. */
  readonly loss: { readonly sum: number[]; readonly count: number };
}

/** Equal input gives equal bits on one back end; leaves no tensor behind. @throws FlError failed-precondition: diverged, and not `toTheEnd` · aborted */
export async function metaRound(round: MetaRound): Promise<MetaResult> {
  const { shared, rng, toTheEnd, signal, onProgress } = round;
  const steps = checkTraining(round);
  let params: TensorMap = uploadTensors(shared);
  let lossSum = 0;
  try {
    for (let step = 1; step <= steps; step++) {
      throwIfCancelled(signal);
      const [next, loss] = tf.tidy(() => stepped(params, round, rng.split(`step ${step}`)));
      tf.dispose(params);
      params = next;
      const [value] = await loss.data();
      loss.dispose();
      if (!Number.isFinite(value) && !toTheEnd) throw diverged();
      lossSum += value;
      onProgress?.(step, steps);
      await setImmediate(); // the client answers its coordinator between steps
    }
    const tensors = await Promise.all(Object.keys(shared).map((name) => params[name].data<'float32'>()));
    if (!toTheEnd && tensors.some((values) => firstNonFinite(values) >= 0)) throw diverged();
    return { tensors: tensors.map((values) => values.slice()), loss: { sum: [lossSum], count: steps } };
  } finally {
    tf.dispose(params);
  }
}

/** The next model, and the loss when the task has been learned. */
function stepped(params: TensorMap, round: MetaRound, rng: Rng): [TensorMap, tf.Scalar] {
  const { algorithm } = round.settings;
  switch (algorithm) {
    case 'reptile':
    case 'fomaml':
      return afterTask(params, round, rng);
    case 'fedavg':
      return classified(params, round, rng);
    case 'scratch':
      return [descended(params, params, 0), tf.scalar(Math.log(round.settings.ways))];
  }
}

function afterTask(
  params: TensorMap,
  { data: { train, side }, characters, settings, training: { batchSize, clientLr } }: MetaRound,
  rng: Rng,
): [TensorMap, tf.Scalar] {
  const { shots, queries, algorithm, innerSteps, innerLr } = settings;
  const episode = drawEpisode(train, characters, { ways: settings.ways, turned: true }, rng);
  const ways = episode.length;
  const images = imageTensor(drawingsOf(train, side, [episode], [0, shots]), side);
  const classes = classesInOrder(ways, shots);
  let current = withHead(params, side, ways);
  let last: tf.Scalar | undefined;
  for (const batch of miniBatches(ways * shots, batchSize, innerSteps, rng)) {
    const at = tf.tensor1d(batch, 'int32');
    const [x, y] = [tf.gather(images, at), tf.gather(classes, at)];
    const [loss, gradient] = differentiate(current, (point) => metaLoss(point, x, y));
    last = loss;
    current = descended(current, gradient, innerLr);
  }
  if (algorithm === 'fomaml') {
    const others = imageTensor(drawingsOf(train, side, [episode], [shots, shots + queries]), side);
    const asked = classesInOrder(ways, queries);
    const [loss, gradient] = differentiate(current, (point) => metaLoss(point, others, asked));
    return [descended(params, gradient, clientLr), loss];
  }
  const pull = Object.fromEntries(Object.entries(params).map(([name, at]) => [name, tf.sub(at, current[name])]));
  return [descended(params, pull, clientLr), last as tf.Scalar];
}

/** A step on drawings of any of the client's characters, each turn of a character a class of the catalogue. */
function classified(
  params: TensorMap,
  { data: { train, side }, characters, training: { batchSize, clientLr } }: MetaRound,
  rng: Rng,
): [TensorMap, tf.Scalar] {
  const drawn = Array.from({ length: batchSize }, () => ({
    character: characters[rng.below(characters.length)],
    turns: rng.below(TURNS),
    order: [rng.below(DRAWINGS)],
  }));
  const images = imageTensor(drawingsOf(train, side, [drawn], [0, 1]), side);
  const labels = drawn.map(({ character, turns }) => TURNS * character + turns);
  const classes = params[`${CATALOGUE}/bias`].size;
  const oneHot = tf.cast(tf.oneHot(tf.tensor1d(labels, 'int32'), classes), 'float32') as tf.Tensor2D;
  const [loss, gradient] = differentiate(params, (point) => metaLoss(point, images, oneHot, CATALOGUE));
  return [descended(params, gradient, clientLr), loss];
}

/** `steps` batches of positions, round after round through all of them, each round in a fresh order. */
function* miniBatches(count: number, batchSize: number, steps: number, rng: Rng): Generator<number[]> {
  let order: number[] = [];
  for (let step = 0; step < steps; step++) {
    if (order.length === 0) order = rng.shuffle(Array.from({ length: count }, (_, i) => i));
    yield order.splice(0, batchSize);
  }
}

/** Local steps of a round. What tasks have no use for is refused rather than ignored. */
function checkTraining({ training, settings }: MetaRound): number {
  const { localSteps, momentum, weightDecay, gradientClipNorm, proximalMu, lrSchedule, lrWarmupRounds = 0 } = training;
  if (localSteps === undefined) throw invalidArgument('local-steps', 'the tasks of a round', 'none');
  for (const [name, value] of Object.entries({ momentum, weightDecay, gradientClipNorm, proximalMu, lrWarmupRounds })) {
    if (value !== 0) throw invalidArgument(name, '0 with meta-learning', value);
  }
  if (lrSchedule !== 'constant') throw invalidArgument('lr-schedule', 'constant with meta-learning', lrSchedule);
  if (settings.algorithm === 'reptile' && settings.innerSteps < 2) {
    const expected = 'at least 2 with reptile, as the first moves nothing but the head';
    throw invalidArgument('hyper.inner-steps', expected, settings.innerSteps);
  }
  return localSteps;
}

function diverged(): FlError {
  return new FlError('failed-precondition', 'meta-learning: loss or parameters are not finite: lower client-lr');
}
