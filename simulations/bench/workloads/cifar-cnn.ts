/**
 * The shape of pfl-research's CIFAR-10 benchmark: 1,000 users of 50 images [32, 32, 3], cohorts of 50, and its network
 * (without the dropout): conv 3x3x32, conv 3x3x64, both unpadded, pool 2, dense 128, dense 10; 1,626,442 parameters.
 */
import tf = require('@tensorflow/tfjs-core');

import type { TensorMap } from '../../../client/workload.js';
import { dense, flatten, heLayer } from '../../../client/workloads/parts/layers.js';
import { CLASSES, imageWorkload } from './images.js';

// biome-ignore lint/style/noDefaultExport: a workload's file is known by its default export
export default imageWorkload({
  name: 'bench-cifar-cnn',
  paper:
    'Granqvist et al. 2024, pfl-research: simulation framework for accelerating research in Private Federated Learning',
  shape: [32, 32, 3],
  scale: {
    clients: 1000,
    cohort: 50,
    rounds: 1,
    partition: 'iid',
    training: { localEpochs: 1, batchSize: 10, clientLr: 0.1 },
    hyper: { 'train-examples': 50_000, 'test-examples': 1000 },
  },
  init: (rng) => ({
    ...heLayer(rng, 'conv1', [3, 3, 3, 32]),
    ...heLayer(rng, 'conv2', [3, 3, 32, 64]),
    ...heLayer(rng, 'hidden', [14 * 14 * 64, 128]),
    ...heLayer(rng, 'logits', [128, CLASSES]),
  }),
  logits(params, images) {
    const maps = conv(params, 'conv2', conv(params, 'conv1', images as tf.Tensor4D));
    const pooled = flatten(tf.maxPool(maps, 2, 2, 'valid'));
    return dense(params, 'logits', tf.relu(dense(params, 'hidden', pooled)));
  },
});

function conv(params: TensorMap, name: string, x: tf.Tensor4D): tf.Tensor4D {
  const kernel = params[`${name}/kernel`] as tf.Tensor4D;
  return tf.relu(tf.add(tf.conv2d(x, kernel, 1, 'valid'), params[`${name}/bias`])) as tf.Tensor4D;
}
