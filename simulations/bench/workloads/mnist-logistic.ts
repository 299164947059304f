/**
 * Logistic regression on images [28, 28, 1]: 1,000 clients of 60, 10 of them in each of 100 rounds, the task by which
 * FLUTE (Garcia et al. 2022, arXiv:2203.13789) compares simulators. 7,850 parameters.
 */
import { dense, flatten, heLayer } from '../../../client/workloads/parts/layers.js';
import { CLASSES, imageWorkload } from './images.js';

// biome-ignore lint/style/noDefaultExport: a workload's file is known by its default export
export default imageWorkload({
  name: 'bench-mnist-logistic',
  paper:
    'Garcia et al. 2022, FLUTE: A Scalable, Extensible Framework for High-Performance Federated Learning Simulations',
  shape: [28, 28, 1],
  scale: {
    clients: 1000,
    cohort: 10,
    rounds: 100,
    partition: 'iid',
    training: { localEpochs: 1, batchSize: 10, clientLr: 0.03 },
    hyper: { 'train-examples': 60_000, 'test-examples': 1000 },
  },
  init: (rng) => heLayer(rng, 'logits', [28 * 28, CLASSES]),
  logits: (params, images) => dense(params, 'logits', flatten(images)),
});
