/**
 * The losses of a batch and how they are weighed against one another: equally, or by Dynamic Weight Average (Liu, Johns and
 * Davison 2019, section 3.3), from losses that exist as sums over clients only:
 *
 *     lambda_k(t) = K exp(w_k / T) / sum_i exp(w_i / T)     w_k = L_k(t - 1) / L_k(t - 2), 1 in the first two rounds
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { uploadTensors } from '../../training/evaluate.js';
import type { Batch, BatchContext, TensorMap } from '../../workload.js';
import { hyperChoice } from '../parts/hyper.js';
import { batchOf, type MtanData, ownedIn } from './batch.js';
import { taskLoss } from './measures.js';
import { forward, type Outputs, TASKS } from './model.js';

/** Whether tasks are weighed by Dynamic Weight Average. */
export function isDynamic(hyper: Hyper): boolean {
  return hyperChoice(hyper, 'weighting', ['dwa', 'equal']) === 'dwa';
}

/** Of the tasks that somebody in the batch owns. */
export function outputsOf(params: TensorMap, batch: Batch): Outputs {
  return forward(params, batch.images as tf.Tensor4D, ownedIn(batch));
}

/** The weighted losses of the owned tasks, summed for each example [batch]. */
export function perExample(params: TensorMap, batch: Batch, outputs: Outputs): tf.Tensor1D {
  const lambdas = lossWeights(params, batch);
  const parts = ownedIn(batch).map((task) => {
    const loss = tf.mul(taskLoss(task, outputs[task]!.output, batch), batch[`owns/${task}`]);
    return tf.mul(loss, tf.gather(lambdas, TASKS.indexOf(task)));
  });
  return tf.addN(parts) as tf.Tensor1D;
}

/** lambda [3] of the header; L(t - 1) and L(t - 2) are what `losses/TASK` holds, 0 while there is none. */
function lossWeights(params: TensorMap, { temperature }: Batch): tf.Tensor {
  if (params[`losses/${TASKS[0]}`] === undefined) return tf.ones([TASKS.length]);
  const history = tf.stack(TASKS.map((task) => params[`losses/${task}`])); // [3, 2]
  const [last, before] = tf.unstack(history, 1);
  const ratio = tf.where(tf.greater(before, 0), tf.div(last, tf.maximum(before, 1e-6)), tf.onesLike(last));
  return tf.mul(TASKS.length, tf.softmax(tf.div(ratio, temperature)));
}

/** Mean loss of the model by task over these examples; 0 for a task without any. */
export async function measureLosses(
  shared: HostTensors,
  data: MtanData,
  indices: Int32Array,
  context: BatchContext,
): Promise<readonly number[]> {
  const sums = tf.tidy(() => {
    const batch = batchOf(data, indices, context);
    const outputs = outputsOf(uploadTensors(shared), batch);
    return TASKS.map((task) => {
      const owned = batch[`owns/${task}`];
      if (owned === undefined) return tf.scalar(0);
      return tf.div(tf.sum(tf.mul(taskLoss(task, outputs[task]!.output, batch), owned)), tf.sum(owned));
    });
  });
  const values = await Promise.all(sums.map((sum) => sum.data()));
  tf.dispose(sums);
  return values.map(([value]) => value);
}
