/**
 * Order statistics of each coordinate, which a few poisoned values cannot move far (Yin, Chen, Ramchandran, Bartlett,
 * Byzantine-Robust Distributed Learning, ICML 2018, https://arxiv.org/abs/1803.01498). `median` and `trimmed-mean:B` (B of
 * the values cut off at each end, at least one) give every update the same say: a weight is something that a liar chooses.
 */
import { FlError } from '../../shared/errors.js';
import { trimmedMean } from '../../shared/secagg/index.js';

/** Of fewer values an order statistic drops none, and so protects from none. */
export const LEAST_VALUES = 3;
const DEFAULT_TRIM = 0.2;

/** A mean of what is left when some values are dropped at each end. */
export interface OrderStatistic {
  readonly name: string;
  /** How many of `count` are dropped at each end. */
  trimOf(count: number): number;
}

/** `median`, `trimmed-mean` or `trimmed-mean:FRACTION` with a fraction above 0 and below 0.5; undefined: neither. */
export function parseOrderStatistic(text: string): OrderStatistic | undefined {
  const [name, fraction, ...rest] = text.split(':');
  const most = (count: number) => Math.floor((count - 1) / 2);
  if (name === 'median' && fraction === undefined) return { name, trimOf: most };
  const trimmed = fraction === undefined ? DEFAULT_TRIM : Number(fraction);
  if (name !== 'trimmed-mean' || rest.length > 0 || !(trimmed > 0 && trimmed < 0.5)) return undefined;
  // 0.1 x 30 may come out a little above 3
  return { name, trimOf: (count) => Math.min(most(count), Math.max(1, Math.ceil(trimmed * count - 1e-9))) };
}

/**
 * Of vectors of one length, coordinate by coordinate; does not depend on their order.
 * @throws FlError failed-precondition: fewer than {@link LEAST_VALUES}
 */
export function orderStatisticOf({ name, trimOf }: OrderStatistic, vectors: readonly Float32Array[]): Float32Array {
  const { length } = vectors;
  if (length >= LEAST_VALUES) return Float32Array.from(trimmedMean(vectors, trimOf(length)));
  throw new FlError('failed-precondition', `${name} over ${length}: at least ${LEAST_VALUES} are needed`);
}
