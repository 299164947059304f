/**
 * The network and losses of MISA (Hazarika, Zimmermann and Poria 2020, arXiv:2005.03545, sections 3.3 to 3.6; reference
 * implementation declare-lab/MISA) for images and sounds of digits.
 *
 *     h_m = encoder_m(x_m) [batch, 64]     s_m = sigmoid(shared(h_m))     p_m = sigmoid(private_m(h_m))     [batch, width]
 *     answer    head(relu(sum over both modalities of A_m s_m + B_m p_m)), which is a layer on the concatenation
 *     L = cross-entropy + alpha similarity + beta difference + gamma reconstruction
 *
 * similarity: central moment discrepancy of the two shared spaces (Zellinger et al. 2017, arXiv:1702.08811), where a batch
 * has both modalities; difference: soft orthogonality of shared and private spaces; reconstruction: of h_m from s_m + p_m.
 *
 * A client may lack a modality, and then the prototypes stand in for it: `prototypes/MODALITY-DIGIT` is the mean shared
 * vector of a digit over all clients that have the modality. What a missing s_m should be is the mean of its prototypes,
 * weighed by how near the s of the other modality is to its own; and a fourth loss, delta alignment, pulls the s of what is
 * there to the prototype of the other modality for the right digit (Tan et al. 2022, arXiv:2105.00243).
 *
 * Departures from the paper: encoders for small images and spectrograms; no transformer in the fusion.
 */
import tf = require('@tensorflow/tfjs-core');

import type { Rng } from '../../../shared/rng.js';
import type { HostTensors } from '../../../shared/tensors/params.js';
import { BANDS, FRAMES } from '../../data/pairs.js';
import type { Batch, TensorMap } from '../../workload.js';
import { conv, dense, flatten, heLayer, leftOf } from '../parts/layers.js';

/** What a digit comes by. */
export const MODALITIES = ['image', 'audio'] as const;
export type Modality = (typeof MODALITIES)[number];
/** Classes. */
export const DIGITS = 10;
const MOMENTS = 5;
/** Of the squared distances by which prototypes are weighed, in units of the width. */
const SHARPNESS = 20;

interface MisaSize {
  readonly side: number;
  readonly hidden: number;
  readonly width: number;
  readonly filters: number;
}

/** The tensors of the network, by modality and for the answer. */
export function initMisa(rng: Rng, { side, hidden, width, filters }: MisaSize): HostTensors {
  const positions = { image: leftOf(side, 2) ** 2, audio: leftOf(FRAMES, 2) * leftOf(BANDS, 2) };
  const modality = (m: Modality): HostTensors => ({
    ...heLayer(rng, `${m}/conv1`, [3, 3, 1, filters]),
    ...heLayer(rng, `${m}/conv2`, [3, 3, filters, 2 * filters]),
    ...heLayer(rng, `${m}/encode`, [positions[m] * 2 * filters, hidden]),
    ...heLayer(rng, `${m}/private`, [hidden, width]),
    ...heLayer(rng, `${m}/reconstruct`, [width, hidden]),
    ...heLayer(rng, `${m}/fuse-private`, [width, hidden]),
  });
  return {
    ...modality('image'),
    ...modality('audio'),
    ...heLayer(rng, 'common/shared', [hidden, width]),
    ...heLayer(rng, 'common/fuse-image', [width, hidden]),
    ...heLayer(rng, 'common/fuse-audio', [width, hidden]),
    ...heLayer(rng, 'common/logits', [hidden, DIGITS]),
  };
}

/** What the encoders make of one modality of a batch. */
interface Encoded {
  /** [batch, hidden] */
  readonly h: tf.Tensor2D;
  /** Shared and private, [batch, width], in 0..1. */
  readonly s: tf.Tensor2D;
  readonly p: tf.Tensor2D;
}

/** Of the modalities that are in a batch. */
export type Encodings = Readonly<Partial<Record<Modality, Encoded>>>;

/** Of the modalities that are in the batch: `image` [batch, side, side, 1], `audio` [batch, FRAMES, BANDS, 1]. */
export function encode(params: TensorMap, batch: Batch): Encodings {
  return Object.fromEntries(
    MODALITIES.filter((m) => batch[m] !== undefined).map((m) => {
      const maps = conv(params, `${m}/conv1`, batch[m] as tf.Tensor4D, 2, 'relu');
      const h = tf.relu(dense(params, `${m}/encode`, flatten(conv(params, `${m}/conv2`, maps, 2, 'relu'))));
      const s = tf.sigmoid(dense(params, 'common/shared', h));
      return [m, { h, s, p: tf.sigmoid(dense(params, `${m}/private`, h)) }];
    }),
  );
}

/** Which modalities count, for each example: [batch, 1] of 0 and 1 each; absent: 0 for all. */
export type Presence = Readonly<Partial<Record<Modality, tf.Tensor>>>;

/** [batch, DIGITS] from what is present, and prototypes in place of what is not. */
export function answer(params: TensorMap, encodings: Encodings, presence: Presence): tf.Tensor2D {
  const parts = MODALITIES.flatMap((m) => {
    const [own, there] = [encodings[m], presence[m]];
    const other = otherThan(m);
    const there2 = encodings[other] && presence[other];
    const fill = there2 === undefined ? undefined : imputed(params, m, encodings[other]!.s);
    const fuse = (s: tf.Tensor2D) => dense(params, `common/fuse-${m}`, s);
    if (own === undefined || there === undefined) return fill === undefined ? [] : [fuse(fill)];
    const s = fill === undefined ? own.s : tf.add<tf.Tensor2D>(tf.mul(there, own.s), tf.mul(tf.sub(1, there), fill));
    return [fuse(s), tf.mul(there, dense(params, `${m}/fuse-private`, own.p))];
  });
  return dense(params, 'common/logits', tf.relu(tf.addN(parts) as tf.Tensor2D));
}

