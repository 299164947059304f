/**
 * Gradient inversion: images from the gradient that they caused. An attacker who sees a client's gradient looks for images
 * whose gradient is the same ("Deep leakage from gradients", Zhu et al. 2019, arXiv:1906.08935), here by the cosine distance
 * and the total-variation prior of Geiping et al. 2020 (arXiv:2003.14053), so that clipping, which only rescales, changes
 * nothing. The label of a single image is read off the last layer's bias (Zhao et al. 2020, arXiv:2001.02610).
 *
 * Nothing of it needs more than what a coordinator of plain federated averaging sees: the model and one client's gradient.
 */
import tf = require('@tensorflow/tfjs-core');

import { minimise } from './lbfgs.js';

interface Inversion {
  /** Gradient of the mean loss over `images` [count, height, width, 1] for each tensor of the model; differentiable. */
  readonly gradientOf: (images: tf.Tensor4D) => tf.Tensor[];
  /** What the attacker saw of it: one tensor for each, at any scale. */
  readonly observed: readonly tf.Tensor[];
  /** [count, height, width, 1], standardised: where the search begins. */
  readonly start: Float32Array;
  readonly shape: readonly [number, number, number, number];
  readonly iterations: number;
  /** Weight of the mean absolute difference of neighbouring pixels. */
  readonly totalVariation: number;
}

/** Keeps the slope of |difference| finite at 0. */
const SMOOTHING = 1e-4;

/** Standardised pixels of all images, in the layout of `start`. Leaves no tensor behind. */
export async function invertGradient(attack: Inversion): Promise<Float32Array> {
  const { observed, start, shape, iterations, totalVariation } = attack;
  const distance = (images: tf.Tensor4D): tf.Scalar => {
    const mismatch = cosineDistance(attack.gradientOf(images), observed);
    return totalVariation === 0 ? mismatch : tf.add(mismatch, tf.mul(roughness(images), totalVariation));
  };
  const objective = async (x: Float32Array) => {
    const [value, gradient] = tf.tidy(() => {
      const images = tf.tensor4d(x, [...shape]);
      const { value: at, grads } = tf.engine().gradients(() => distance(images), [images]);
      return [at, grads[0]];
    });
    try {
      return { value: (await value.data())[0], gradient: (await gradient.data<'float32'>()).slice() };
    } finally {
      tf.dispose([value, gradient]);
    }
  };
  return minimise(objective, start, { iterations });
}

/** The label that a gradient of one image gives away: ∂loss/∂bias = softmax − one-hot is negative at the truth alone. */
export function labelOf(biasGradient: ArrayLike<number>): number {
  const values = Array.from(biasGradient);
  return values.indexOf(Math.min(...values));
}

/** Peak signal-to-noise ratio in dB of two images with pixels in 0..1; capped at 100, where float32 ends. */
export function psnr(image: Float32Array, truth: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < truth.length; i++) squares += (Math.min(1, Math.max(0, image[i])) - truth[i]) ** 2;
  return Math.min(100, -10 * Math.log10(squares / truth.length));
}

/**
 * 1 − cos of the angle between two gradients, each taken as one long vector: half the squared distance of the two on the
 * unit sphere, which unlike 1 − a·b / |a||b| keeps its digits near 0.
 */
function cosineDistance(a: readonly tf.Tensor[], b: readonly tf.Tensor[]): tf.Scalar {
  const inverseNorm = (tensors: readonly tf.Tensor[]) =>
    tf.rsqrt(tf.addN(tensors.map((tensor) => tf.sum(tf.square(tensor)))));
  const [scaleA, scaleB] = [inverseNorm(a), inverseNorm(b)];
  const parts = a.map((tensor, i) => tf.sum(tf.square(tf.sub(tf.mul(tensor, scaleA), tf.mul(b[i], scaleB)))));
  return tf.mul(tf.addN(parts), 0.5);
}

/** Mean absolute difference of vertical and horizontal neighbours. */
function roughness(images: tf.Tensor4D): tf.Scalar {
  const [count, height, width, channels] = images.shape;
  const between = (from: number[], to: number[], size: number[]) =>
    tf.mean(tf.sqrt(tf.add(tf.square(tf.sub(tf.slice(images, to, size), tf.slice(images, from, size))), SMOOTHING)));
  const down = between([0, 0, 0, 0], [0, 1, 0, 0], [count, height - 1, width, channels]);
  const across = between([0, 0, 0, 0], [0, 0, 1, 0], [count, height, width - 1, channels]);
  return tf.add(down, across);
}
