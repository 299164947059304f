/**
 * What becomes of numbers that are not finite. In the clear they are an error, which says where. In a run that protects its
 * clients an error is a message: whoever makes the model chooses which examples cause it. There they become zeros of the
 * right weight, after as many steps as ever; the cause stays at the site.
 */

import { FlError, invalidArgument } from '../../shared/errors.js';
import type { Contribution } from '../../shared/tensors/channels.js';
import { firstNonFinite, type Layout, sizeOf } from '../../shared/tensors/params.js';

/** What a computation gave, or what of it was not finite. */
export type Finite<T> = { readonly result: T } | { readonly notFinite: string };

/** Catches what training and evaluation throw for numbers that are not finite, and nothing else. */
export async function finiteOr<T>(compute: () => Promise<T>): Promise<Finite<T>> {
  try {
    return { result: await compute() };
  } catch (thrown) {
    const { code, message } = FlError.from(thrown);
    if (code !== 'failed-precondition') throw thrown;
    return { notFinite: message };
  }
}

/**
 * What of a contribution is not finite; undefined: nothing.
 * @throws FlError invalid-argument: it is not what was declared. A workload's own procedure is checked here, once
 */
export function notFiniteIn(field: string, layout: Layout, contribution: Contribution): string | undefined {
  const { values, weights, metrics } = contribution;
  if (values.length !== sizeOf(layout)) throw invalidArgument(field, `${sizeOf(layout)} values`, values.length);
  if (weights.length !== layout.length) throw invalidArgument(field, `${layout.length} weights`, weights.length);
  const wrong = weights.find((weight) => weight < 0);
  if (wrong !== undefined) throw invalidArgument(field, 'weights that are finite and >= 0', wrong);
  const index = firstNonFinite(values);
  if (index >= 0) {
    const tensor = layout.find(({ offset, size }) => index < offset + size)?.name;
    return `${field}: a value of ${tensor} is not finite`;
  }
  if (!weights.every(Number.isFinite)) return `${field}: a weight is not finite`;
  const metric = Object.keys(metrics).find(
    (name) => ![...metrics[name].sum, metrics[name].count].every(Number.isFinite),
  );
  return metric === undefined ? undefined : `${field}: metric "${metric}" is not finite`;
}

/** Zeros that count as the contribution would have: with its weights where there are any, else by `examples`. */
export function zerosFor(layout: Layout, examples: number, weights: readonly number[] = []): Contribution {
  const isWhole = weights.length === layout.length && weights.every(Number.isFinite);
  return {
    values: new Float32Array(sizeOf(layout)),
    weights: isWhole ? weights : layout.map(() => examples),
    metrics: {},
  };
}
