/**
 * The small network of few-shot learning: four times convolution 3 x 3 with stride 2, group norm, ReLU (Vinyals et al.
 * 2016, arXiv:1606.04080; with strides as in Finn et al. 2017, arXiv:1703.03400), then one linear layer, and its adaptation
 * to a task by a few steps of gradient descent on all of it. The linear layer belongs to the task and starts at 0 (Kao et
 * al. 2022, arXiv:2106.15367); what clients exchange is the rest.
 *
 * Images are [count, side, side, 1], ink 1 on paper 0. The images of a task lie class after class, as many of each.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import type { TensorMap } from '../../workload.js';
import { conv, crossEntropy, dense, flatten, groupNorm, heLayer, leftOf } from '../parts/layers.js';

const GROUPS = 4;
/** The layer of a task's classes, made anew for each task. */
const HEAD = 'head';
/** The layer over all training characters, where there is one. */
export const CATALOGUE = 'catalogue';

interface MetaSize {
  readonly side: number;
  readonly blocks: number;
  readonly filters: number;
  /** Outputs of a layer over the features that tasks do without; 0: none. */
  readonly catalogue: number;
}

/** The first tensors, without a head: a task makes its own. */
export function initMeta(rng: Rng, { side, blocks, filters, catalogue }: MetaSize): HostTensors {
  const tensors: HostTensors = {};
  for (let block = 1; block <= blocks; block++) {
    Object.assign(tensors, heLayer(rng, `conv${block}`, [3, 3, block === 1 ? 1 : filters, filters]));
    tensors[`norm${block}/gain`] = { shape: [filters], data: new Float32Array(filters).fill(1) };
    tensors[`norm${block}/shift`] = { shape: [filters], data: new Float32Array(filters) };
  }
  const left = leftOf(side, blocks);
  return catalogue === 0 ? tensors : { ...tensors, ...heLayer(rng, CATALOGUE, [left * left * filters, catalogue]) };
}

/**
 * The network with a head for a task of `ways` classes. It starts at 0, so that no class comes before another; the first
 * step makes of each row the mean of its class's features less the mean of all, and only the later ones move the rest.
 */
export function withHead(params: TensorMap, side: number, ways: number): TensorMap {
  let blocks = 0;
  while (params[`conv${blocks + 1}/kernel`] !== undefined) blocks++;
  const left = leftOf(side, blocks);
  const features = left * left * params['norm1/gain'].size;
  return { ...params, [`${HEAD}/kernel`]: tf.zeros([features, ways]), [`${HEAD}/bias`]: tf.zeros([ways]) };
}

/** [count, outputs of `layer`] */
export function metaLogits(params: TensorMap, images: tf.Tensor, layer = HEAD): tf.Tensor2D {
  return dense(params, layer, metaFeatures(params, images));
}

/** What the layer of a task's classes sees: [count, features]. */
export function metaFeatures(params: TensorMap, images: tf.Tensor): tf.Tensor2D {
  let x = images as tf.Tensor4D;
  for (let block = 1; params[`conv${block}/kernel`] !== undefined; block++) {
    x = tf.relu(groupNorm(params, `norm${block}`, conv(params, `conv${block}`, x, 2), GROUPS));
  }
  return flatten(x);
}

/** Mean cross-entropy of images whose classes are `oneHot` [count, outputs of `layer`]. */
export function metaLoss(params: TensorMap, images: tf.Tensor, oneHot: tf.Tensor2D, layer = HEAD): tf.Scalar {
  return tf.mean(crossEntropy(metaLogits(params, images, layer), oneHot));
}

/** Classes of images that lie class after class, `each` of every one: [ways · each, ways]. */
export function classesInOrder(ways: number, each: number): tf.Tensor2D {
  const values = new Float32Array(ways * each * ways);
  for (let image = 0; image < ways * each; image++) values[image * ways + Math.floor(image / each)] = 1;
  return tf.tensor2d(values, [ways * each, ways]);
}

/** Value and gradient of `loss` in every tensor of `params`; 0 where the loss does not touch one. */
export function differentiate(params: TensorMap, loss: (params: TensorMap) => tf.Scalar): [tf.Scalar, TensorMap] {
  const names = Object.keys(params);
  const tensors = names.map((name) => params[name]);
  const { value, grads } = tf.engine().gradients(() => loss(params), tensors);
  const entries = names.map((name, i) => [name, (grads[i] as tf.Tensor | undefined) ?? tf.zerosLike(tensors[i])]);
  return [value as tf.Scalar, Object.fromEntries(entries)];
}

/** params − rate · gradient, as new tensors; what else `gradient` holds is left out. */
export function descended(params: TensorMap, gradient: TensorMap, rate: tf.Tensor | number): TensorMap {
  const entries = Object.entries(params).map(([name, tensor]) => [name, tf.sub(tensor, tf.mul(gradient[name], rate))]);
  return Object.fromEntries(entries);
}

/**
 * The network with a head of its own before the first and after each step of gradient descent on a task's images [ways ·
 * each, side, side, 1]; as many steps as there are `rates`. The caller's tidy owns what is made.
 */
export function* adapted(params: TensorMap, images: tf.Tensor4D, oneHot: tf.Tensor2D, rates: tf.Tensor) {
  let current = withHead(params, images.shape[1], oneHot.shape[1]);
  yield current;
  for (let step = 0; step < rates.size; step++) {
    current = tf.tidy(() => {
      const [, gradient] = differentiate(current, (at) => metaLoss(at, images, oneHot));
      return descended(current, gradient, tf.slice(rates, [step], [1]));
    });
    yield current;
  }
}
