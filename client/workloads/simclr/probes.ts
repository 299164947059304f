/**
 * How good embeddings are that were learned without labels, measured with a few: the vote of the nearest labelled
 * neighbours, and a linear classifier on top (Chen et al. 2020, arXiv:2002.05709, section 2.3). The few are the bank, a
 * labelled set that all clients have. Everything is tensor operations, so that it runs inside a workload's `metrics`.
 */
import tf = require('@tensorflow/tfjs-core');

import { unitRows } from './contrastive.js';

/** Of the bank, that vote on a test image. */
export const NEIGHBOURS = 20;
/** Of the neighbours' votes (Wu et al. 2018, arXiv:1805.01978, section 3.4). */
const VOTE_TEMPERATURE = 0.07;
/** Ridge on standardised features, and steps of Newton's iteration that invert a matrix of this condition. */
const RIDGE = 0.1;
const NEWTON_STEPS = 24;

/** A labelled set that embeddings are judged with. */
export interface Bank {
  /** [bank, d] */
  readonly features: tf.Tensor2D;
  /** One-hot [bank, classes]. */
  readonly labels: tf.Tensor2D;
}

/**
 * Where features lie as seen from the middle of the bank: rows of length 1, [n, d]. Features that went through a ReLU all
 * point the same way; the difference between their directions is what there is to see.
 */
export function embedded(features: tf.Tensor2D, bank: Pick<Bank, 'features'>): tf.Tensor2D {
  return unitRows(tf.sub(features, tf.mean(bank.features, 0, true)));
}

/** Votes [n, classes] of the `neighbours` nearest of the bank by cosine, each weighing exp(cosine / 0.07). */
export function neighbourVotes(features: tf.Tensor2D, bank: Bank, neighbours: number): tf.Tensor2D {
  const cosines = tf.matMul(embedded(features, bank), embedded(bank.features, bank), false, true);
  const nearest = tf.topk(cosines, Math.min(neighbours, bank.labels.shape[0])).values;
  const farthest = tf.min(nearest, 1, true);
  const votes = tf.exp(tf.div(tf.sub(cosines, 1), VOTE_TEMPERATURE));
  return tf.matMul(tf.mul(votes, tf.cast(tf.greaterEqual(cosines, farthest), 'float32')), bank.labels);
}

/**
 * Scores [n, classes] of a linear classifier that was fitted to the bank by ridge regression on its one-hot labels:
 * W = (XᵀX / bank + ridge · I)⁻¹ XᵀY / bank, X the bank's features, standardised, and a column of ones.
 */
export function linearScores(features: tf.Tensor2D, bank: Bank): tf.Tensor2D {
  const mean = tf.mean(bank.features, 0, true);
  const stdDev = tf.sqrt(tf.add(tf.mean(tf.square(tf.sub(bank.features, mean)), 0, true), 1e-6));
  const prepared = (x: tf.Tensor2D): tf.Tensor2D =>
    tf.concat([tf.div(tf.sub(x, mean), stdDev), tf.ones([x.shape[0], 1])], 1) as tf.Tensor2D;
  const x = prepared(bank.features);
  const [count, width] = x.shape;
  const gram = tf.add(tf.div(tf.matMul(x, x, true), count), tf.mul(tf.eye(width), RIDGE)) as tf.Tensor2D;
  const weights = tf.matMul(inverse(gram), tf.div(tf.matMul(x, bank.labels, true), count));
  return tf.matMul(prepared(features), weights);
}

/**
 * Of a symmetric positive definite matrix, by Newton's iteration V ← V(2I − AV) (Schulz 1933), which starts inside its
 * region of convergence: I over the largest row sum bounds every eigenvalue of I − AV below 1.
 */
function inverse(a: tf.Tensor2D): tf.Tensor2D {
  const twice = tf.mul(tf.eye(a.shape[0]), 2);
  let v = tf.div(tf.eye(a.shape[0]), tf.max(tf.sum(tf.abs(a), 1))) as tf.Tensor2D;
  for (let step = 0; step < NEWTON_STEPS; step++) v = tf.matMul(v, tf.sub(twice, tf.matMul(a, v)) as tf.Tensor2D);
  return v;
}
