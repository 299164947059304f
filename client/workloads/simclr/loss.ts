/**
 * The networks and the loss of SimCLR and its relatives, as functions of named tensors.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Hyper } from '../../../shared/run/spec.js';
import type { ImageSet } from '../../data/images.js';
import type { TensorMap, Workload } from '../../workload.js';
import { hyperChoice, hyperFlag, hyperInteger, hyperNumber } from '../parts/hyper.js';
import { imageTensor } from '../parts/image-tensors.js';
import { conv, dense, flatten } from '../parts/layers.js';
import { groupNorm } from '../parts/networks.js';
import { contrastiveLoss, sameImage, sameLabel, tripletLoss, unitRows } from './contrastive.js';
import { viewOf } from './views.js';

/** Views are made of pixels in 0..1, where darkness is 0; the encoder centres them itself. */
export const PLAIN = { mean: 0, stdDev: 1 };

/** The encoder: pixels in 0..1 [batch, height, width, 1] -> [batch, features]. */
export function featuresOf(params: TensorMap, images: tf.Tensor4D): tf.Tensor2D {
  let maps = tf.div(tf.sub(images, 0.3), 0.35) as tf.Tensor4D;
  for (const name of ['conv1', 'conv2']) {
    maps = tf.relu(groupNorm(conv(params, name, maps, 2), 8));
  }
  return dense(params, 'features', flatten(maps), 'relu');
}

/**
 * The loss of a batch of images, each seen in two random views. NT-Xent tells them from images of the bank, labels unseen,
 * in place of one another: a client that holds one kind of thing would learn to tell apart what belongs together.
 */
export function lossOf(hyper: Hyper, bank: ImageSet): NonNullable<Workload['loss']> {
  const kind = hyperChoice(hyper, 'loss', ['nt-xent', 'supcon', 'triplet']);
  const temperature = hyperNumber(hyper, 'temperature', 0.01);
  const negatives = kind === 'nt-xent' ? hyperInteger(hyper, 'public-negatives') : 0;
  const views = {
    cropLeast: hyperNumber(hyper, 'crop-least'),
    mirror: hyperFlag(hyper, 'mirror'),
    contrast: hyperNumber(hyper, 'contrast'),
    eraseMost: hyperNumber(hyper, 'erase-most'),
  };
  return (params, batch, rng) => {
    const images = batch.images as tf.Tensor4D;
    const seen = [viewOf(images, views, rng), viewOf(images, views, rng)];
    if (negatives > 0) {
      const drawn = Int32Array.from({ length: negatives }, () => rng.below(bank.count));
      seen.push(viewOf(imageTensor(bank, drawn, PLAIN), views, rng));
    }
    const features = featuresOf(params, tf.concat(seen, 0));
    const z = unitRows(dense(params, 'projector2', dense(params, 'projector1', features, 'relu')));
    if (kind === 'nt-xent') {
      const more: [number, number] = [0, negatives];
      const alike = tf.pad(sameImage(images.shape[0]), [more, more]) as tf.Tensor2D;
      if (negatives === 0) return contrastiveLoss(z, alike, temperature);
      const own = 2 * images.shape[0]; // views of the batch itself
      const apart = tf.tile(tf.concat([tf.zeros([1, own]), tf.ones([1, negatives])], 1), [own + negatives, 1]);
      return contrastiveLoss(z, alike, temperature, apart as tf.Tensor2D);
    }
    const alike = sameLabel(batch.labels as tf.Tensor2D);
    return kind === 'supcon' ? contrastiveLoss(z, alike, temperature) : tripletLoss(z, alike);
  };
}
