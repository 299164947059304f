/**
 * Three classifiers of different kinds for the same grey images: what the members of a federation bring along when
 * nobody prescribes a model. Which one a set of tensors is, shows in its names.
 *
 * `mlp`: dense H, ReLU, twice, dense C (the 2NN of McMahan et al. 2017 at H = 200).
 * `narrow`: conv 5x5xF stride 2, ReLU, conv 5x5x2F stride 2, ReLU, dense C.
 * `normed`: the same convolutions of 3x3 and twice as wide, each followed by a group norm (Wu and He 2018,
 * arXiv:1803.08494), then dense H, ReLU, dense C.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import type { TensorMap } from '../../workload.js';
import { conv, dense, flatten, heLayer, leftOf } from './layers.js';

export const ARCHITECTURES = ['mlp', 'narrow', 'normed'] as const;
type Architecture = (typeof ARCHITECTURES)[number];

/** What a network is made for, and how large it is. */
export interface NetworkSize {
  /** Side of the square images. */
  readonly side: number;
  readonly classes: number;
  readonly filters: number;
  readonly hidden: number;
}

/** Its tensors, each named `prefix/…`; for kernels and biases see `heLayer`. */
export function startNetwork(kind: Architecture, size: NetworkSize, rng: Rng, prefix: string): HostTensors {
  const { side, classes, filters, hidden } = size;
  const layer = (name: string, shape: readonly number[]) => heLayer(rng, `${prefix}/${name}`, shape);
  const positions = leftOf(side, 2) ** 2;
  switch (kind) {
    case 'mlp':
      return {
        ...layer('mlp1', [side * side, hidden]),
        ...layer('mlp2', [hidden, hidden]),
        ...layer('logits', [hidden, classes]),
      };
    case 'narrow':
      return {
        ...layer('narrow1', [5, 5, 1, filters]),
        ...layer('narrow2', [5, 5, filters, 2 * filters]),
        ...layer('logits', [positions * 2 * filters, classes]),
      };
    case 'normed':
      return {
        ...layer('normed1', [3, 3, 1, 2 * filters]),
        ...layer('normed2', [3, 3, 2 * filters, 4 * filters]),
        ...layer('normed3', [positions * 4 * filters, hidden]),
        ...layer('logits', [hidden, classes]),
      };
  }
}

/** Which network the tensors under `prefix` are; undefined: there is none. */
export function architectureOf(params: Readonly<Record<string, unknown>>, prefix: string): Architecture | undefined {
  return ARCHITECTURES.find((kind) => `${prefix}/${kind}1/kernel` in params);
}

/** Logits [batch, classes] of the network under `prefix` for images [batch, side, side, 1]. */
export function classify(params: TensorMap, prefix: string, images: tf.Tensor4D): tf.Tensor2D {
  const layer = (name: string, x: tf.Tensor) => dense(params, `${prefix}/${name}`, flatten(x), 'relu');
  const last = (x: tf.Tensor) => dense(params, `${prefix}/logits`, flatten(x));
  const kind = architectureOf(params, prefix);
  switch (kind) {
    case 'mlp':
      return last(layer('mlp2', layer('mlp1', images)));
    case 'narrow': {
      const maps = conv(params, `${prefix}/narrow1`, images, 2, 'relu');
      return last(conv(params, `${prefix}/narrow2`, maps, 2, 'relu'));
    }
    case 'normed': {
      const normed = (name: string, x: tf.Tensor4D) => tf.relu(groupNorm(conv(params, `${prefix}/${name}`, x, 2), 4));
      return last(layer('normed3', normed('normed2', normed('normed1', images))));
    }
    case undefined:
      throw new TypeError(`${prefix}: expected the tensors of a network, got ${Object.keys(params).join(', ')}`);
  }
}

/**
 * Each image's channels, in groups of at most `groupSize`, to mean 0 and variance 1 over the group and all positions;
 * without gain. [batch, height, width, channels], channels a multiple of the group's size or below it.
 */
export function groupNorm(x: tf.Tensor4D, groupSize: number): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape;
  const size = Math.min(groupSize, channels);
  const grouped = tf.reshape(x, [batch, height * width, channels / size, size]);
  const centred = tf.sub(grouped, tf.mean(grouped, [1, 3], true));
  const variance = tf.mean(tf.square(centred), [1, 3], true);
  return tf.reshape(tf.mul(centred, tf.rsqrt(tf.add(variance, 1e-5))), x.shape);
}
