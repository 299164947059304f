/**
 * What is wrong with an answer, by task: the losses that train (Liu, Johns and Davison 2019, section 3.4) and the sums by
 * which NYUv2 results are told (Eigen and Fergus 2015, arXiv:1411.4734): mIoU; depth error, and share of depths within a
 * factor of 1.25; mean angle between normals, and share within 22.5 degrees.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Formula } from '../../../shared/run/formula.js';
import { CLASS_NAMES, DEPTH_UNIT_M } from '../../data/scenes.js';
import type { Batch } from '../../workload.js';
import type { Task } from './model.js';

const CLASSES = CLASS_NAMES.length;
/**
 * Three quarters of all pixels are of the room; weighed so, the other classes count as much as they would in a balanced
 * picture (after Eigen and Fergus 2015, section 4), and a pixel weighs 1 on average.
 */
const CLASS_WEIGHTS = [0.4, 2.7, 2.7, 2.7];
const HALF_TURN = Math.PI;
const WITHIN_FACTOR = 1.25;
const WITHIN_ANGLE = Math.PI / 8;

/** Sums over the owned examples of a batch, by metric: how many numbers, none larger than 1 for one example. */
export const SIZES = { segmentation: CLASSES * CLASSES, depth: 3, normals: 3 } as const;

/** The loss of each example [batch]; `output` [batch, S, S, outputs]. */
export function taskLoss(task: Task, output: tf.Tensor4D, { classes, depth, normals }: Batch): tf.Tensor1D {
  switch (task) {
    case 'segmentation':
      return perImage(tf.neg(tf.sum(tf.mul(tf.mul(classes, CLASS_WEIGHTS), tf.logSoftmax(output)), 3, true)));
    case 'depth':
      return perImage(tf.abs(tf.sub(output, depth)));
    case 'normals':
      return perImage(tf.sum(tf.squaredDifference(unit(output), normals), 3, true)); // 2 (1 - cosine)
  }
}

/**
 * segmentation: [truth, predicted], shares of an image's pixels. depth: |error| in units of DEPTH_UNIT_M, share within the
 * factor, examples. normals: angle in half turns, share within the angle, examples.
 * @param owned [batch], 1 for the examples that have labels of this task
 */
export function taskSums(task: Task, output: tf.Tensor4D, batch: Batch, owned: tf.Tensor1D): tf.Tensor1D {
  if (task === 'segmentation') {
    const predicted = tf.oneHot(tf.argMax(output, 3), CLASSES);
    const weight = tf.reshape(owned, [-1, 1, 1, 1]);
    const rows = (x: tf.Tensor) => tf.reshape(tf.cast(x, 'float32'), [-1, CLASSES]) as tf.Tensor2D;
    const counts = tf.matMul(rows(tf.mul(tf.cast(batch.classes, 'float32'), weight)), rows(predicted), true);
    return tf.reshape(tf.div(counts, output.shape[1] * output.shape[2]), [SIZES.segmentation]);
  }
  const [error, within] = task === 'depth' ? depthErrors(output, batch.depth) : angles(output, batch.normals);
  const each = tf.stack([perImage(error), perImage(within), tf.onesLike(owned)], 1);
  return tf.reshape(tf.matMul(tf.reshape(owned, [1, -1]), each as tf.Tensor2D), [3]);
}

function depthErrors(output: tf.Tensor4D, depth: tf.Tensor): [tf.Tensor, tf.Tensor] {
  const ratio = tf.div(tf.maximum(output, 1e-3), depth);
  const within = tf.less(tf.maximum(ratio, tf.reciprocal(ratio)), WITHIN_FACTOR);
  return [tf.minimum(1, tf.abs(tf.sub(output, depth))), tf.cast(within, 'float32')];
}

function angles(output: tf.Tensor4D, normals: tf.Tensor): [tf.Tensor, tf.Tensor] {
  const cosine = tf.sum(tf.mul(unit(output), normals), 3, true);
  const angle = tf.acos(tf.clipByValue(cosine, -1, 1));
  return [tf.div(angle, HALF_TURN), tf.cast(tf.less(angle, WITHIN_ANGLE), 'float32')];
}

/** [batch, S, S, 1] -> mean over pixels [batch] */
function perImage(x: tf.Tensor): tf.Tensor1D {
  return tf.mean(x, [1, 2, 3]);
}

/** Vectors of length 1 along the last of four axes. */
export function unit(x: tf.Tensor): tf.Tensor {
  return tf.mul(x, tf.rsqrt(tf.add(tf.sum(tf.square(x), 3, true), 1e-6)));
}

/** Of the tasks that somebody was tested on; `score` is the mean over them of mIoU and the two shares. */
export const FIGURES: Readonly<Record<string, Formula>> = figures();

function figures(): Record<string, Formula> {
  const confusion = (indices: readonly number[]): Formula => ['sum', 'segmentation', ...indices];
  const total: Formula = ['sum', 'segmentation'];
  const classes = CLASS_NAMES.map((_, c) => c);
  const own = (c: number) => c * CLASSES + c;
  const ious = classes.map((c): Formula => {
    const union = classes.flatMap((other) => (other === c ? [own(c)] : [c * CLASSES + other, other * CLASSES + c]));
    return ['or', ['div', confusion([own(c)]), confusion(union)], 1];
  });
  // under secure aggregation with older clients zero is zero up to the grid
  const tested = (examples: Formula, figure: Formula): Formula => ['when', examples, 0.5, figure];
  const of = (task: Task, at: number): Formula => ['sum', task, at];
  const share = (task: Task, at: number, unitOf = 1): Formula =>
    tested(of(task, 2), ['div', ['mul', unitOf, of(task, at)], of(task, 2)]);
  const miou = tested(total, ['mean', ...ious]);
  const [depth, angle] = [share('depth', 1), share('normals', 1)];
  return {
    miou,
    'pixel-accuracy': tested(total, ['div', confusion(classes.map(own)), total]),
    'depth-error': share('depth', 0, DEPTH_UNIT_M),
    'depth-within': depth,
    angle: share('normals', 0, 180),
    'angle-within': angle,
    score: ['mean', miou, depth, angle],
  };
}
