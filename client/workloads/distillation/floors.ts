/** What clients' networks and the student have to be better than, each on the images that they are judged on. */
import tf = require('@tensorflow/tfjs-core');

import type { SumMetrics } from '../../../shared/run/metrics.js';
import { classFloors, labelled, rightIn, rowsOf } from '../parts/floors.js';
import type { DistillationData } from './phases.js';

const OWN = { inputs: 'images', labels: 'labels' };

/** Rows `floor/NAME`: `network.accuracy` on the common images, as a network's; the others on a client's test images. */
export const distillationFloors = classFloors<DistillationData>(['majority', 'softmax', 'nearest-mean'], {
  ...OWN,
  judge(scores, { context, shard }): SumMetrics {
    const own = rightIn(scores, rowsOf(context, { shard, split: 'test' }, OWN));
    if (shard.test.length === 0) return {};
    let common = own;
    tf.tidy(() => {
      const { commonImages, commonLabels } = context.batch(shard.test.slice(0, 1), { shard, split: 'test' });
      common = rightIn(scores, labelled(commonImages, commonLabels as tf.Tensor2D));
    });
    const once = { sum: [(common.sum[0] / common.count) * own.count], count: own.count }; // for each test example
    return { 'network.accuracy': once, 'own.accuracy': own, 'student.accuracy': own };
  },
});
