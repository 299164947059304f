/**
 * Canaries: examples that are planted so that somebody can look afterwards whether the model tells that they were there.
 *
 * A *gradient canary* is the worst example that a clipping bound admits: all of its gradient lies along one coordinate that no
 * other example touches (the "Dirac canaries" of Steinke et al. 2023, arXiv:2305.08846, section 6). The coordinates are a
 * tensor that is trained beside the model's own, so the training that is audited is the one that runs, not a copy with hooks:
 * what becomes of a canary's coordinate is the sum of all that was released about it. A *mislabelled image* is an example as
 * anyone could contribute it, with a wrong label, so that only a model that has seen it gets it "right".
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../shared/rng.js';
import { dense } from '../backends/layers.js';
import type { ImageData } from '../data/images.js';
import type { Batch, TensorMap, Workload } from '../workload.js';

/** The canaries' coordinates, [canaries, 1]; 0 before training. */
export const CANARY_TENSOR = 'canary/kernel';
const CHOSEN = 'canary/chosen';
const ORDINARY = 'canary/ordinary';

/**
 * `workload` with `canaries` gradient canaries after the training examples: training example `count + i` is canary i, whose
 * loss is slope · (coordinate i), and which the model's own loss does not see.
 * @param slope norm of a canary's gradient before clipping
 */
export function withGradientCanaries<Data>(
  workload: Workload<Data>,
  { canaries, slope }: { readonly canaries: number; readonly slope: number },
): Workload<Data> {
  const countOf = (data: Data, hyper: Parameters<Workload<Data>['examples']>[1]) =>
    workload.examples(data, hyper).train.count;

  const perExampleLoss = (params: TensorMap, batch: Batch): tf.Tensor1D => {
    const own = workload.perExampleLoss!(params, batch);
    const coordinate = dense(tf, batch[CHOSEN], params[CANARY_TENSOR]);
    return tf.add(tf.mul(own, batch[ORDINARY]), tf.mul(tf.reshape(coordinate, [-1]), slope));
  };

  return {
    ...workload,
    init(rng, hyper) {
      const { shared, ...rest } = workload.init(rng, hyper);
      return {
        ...rest,
        shared: { ...shared, [CANARY_TENSOR]: { shape: [canaries, 1], data: new Float32Array(canaries) } },
      };
    },
    examples(data, hyper) {
      const { train, test } = workload.examples(data, hyper);
      return { train: { count: train.count + canaries }, test };
    },
    batch(data, indices, context) {
      const first = context.split === 'train' ? countOf(data, context.hyper) : Number.POSITIVE_INFINITY;
      const isOrdinary = Float32Array.from(indices, (index) => (index < first ? 1 : 0));
      const chosen = new Float32Array(indices.length * canaries);
      for (const [row, index] of indices.entries()) if (index >= first) chosen[row * canaries + index - first] = 1;
      // A canary has no input of its own: the first example stands in, and its loss counts for nothing.
      const shown = indices.map((index) => (index < first ? index : 0));
      return {
        ...workload.batch(data, shown, context),
        [CHOSEN]: tf.tensor2d(chosen, [indices.length, canaries]),
        [ORDINARY]: tf.tensor1d(isOrdinary),
      };
    },
    loss: (params, batch) => tf.mean(perExampleLoss(params, batch)),
    perExampleLoss,
  };
}

/** The same data with a label that is wrong, and drawn, for each training image at `indices`. */
export function mislabelled(data: ImageData, indices: Iterable<number>, rng: Rng): ImageData {
  const labels = data.train.labels.slice();
  const classes = data.classNames.length;
  for (const index of indices) labels[index] = (labels[index] + 1 + rng.below(classes - 1)) % classes;
  return { ...data, train: { ...data.train, labels } };
}
