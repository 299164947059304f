/**
 * Cox's partial likelihood and Harrell's concordance (C-index) over rows of patients, each with those that it is compared with.
 *
 * Patient i has time T, the event (death, E = 1) or the end of observation (E = 0), and a risk s. By FLamby's loss (owkin/FLamby
 * at edacf54, flamby/datasets/fed_tcga_brca/loss.py) patients are put in order of falling time, and
 *
 *     loss(i) = E(i) · log Σ_{j up to i} e^(s(j) − s(i))
 *
 * so that of equal times the ones that come first in the data are at risk for the later ones, and not the other way round.
 */
import tf = require('@tensorflow/tfjs-core');

/** When each patient was last seen, in days, and whether dead. */
export interface Outcomes {
  readonly times: Float32Array;
  /** 1: dead. */
  readonly events: Float32Array;
}

/** 1 where patient `other` is at risk at the event of `one` by FLamby's order; both are positions in `outcomes`. */
export function isAtRisk({ times }: Outcomes, one: number, other: number): boolean {
  return times[other] > times[one] || (times[other] === times[one] && other <= one);
}

/**
 * Whether `one` is known to have died before `other`: such pairs are what a C-index counts. Who is last seen alive on the day
 * of the death lived longer; two deaths on one day are no pair (as lifelines.utils.concordance_index has it).
 */
export function diedBefore({ times, events }: Outcomes, one: number, other: number): boolean {
  if (events[one] !== 1) return false;
  return times[one] < times[other] || (times[one] === times[other] && events[other] === 0);
}

/**
 * Loss of each patient. @param risks [patients, 1] @param others [patients, others]: risks of those that each is compared with
 * @param atRisk [patients, others]: 1 where at risk, 0 elsewhere @param events [patients, 1] @returns [patients]
 */
export function coxLosses(risks: tf.Tensor, others: tf.Tensor, atRisk: tf.Tensor, events: tf.Tensor): tf.Tensor1D {
  const excess = tf.sub(others, risks);
  // far below every excess, so that e to it is 0, and finite, so that 0 times it is 0
  const counted = tf.add(tf.mul(excess, atRisk), tf.mul(tf.sub(atRisk, 1), 1e9));
  return tf.mul(tf.logSumExp(counted, 1), tf.squeeze(events, [1]));
}

/** [2]: pairs in which who died first had the higher risk, equal risks as half of one; and all pairs. Arguments as above. */
export function concordance(risks: tf.Tensor, others: tf.Tensor, pairs: tf.Tensor): tf.Tensor1D {
  const higher = tf.cast(tf.greater(risks, others), 'float32');
  const equal = tf.cast(tf.equal(risks, others), 'float32');
  const right = tf.mul(pairs, tf.add(higher, tf.mul(equal, 0.5)));
  return tf.stack([tf.sum(right), tf.sum(pairs)]) as tf.Tensor1D;
}
