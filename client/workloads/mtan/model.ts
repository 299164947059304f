/**
 * The multi-task attention network (Liu, Johns and Davison 2019, arXiv:1803.10704, section 3.1; reference
 * implementation lorenmt/mtan, im2im_pred/model_segnet_mtan.py), small: one trunk, an encoder-decoder of three levels,
 * and for each task a soft attention mask over the trunk's features at each of its five stages.
 *
 *     trunk    u, p: two convolutions 3x3 at each stage; encoder sides S, S/2, S/4 with widths w0, w1, w2; decoder back
 *     mask     a_j = sigmoid(1x1(relu(norm(1x1([u_j ; carried])))))       [batch, side, side, width_j], the task's own
 *     carried  encoder: pool(relu(3x3(a_j * p_j)))   decoder: relu(3x3(upsample(a_j * p_j)))
 *     output   3x3 of the last a_j * p_j: class logits [4], depth [1] or a normal [3]
 *
 * Departures from the paper: sizes; decoder stages add the encoder's features of their side; normalisation is by root mean
 * square over channels, without a gain, in place of batch normalisation, whose statistics do not federate.
 *
 * `single` gives every task a trunk of its own: three networks that share nothing, the paper's single-task attention
 * network, which is what the shared one has to beat.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import type { TensorMap } from '../../workload.js';
import { conv, heLayer, overRms } from '../parts/layers.js';

/** What is predicted of a scene, in the order of the losses' weights. */
export const TASKS = ['segmentation', 'depth', 'normals'] as const;
export type Task = (typeof TASKS)[number];

const OUTPUTS: Readonly<Record<Task, number>> = { segmentation: 4, depth: 1, normals: 3 };

/** Red, green, blue, and where the pixel is: x and y. */
const INPUTS = 5;

const NORMED_SCALE = 0.35;

type Sharing = 'shared' | 'single';

/** Stages in the order of computation: what they are called and at which level of the pyramid they are. */
const STAGES = [
  ['encode0', 0],
  ['encode1', 1],
  ['encode2', 2],
  ['decode1', 1],
  ['decode0', 0],
] as const;

/** Prefix of the tensors of the trunk that a task reads. */
function trunkOf(task: Task, sharing: Sharing): string {
  return sharing === 'shared' ? 'trunk' : `${task}/trunk`;
}

/** @param widths channels at sides S, S/2 and S/4 */
export function initMtan(rng: Rng, widths: readonly number[], sharing: Sharing): HostTensors {
  const trunks = [...new Set(TASKS.map((task) => trunkOf(task, sharing)))];
  return {
    ...Object.assign({}, ...trunks.map((trunk) => initTrunk(rng, trunk, widths))),
    ...Object.assign({}, ...TASKS.map((task) => initTask(rng, task, widths))),
  };
}

function initTrunk(rng: Rng, trunk: string, widths: readonly number[]): HostTensors {
  let inputs = INPUTS;
  const layers = STAGES.map(([stage, level]) => {
    const width = widths[level];
    const layer = {
      ...normedLayer(rng, `${trunk}/${stage}/u`, [3, 3, inputs, width]),
      ...normedLayer(rng, `${trunk}/${stage}/p`, [3, 3, width, width]),
    };
    inputs = width;
    return layer;
  });
  return Object.assign({}, ...layers);
}

function initTask(rng: Rng, task: Task, widths: readonly number[]): HostTensors {
  let carried = 0;
  const layers = STAGES.map(([stage, level], i) => {
    const width = widths[level];
    const next = STAGES[i + 1];
    const layer = {
      ...normedLayer(rng, `${task}/${stage}/look`, [1, 1, width + carried, width]),
      ...heLayer(rng, `${task}/${stage}/mask`, [1, 1, width, width]),
      ...(next && normedLayer(rng, `${task}/${stage}/carry`, [3, 3, width, widths[next[1]]])),
    };
    carried = next ? widths[next[1]] : 0;
    return layer;
  });
  return Object.assign({}, ...layers, heLayer(rng, `${task}/head`, [3, 3, widths[0], OUTPUTS[task]]));
}

