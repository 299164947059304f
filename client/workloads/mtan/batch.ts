/** Which site has labels for which task, and the tensors of a batch of scenes that follow from it. */
import tf = require('@tensorflow/tfjs-core');

import { CLASS_NAMES, type Scenes } from '../../data/scenes.js';
import type { Batch, BatchContext } from '../../workload.js';
import { hyperNumber } from '../parts/hyper.js';
import { TASKS, type Task } from './model.js';

/** Scenes of all sites. */
export interface MtanData {
  readonly train: Scenes;
  readonly test: Scenes;
}

const CLASSES = CLASS_NAMES.length;
/** What site s owns is entry s modulo 6: each task is owned by three of six sites, alone or in a pair. */
const OWNED: readonly (readonly Task[])[] = [
  ['segmentation'],
  ['depth'],
  ['normals'],
  ['segmentation', 'depth'],
  ['depth', 'normals'],
  ['normals', 'segmentation'],
];

/** Whether the site has labels for the task. */
export function owns(site: number, task: Task): boolean {
  return OWNED[site % OWNED.length].includes(task);
}

/** The tasks that somebody in the batch owns. */
export function ownedIn(batch: Batch): readonly Task[] {
  return TASKS.filter((task) => batch[`owns/${task}`] !== undefined);
}

/** What is predicted from and what it should be; [batch, S, S, ...] but for the marks of ownership, [batch] each. */
export function batchOf(data: MtanData, indices: Int32Array, { split, hyper }: BatchContext): Batch {
  const scenes = data[split];
  const { size } = scenes;
  const take = (values: Float32Array | Uint8Array, width: number) =>
    tf.tensor4d(rows(values, indices, size * size * width), [indices.length, size, size, width]);
  const owned = TASKS.map((task) => Float32Array.from(indices, (i) => (owns(scenes.sites[i], task) ? 1 : 0)));
  return {
    images: tf.concat([tf.sub(take(scenes.images, 3), 0.5), positions(indices.length, size)], 3),
    classes: tf.cast(tf.oneHot(tf.cast(tf.squeeze(take(scenes.classes, 1), [3]), 'int32'), CLASSES), 'float32'),
    depth: take(scenes.depths, 1),
    normals: take(scenes.normals, 3),
    // A task that nobody in the batch owns is absent, so that it is not computed; to see that needs no tensor read.
    ...Object.fromEntries(
      TASKS.flatMap((task, k) => (owned[k].includes(1) ? [[`owns/${task}`, tf.tensor1d(owned[k])]] : [])),
    ),
    temperature: tf.scalar(hyperNumber(hyper, 'temperature')),
  };
}

/** Where a pixel is: x to the right and y down, -0.5..0.5, [batch, size, size, 2] (CoordConv, Liu et al. 2018). */
function positions(batch: number, size: number): tf.Tensor4D {
  const line = tf.sub(tf.div(tf.range(0, size), size - 1), 0.5);
  const plane = tf.stack(
    [tf.tile(tf.reshape(line, [1, size]), [size, 1]), tf.tile(tf.reshape(line, [size, 1]), [1, size])],
    2,
  );
  return tf.tile(tf.expandDims(plane, 0) as tf.Tensor4D, [batch, 1, 1, 1]);
}

/** Rows of `width` numbers, one below the other. */
function rows<Values extends Float32Array | Uint8Array>(
  values: Values,
  indices: Int32Array,
  width: number,
): Float32Array {
  const out = new Float32Array(indices.length * width);
  for (const [row, i] of indices.entries()) out.set(values.subarray(i * width, (i + 1) * width), row * width);
  return out;
}
