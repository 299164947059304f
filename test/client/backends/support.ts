/** Runs cases on the current back end and compares what came out. */
import assert from 'node:assert/strict';
import type { Rank, Tensor } from '@tensorflow/tfjs-core';
import { rngFromSeed } from '../../../shared/rng.js';
import type { Case, Tf } from './cases/index.js';

/** The output of a case, then the gradient with respect to each input, as plain numbers. */
export type Result = readonly {
  readonly label: string;
  readonly shape: readonly number[];
  readonly values: ArrayLike<number>;
}[];

export interface Draws {
  readonly shape: readonly number[];
  readonly values: Float32Array;
}

/** Standard normal inputs that depend on the case alone. */
export function drawInputs({ name, shapes, draw = (z) => z }: Case): Draws[] {
  const rng = rngFromSeed(1).split(name);
  return shapes.map((shape) => {
    const size = shape.reduce((all, n) => all * n, 1);
    return { shape, values: Float32Array.from({ length: size }, () => draw(rng.normal())) };
  });
}

/** The scalar whose gradient is taken: the outputs weighted by numbers that differ from element to element. */
export function weighted(tf: Tf, output: Tensor): Tensor<Rank.R0> {
  const weights = tf.tensor(
    Float32Array.from({ length: output.size }, (_, index) => Math.cos(1 + index)),
    output.shape,
  );
  return tf.sum(tf.mul(tf.cast(output, 'float32'), weights));
}

/** Runs the case forward and backward and frees every tensor again. */
export async function runCase(tf: Tf, given: Case): Promise<Result> {
  const inputs = drawInputs(given).map(({ shape, values }) => tf.tensor(values, shape as number[], 'float32'));
  const output = tf.tidy(() => given.run(tf, ...inputs));
  const gradients = given.constant
    ? []
    : tf.tidy(() => tf.grads((...xs: Tensor[]) => weighted(tf, given.run(tf, ...xs)))(inputs));
  const labels = ['value', ...gradients.map((_, index) => `gradient of input ${index}`)];
  const result = await Promise.all(
    [output, ...gradients].map(async (tensor, index) => ({
      label: labels[index],
      shape: tensor.shape,
      values: await tensor.data(),
    })),
  );
  tf.dispose([inputs, output, gradients]);
  return result;
}

/** Unit roundoff of float32. */
const ROUNDOFF = 2 ** -24;

/**
 * Each result is a sum of `terms` products, added in another order: rounding errors are a random walk of that many steps of
 * at most one roundoff of the size reached, so their difference is about sqrt(terms) roundoffs of the largest value; eight
 * times that (8 standard deviations) and four roundoffs for a function's own error are allowed.
 */
export function assertClose(actual: Result, expected: Result, terms = 64): void {
  assert.equal(actual.length, expected.length);
  actual.forEach(({ label, shape, values }, index) => {
    const reference = expected[index].values;
    assert.deepEqual(shape, expected[index].shape, `shape of the ${label}`);
    const size = Math.max(1e-3, ...Array.from(reference, Math.abs));
    const tolerance = (8 * Math.sqrt(terms) + 4) * ROUNDOFF * size;
    for (let n = 0; n < reference.length; n++) {
      const difference = Math.abs(values[n] - reference[n]);
      const isEqual = difference <= tolerance || Object.is(values[n], reference[n]);
      assert.ok(isEqual, `${label}, element ${n}: expected ${reference[n]} within ${tolerance}, got ${values[n]}`);
    }
  });
}