/** What is added to the cross-entropy, each with a weight. */
export const SIDE_LOSSES = ['similarity', 'difference', 'reconstruction', 'alignment'] as const;

/** A scalar each; a loss without one is not computed. */
type LossWeights = Readonly<Partial<Record<(typeof SIDE_LOSSES)[number], tf.Tensor>>>;

/** The losses beside cross-entropy, weighted; `labels` [batch, DIGITS] one-hot. */
export function sideLosses(
  params: TensorMap,
  encodings: Encodings,
  { presence, labels, weights }: { presence: Presence; labels: tf.Tensor2D; weights: LossWeights },
): tf.Scalar {
  const terms: tf.Tensor[] = [tf.scalar(0)];
  const add = (weight: tf.Tensor | undefined, term: () => tf.Tensor) => {
    if (weight !== undefined) terms.push(tf.mul(term(), weight));
  };
  for (const m of MODALITIES) {
    const [own, there] = [encodings[m], presence[m]];
    if (own === undefined || there === undefined) continue;
    const rebuilt = () => dense(params, `${m}/reconstruct`, tf.add(own.s, own.p));
    add(weights.reconstruction, () => meanOver(there, tf.mean(tf.squaredDifference(rebuilt(), own.h), 1, true)));
    add(weights.difference, () => orthogonality(own.s, own.p, there));
    add(weights.alignment, () => {
      const goal = tf.matMul(labels, prototypesOf(params, otherThan(m)));
      const known = tf.mul(there, tf.cast(tf.greater(tf.sum(goal, 1, true), 0), 'float32'));
      return meanOver(known, tf.mean(tf.squaredDifference(own.s, goal), 1, true));
    });
  }
  const { image, audio } = encodings;
  if (image !== undefined && audio !== undefined && presence.image !== undefined && presence.audio !== undefined) {
    const both = tf.mul(presence.image, presence.audio);
    add(weights.similarity, () => momentDiscrepancy(image.s, audio.s, both));
    add(weights.difference, () => orthogonality(image.p, audio.p, both));
  }
  return tf.addN(terms) as tf.Scalar;
}

/** [DIGITS, width]; zeros for a digit that nobody has shown yet. */
function prototypesOf(params: TensorMap, m: Modality): tf.Tensor2D {
  return tf.stack(Array.from({ length: DIGITS }, (_, digit) => params[`prototypes/${m}-${digit}`])) as tf.Tensor2D;
}

/** What s_m would be [batch, width], to go by the s of the other modality. */
function imputed(params: TensorMap, m: Modality, s: tf.Tensor2D): tf.Tensor2D {
  const keys = prototypesOf(params, otherThan(m));
  const norms = tf.sum(tf.square(keys), 1);
  const unknown = tf.mul(tf.cast(tf.equal(norms, 0), 'float32'), 1e9);
  // |s - key|² without |s|², which is the same for all keys.
  const distances = tf.sub(tf.add(norms, unknown), tf.mul(2, tf.matMul(s, keys, false, true)));
  const nearness = tf.softmax(tf.mul(distances, -SHARPNESS / s.shape[1]));
  return tf.matMul(nearness as tf.Tensor2D, prototypesOf(params, m));
}

/** Distance of means and of the 2nd to 5th central moments over the examples of weight 1; values lie in 0..1. */
function momentDiscrepancy(a: tf.Tensor2D, b: tf.Tensor2D, weight: tf.Tensor): tf.Tensor {
  const mean = (x: tf.Tensor) => tf.div(tf.sum(tf.mul(x, weight), 0), tf.maximum(tf.sum(weight), 1));
  const [meanA, meanB] = [mean(a), mean(b)];
  const [centredA, centredB] = [tf.sub(a, meanA), tf.sub(b, meanB)];
  const distances = [distance(meanA, meanB)];
  for (let k = 2; k <= MOMENTS; k++) distances.push(distance(mean(power(centredA, k)), mean(power(centredB, k))));
  return tf.addN(distances);
}

/** By multiplication: the derivative of a general power is not defined for what is below 0. */
function power(x: tf.Tensor, exponent: number): tf.Tensor {
  let result = x;
  for (let k = 1; k < exponent; k++) result = tf.mul(result, x);
  return result;
}

function distance(a: tf.Tensor, b: tf.Tensor): tf.Tensor {
  return tf.sqrt(tf.add(tf.sum(tf.squaredDifference(a, b)), 1e-8));
}

/** Mean square of aᵀb over the examples of weight 1, each centred and scaled to rows of length 1 (section 3.5.2). */
function orthogonality(a: tf.Tensor2D, b: tf.Tensor2D, weight: tf.Tensor): tf.Tensor {
  const rows = (x: tf.Tensor2D) => {
    const centred = tf.sub(x, tf.div(tf.sum(tf.mul(x, weight), 0), tf.maximum(tf.sum(weight), 1)));
    const length = tf.sqrt(tf.add(tf.sum(tf.square(centred), 1, true), 1e-6));
    return tf.div(tf.mul(centred, weight), length) as tf.Tensor2D;
  };
  return tf.mean(tf.square(tf.matMul(rows(a), rows(b), true)));
}

/** Mean of [batch, 1] over the examples of weight 1. */
function meanOver(weight: tf.Tensor, x: tf.Tensor): tf.Tensor {
  return tf.div(tf.sum(tf.mul(weight, x)), tf.maximum(tf.sum(weight), 1));
}

function otherThan(m: Modality): Modality {
  return m === 'image' ? 'audio' : 'image';
}
