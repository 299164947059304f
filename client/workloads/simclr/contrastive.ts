/**
 * Losses that pull embeddings of like things together and push others apart. All take embeddings of unit length.
 *
 * NT-Xent (Chen et al. 2020, arXiv:2002.05709, eq. 1): like is the other view of the same image, without any label.
 * SupCon (Khosla et al. 2020, arXiv:2004.11362, eq. 2): like is every view of an image with the same label.
 * Both are, with s = z zᵀ / temperature and P(i) the others that are like i,
 *
 *     loss_i = −1/|P(i)| · Σ over p in P(i) of log( exp s_ip / Σ over a ≠ i of exp s_ia )
 *
 * Triplet (Schroff et al. 2015, arXiv:1503.03832), with the hardest positive and negative of the batch and a soft margin
 * (Hermans et al. 2017, arXiv:1703.07737, eq. 5 and section 2.3).
 */
import tf = require('@tensorflow/tfjs-core');

/** Larger than any similarity or squared distance of unit vectors over a sensible temperature. */
const FAR = 1e4;

/**
 * Mean of loss_i over the embeddings that have others like them; 0 if none has. The rest are negatives only.
 * @param z [n, d], rows of length 1
 * @param alike [n, n]: 1 where two are alike, 0 elsewhere and on the diagonal
 * @param apart [n, n]: 1 where the column is a negative of the row; default: all others that are not alike
 */
export function contrastiveLoss(
  z: tf.Tensor2D,
  alike: tf.Tensor2D,
  temperature: number,
  apart: tf.Tensor2D = tf.sub(tf.sub(1, tf.eye(z.shape[0])), alike),
): tf.Scalar {
  const absent = tf.sub(1, tf.add(alike, apart));
  const scores = tf.sub(tf.div(tf.matMul(z, z, false, true), temperature), tf.mul(absent, FAR));
  // −FAR meets a 0 of `alike`; both are finite, so their product is 0.
  const logShares = tf.logSoftmax(scores);
  const found = tf.sum(alike, 1);
  const losses = tf.div(tf.sum(tf.mul(alike, logShares), 1), tf.maximum(found, 1));
  const anchors = tf.maximum(tf.sum(tf.minimum(found, 1)), 1);
  return tf.neg(tf.div(tf.sum(losses), anchors));
}

/**
 * Mean over the anchors that have both of softplus(√d²(hardest positive) − √d²(hardest negative)); 0 if none has.
 * @param z [n, d], rows of length 1
 * @param alike [n, n] as for {@link contrastiveLoss}
 */
export function tripletLoss(z: tf.Tensor2D, alike: tf.Tensor2D): tf.Scalar {
  const itself = tf.eye(z.shape[0]);
  const unlike = tf.sub(tf.sub(1, alike), itself);
  // |a − b|² = 2 − 2 a·b; the small constant keeps the root's gradient finite for equal embeddings.
  const distances = tf.sqrt(tf.add(tf.relu(tf.sub(2, tf.mul(tf.matMul(z, z, false, true), 2))), 1e-6));
  const hardestPositive = tf.max(tf.sub(distances, tf.mul(tf.sub(1, alike), FAR)), 1);
  const hardestNegative = tf.min(tf.add(distances, tf.mul(tf.sub(1, unlike), FAR)), 1);
  const whole = tf.mul(tf.max(alike, 1), tf.max(unlike, 1));
  // What is missing is FAR away: its anchor counts 0, and must not overflow before it does.
  const gap = tf.mul(whole, tf.sub(hardestPositive, hardestNegative));
  return tf.div(tf.sum(tf.mul(whole, tf.softplus(gap))), tf.maximum(tf.sum(whole), 1));
}

/** [2b, 2b]: alike are the two views of one image, rows i and i + b. */
export function sameImage(images: number): tf.Tensor2D {
  const eye = tf.eye(images);
  const none = tf.zerosLike(eye);
  return tf.concat([tf.concat([none, eye], 1), tf.concat([eye, none], 1)], 0);
}

/** [2b, 2b]: alike are all views whose labels are equal. @param labels one-hot [b, classes] */
export function sameLabel(labels: tf.Tensor2D): tf.Tensor2D {
  const both = tf.concat([labels, labels], 0);
  return tf.sub(tf.matMul(both, both, false, true), tf.eye(both.shape[0]));
}

/** Rows of length 1. */
export function unitRows(x: tf.Tensor2D): tf.Tensor2D {
  return tf.div(x, tf.sqrt(tf.add(tf.sum(tf.square(x), 1, true), 1e-8)));
}
