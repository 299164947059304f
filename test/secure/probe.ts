/**
 * A workload whose model asks one question of each example, "are you like this?": the loss of those that are overflows. It
 * stands for any network that an operator can craft a model for.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Workload } from '../../client/workload.js';
import { type Params, packTensors } from '../../shared/tensors/params.js';
import { toyWorkload } from '../support/toy.js';

export const EXAMPLES = 8;
/** No example is as the model asks. */
export const NOBODY = -1;
export const TENSORS = [{ name: 'w', shape: [2] }];

/** Poisson regression: loss exp(x·w) - x·w. The example `match` is x = (1, 0); all others are (0, 1). */
export function probed(match: number): Workload {
  const perExampleLoss: Workload['perExampleLoss'] = ({ w }, { x }) => {
    const rate = tf.matMul(x as tf.Tensor2D, tf.reshape(w, [2, 1]));
    return tf.reshape(tf.sub(tf.exp(rate), rate), [-1]);
  };
  return {
    ...toyWorkload,
    init: () => ({ shared: { w: { shape: [2], data: new Float32Array(2) } } }),
    examples: () => ({ train: { count: EXAMPLES }, test: { count: EXAMPLES } }),
    batch: (_, indices) => ({ x: tf.tensor2d(Array.from(indices, (i) => (i === match ? [1, 0] : [0, 1]))) }),
    perExampleLoss,
    loss: (params, batch) => tf.mean(perExampleLoss(params, batch)) as tf.Scalar,
    metrics: (params, batch) => ({ loss: { sum: tf.sum(perExampleLoss(params, batch)), count: batch.x.shape[0] } }),
  };
}

/** exp(200) is beyond float32. */
export const CRAFTED = modelOf(200);

export function modelOf(weight: number): Params {
  return packTensors({ w: { shape: [2], data: Float32Array.of(weight, 1) } });
}
