/**
 * What a representation has to be better than: the same two read-outs, with the same labelled bank, on the pixels themselves,
 * and the mean image of each class of the bank.
 */
import tf = require('@tensorflow/tfjs-core');

import { addMetrics, type SumMetrics } from '../../../shared/run/metrics.js';
import type { Batch, Floor, FloorContext, Shard } from '../../workload.js';
import { majority, nearestMean } from '../parts/classifiers.js';
import { labelled, rightIn } from '../parts/floors.js';
import { predictionOf } from '../parts/layers.js';
import { type Bank, linearScores, NEIGHBOURS, neighbourVotes } from './probes.js';

/** Test images that are judged at a time. */
const BATCH = 200;

/** Rows `floor/majority`, `floor/pixels` and `floor/nearest-mean`. */
export const simclrFloors: readonly Floor<never>[] = [
  {
    name: 'majority',
    label: 'the commonest class of the bank',
    kind: 'trivial',
    fit: (context) => judgedBy(context, ofBank(majority)),
  },
  {
    name: 'pixels',
    label: 'the same read-outs on raw pixels',
    kind: 'raw-features',
    fit: (context) =>
      judgedBy(context, (batch, bank) => {
        const [features, labels] = [flat(batch.images), batch.labels as tf.Tensor2D];
        const share = (scores: tf.Tensor2D) => {
          const [right] = tf.sum(tf.mul(labels, predictionOf(scores))).dataSync();
          return { sum: [right], count: labels.shape[0] };
        };
        return { knn: share(neighbourVotes(features, bank, NEIGHBOURS)), probe: share(linearScores(features, bank)) };
      }),
  },
  {
    name: 'nearest-mean',
    label: 'nearest class mean of the bank, in pixels',
    kind: 'classical',
    fit: (context) => judgedBy(context, ofBank(nearestMean)),
  },
];

function judgedBy(context: FloorContext<never>, judge: (batch: Batch, bank: Bank) => SumMetrics) {
  return (shard: Shard): SumMetrics => {
    let total: SumMetrics = {};
    for (let start = 0; start < shard.test.length; start += BATCH) {
      const indices = shard.test.slice(start, start + BATCH);
      tf.tidy(() => {
        const batch = context.batch(indices, { shard, split: 'test' });
        const bank = { features: flat(batch.bankImages), labels: batch.bankLabels as tf.Tensor2D };
        total = addMetrics(total, judge(batch, bank));
      });
    }
    return total;
  };
}

/** Whichever read-out it is set beside: both are shares of right answers on the same images. */
function ofBank(learn: typeof majority) {
  return (batch: Batch, bank: Bank): SumMetrics => {
    const scores = learn(labelled(bank.features, bank.labels));
    const right = rightIn(scores, labelled(batch.images, batch.labels as tf.Tensor2D));
    return { knn: right, probe: right };
  };
}

/** [count, numbers of an image] */
function flat(images: tf.Tensor): tf.Tensor2D {
  return tf.reshape(images, [images.shape[0] as number, -1]);
}
