/**
 * Squared L2 norms that bound from above, whatever float32 and the back end do: rounding is bounded for any order of summing,
 * and what underflow takes is added back. A square that overflows is infinite, and what is no number stays none.
 */
import tf = require('@tensorflow/tfjs-core');

/** Most terms that are summed at once: any order of summing n terms of one sign is off by at most (n − 1) 2^-24 of the sum. */
const BLOCK = 2048;

/** The least normal number of float32: back ends may take squares below it for zero. */
const LEAST_NORMAL = 2 ** -126;

/**
 * x [rows, ...] -> [rows], the sum of squares. With n numbers in a row, the true one is below the result times 1 + 2^-11,
 * plus n 2^-126.
 *
 * Proof. u = 2^-24. Squares of 2^-126 and more are off by u, and by 2047 u for each of at most three levels of sums
 * (2048³ > 2^32), together by less than 6200 u; 2^-11 is 8192 u. Each smaller square is lost at worst. ∎
 */
export function sumOfSquares(x: tf.Tensor): tf.Tensor1D {
  const [rows] = x.shape;
  const size = x.size / rows;
  const squares = tf.square(x);
  if (size > BLOCK) return sumInBlocks(tf.reshape(squares, [rows, size]));
  return tf.sum(
    squares,
    x.shape.map((_, axis) => axis).filter((axis) => axis > 0),
  );
}

/** {@link sumOfSquares} with what underflow may have taken from it: not below the true sum but for a part of 2^-11. */
export function boundOfSquares(x: tf.Tensor): tf.Tensor1D {
  return tf.add(sumOfSquares(x), (x.size / x.shape[0]) * LEAST_NORMAL);
}

/**
 * √(Σ squares), each [rows], of vectors with `size` numbers together: the true norm is below the result times
 * 1 + 2^-11 + 2^-13. Each square may be a sum of squares, or a product of two bounds of such.
 *
 * Proof. √(a + b) <= √a + √b, so that underflow takes less than √size 2^-63 from the norm. The root halves the error of the
 * squares, which is 2^-11, and twice that for products. Adding up, the root and the last addition are off by u for each
 * tensor and thrice u, within 2^-13 for 2,000 tensors. ∎ To any gradient of training √size 2^-63 is nothing.
 *
 * The result is below 2^64 or infinite, since the squares' sum was finite or was not.
 */
export function boundOfNorm(squares: readonly tf.Tensor[], size: number): tf.Tensor {
  return tf.add(tf.sqrt(tf.addN([...squares])), Math.sqrt(size * LEAST_NORMAL));
}

/** [rows, size] -> [rows], adding up {@link BLOCK} numbers at a time. */
function sumInBlocks(x: tf.Tensor2D): tf.Tensor1D {
  const [rows, size] = x.shape;
  if (size <= BLOCK) return tf.sum(x, 1);
  const [blocks, width] = blocksOf(size);
  const added = blocks * width - size;
  const full =
    added === 0
      ? x
      : tf.pad(x, [
          [0, 0],
          [0, added],
        ]);
  const sums = tf.sum(tf.reshape(full, [rows * blocks, width]), 1);
  return sumInBlocks(tf.reshape(sums, [rows, blocks]));
}

/** Equal blocks, without padding where a divisor of the size allows it. */
function blocksOf(size: number): [blocks: number, width: number] {
  const fewest = Math.ceil(size / BLOCK);
  for (let blocks = fewest; blocks <= 4 * fewest; blocks++) if (size % blocks === 0) return [blocks, size / blocks];
  return [fewest, Math.ceil(size / fewest)];
}