/**
 * A layer whose output is normalised: its scale changes nothing but how far a step of a given length turns it, by the
 * inverse square (van Laarhoven 2017, arXiv:1706.05350). Small, it keeps up with the layers that are not normalised.
 */
function normedLayer(rng: Rng, name: string, shape: readonly number[]): HostTensors {
  const layer = heLayer(rng, name, shape);
  const kernel = layer[`${name}/kernel`];
  return { ...layer, [`${name}/kernel`]: { ...kernel, data: kernel.data.map((value) => NORMED_SCALE * value) } };
}

/** Features of one stage of a trunk: [batch, side, side, width] both. */
interface Stage {
  readonly u: tf.Tensor4D;
  readonly p: tf.Tensor4D;
}

/** images [batch, S, S, INPUTS], S a multiple of 4 -> the five stages */
function trunkFeatures(params: TensorMap, trunk: string, images: tf.Tensor4D): readonly Stage[] {
  const stages: Stage[] = [];
  let x = images;
  for (const [i, [stage, level]] of STAGES.entries()) {
    const before = i === 0 ? level : STAGES[i - 1][1];
    if (level > before) x = tf.avgPool(x, 2, 2, 'valid');
    if (level < before) x = upsample(x);
    let u = normed(params, `${trunk}/${stage}/u`, x);
    if (level < before) u = tf.add(u, stages[level].p);
    const p = normed(params, `${trunk}/${stage}/p`, u);
    stages.push({ u, p });
    x = p;
  }
  return stages;
}

interface TaskOutput {
  /** [batch, S, S, OUTPUTS[task]] */
  readonly output: tf.Tensor4D;
  /** The attention masks at the five stages, 0..1. */
  readonly masks: readonly tf.Tensor4D[];
}

/** By task. */
export type Outputs = Readonly<Partial<Record<Task, TaskOutput>>>;

/** Of the tasks that are asked for; a trunk is computed once, and none that no task needs. */
export function forward(params: TensorMap, images: tf.Tensor4D, tasks: readonly Task[]): Outputs {
  const sharing: Sharing = params['trunk/encode0/u/kernel'] === undefined ? 'single' : 'shared';
  const trunks = new Map<string, readonly Stage[]>();
  const outputs: Partial<Record<Task, TaskOutput>> = {};
  for (const task of tasks) {
    const trunk = trunkOf(task, sharing);
    const stages = trunks.get(trunk) ?? trunkFeatures(params, trunk, images);
    trunks.set(trunk, stages);
    outputs[task] = attend(params, task, stages);
  }
  return outputs;
}

function attend(params: TensorMap, task: Task, stages: readonly Stage[]): TaskOutput {
  const masks: tf.Tensor4D[] = [];
  let carried: tf.Tensor4D | undefined;
  for (const [i, [stage, level]] of STAGES.entries()) {
    const { u, p } = stages[i];
    const seen = carried === undefined ? u : tf.concat([u, carried], 3);
    const look = normed(params, `${task}/${stage}/look`, seen);
    const mask = tf.sigmoid(conv(params, `${task}/${stage}/mask`, look)) as tf.Tensor4D;
    masks.push(mask);
    const attended = tf.mul(mask, p) as tf.Tensor4D;
    const next = STAGES[i + 1];
    if (next === undefined) return { output: conv(params, `${task}/head`, attended), masks };
    const carry = (x: tf.Tensor4D) => normed(params, `${task}/${stage}/carry`, x);
    carried = next[1] > level ? tf.avgPool(carry(attended), 2, 2, 'valid') : carry(upsample(attended));
  }
  throw new RangeError('STAGES: expected at least one, got none');
}

/** A convolution, normalised over its channels, through a ReLU. */
function normed(params: TensorMap, name: string, x: tf.Tensor4D): tf.Tensor4D {
  return tf.relu(overRms(conv(params, name, x)));
}

function upsample(x: tf.Tensor4D): tf.Tensor4D {
  return tf.image.resizeNearestNeighbor(x, [2 * x.shape[1], 2 * x.shape[2]]);
}
