/**
 * The networks and the loss of SimCLR and its relatives, as functions of named tensors.
 */
import * as tf from '@tensorflow/tfjs-core';
import type { Hyper } from '../../shared/round.js';
import { convolution, dense } from '../backends/layers.js';
import type { ImageSet } from '../data/images.js';
import type { TensorMap, Workload } from '../workload.js';
import { contrastiveLoss, sameImage, sameLabel, tripletLoss, unitRows } from './contrastive.js';
import { hyperChoice, hyperFlag, hyperInteger, hyperNumber } from './hyper.js';
import { imageTensor } from './image-tensors.js';
import { groupNorm } from './networks.js';
import { viewOf } from './views.js';

/** Views are made of pixels in 0..1, where darkness is 0; the encoder centres them itself. */
export const PLAIN = { mean: 0, stdDev: 1 };

/** The encoder: pixels in 0..1 [batch, height, width, 1] -> [batch, features]. */
export function featuresOf(params: TensorMap, images: tf.Tensor4D): tf.Tensor2D {
  let maps = tf.div(tf.sub(images, 0.3), 0.35) as tf.Tensor4D;
  for (const name of ['conv1', 'conv2']) {
    const made = convolution(tf, maps, params[`${name}/kernel`], params[`${name}/bias`], { stride: 2 });
    maps = tf.relu(groupNorm(made, 8));
  }
  const flat = tf.reshape(maps, [maps.shape[0], maps.size / maps.shape[0]]);
  return dense(tf, flat, params['features/kernel'], params['features/bias'], 'relu');
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
    const hidden = dense(tf, features, params['projector1/kernel'], params['projector1/bias'], 'relu');
    const z = unitRows(dense(tf, hidden, params['projector2/kernel'], params['projector2/bias']));
    if (kind === 'nt-xent') {
      const views = 2 * images.shape[0];
      const more: [number, number] = [0, negatives];
      const alike = tf.pad(sameImage(images.shape[0]), [more, more]) as tf.Tensor2D;
      if (negatives === 0) return contrastiveLoss(z, alike, temperature);
      const apart = tf.tile(tf.concat([tf.zeros([1, views]), tf.ones([1, negatives])], 1), [views + negatives, 1]);
      return contrastiveLoss(z, alike, temperature, apart as tf.Tensor2D);
    }
    const alike = sameLabel(batch.labels as tf.Tensor2D);
    return kind === 'supcon' ? contrastiveLoss(z, alike, temperature) : tripletLoss(z, alike);
  };
}
