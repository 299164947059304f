/** Runs cases on the current back end and compares what came out. */
import assert from 'node:assert/strict';
import type { Rank, Tensor } from '@tensorflow/tfjs-core';
import { rngFromSeed } from '../../../shared/rng.js';
import type { Case, Tf } from './cases/index.js';
import type { Model } from './models.js';

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
    return { shape, values: Float32Array.from({ length: size }, (_, index) => draw(rng.normal(), index)) };
  });
}

/** Numbers that differ from element to element, by which outputs are weighted before they are summed. */
export function weights(length: number): Float32Array {
  return Float32Array.from({ length }, (_, index) => Math.cos(1 + index));
}

/** The scalar whose gradient is taken. */
function weighted(tf: Tf, output: Tensor): Tensor<Rank.R0> {
  return tf.sum(tf.mul(tf.cast(output, 'float32'), tf.tensor(weights(output.size), output.shape)));
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

/** The loss of a model and its gradient with respect to each parameter; frees every tensor. */
export async function gradientsOf(tf: Tf, model: Model): Promise<Result> {
  const { params, batch } = model.init(tf);
  const names = Object.keys(params);
  const { value, grads } = tf.tidy(() =>
    tf.valueAndGrads((...values: Tensor[]) =>
      model.loss(tf, Object.fromEntries(values.map((tensor, index) => [names[index], tensor])), batch),
    )(Object.values(params)),
  );
  const result = await Promise.all(
    [value, ...grads].map(async (tensor, index) => ({
      label: index === 0 ? 'loss' : `gradient of ${names[index - 1]}`,
      shape: tensor.shape,
      values: await tensor.data(),
    })),
  );
  tf.dispose([params, batch, value, grads]);
  return result;
}

/** Unit roundoff of float32. */
const ROUNDOFF = 2 ** -24;

/**
 * Each result is a sum of `terms` products, added in another order: rounding errors are a random walk of that many steps of
 * at most one roundoff of the size reached, so their difference is about sqrt(terms) roundoffs of the largest value; eight
 * times that (8 standard deviations) and four roundoffs for a function's own error are allowed, or `coarse` of the value.
 */
export function assertClose(actual: Result, expected: Result, terms = 64, coarse = 0): void {
  assert.equal(actual.length, expected.length);
  actual.forEach(({ label, shape, values }, index) => {
    const reference = expected[index].values;
    assert.deepEqual(shape, expected[index].shape, `shape of the ${label}`);
    const size = Math.max(1e-3, ...Array.from(reference, Math.abs));
    const tolerance = Math.max(coarse, (8 * Math.sqrt(terms) + 4) * ROUNDOFF) * size;
    for (let n = 0; n < reference.length; n++) {
      const difference = Math.abs(values[n] - reference[n]);
      const isEqual = difference <= tolerance || Object.is(values[n], reference[n]);
      assert.ok(isEqual, `${label}, element ${n}: expected ${reference[n]} within ${tolerance}, got ${values[n]}`);
    }
  });
}
