/**
 * What becomes of several updates, or of the means of several groups: their mean, or an order statistic of each
 * coordinate that a few poisoned ones cannot move far (Yin, Chen, Ramchandran, Bartlett, Byzantine-Robust Distributed
 * Learning, ICML 2018, https://arxiv.org/abs/1803.01498).
 *
 * `mean` weighs by examples. `median` and `trimmed-mean:B` (B of the values cut off at each end, at least one) give every
 * update the same say: a weight is something that a liar chooses too.
 */

import { FlError, invalidArgument } from '../../shared/errors.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { trimmedMean } from '../../shared/secagg/index.js';
import { heldOnly, reduceSums, type SummedLayout } from '../../shared/tensors/channels.js';
import { type Params, sizeOf } from '../../shared/tensors/params.js';
import { createSum, type ExactSum } from './exact-sum.js';

/** Order statistics need every value at once: so many bytes of them may lie in memory. */
const MAX_KEPT_BYTES = 2 ** 30;
/** Of fewer values an order statistic drops none, and so protects from none. */
const LEAST_VALUES = 3;
const DEFAULT_TRIM = 0.2;

/** `trimOf` values are dropped at each end of every coordinate; absent: the weighted mean of all. */
export interface Aggregator {
  readonly name: string;
  trimOf?(count: number): number;
}

/** @throws FlError invalid-argument */
export function parseAggregator(text = 'mean'): Aggregator {
  const [name, fraction, ...rest] = text.trim().split(':');
  const most = (count: number) => Math.floor((count - 1) / 2);
  if (name === 'mean' && fraction === undefined) return { name };
  if (name === 'median' && fraction === undefined) return { name, trimOf: most };
  const trimmed = fraction === undefined ? DEFAULT_TRIM : Number(fraction);
  if (name !== 'trimmed-mean' || rest.length > 0 || !(trimmed > 0 && trimmed < 0.5)) {
    throw invalidArgument('aggregator', 'mean, median or trimmed-mean[:fraction below 0.5]', text);
  }
  // 0.1 x 30 may come out a little above 3
  return { name, trimOf: (count) => Math.min(most(count), Math.max(1, Math.ceil(trimmed * count - 1e-9))) };
}

/**
 * Whether a run can be aggregated as it says.
 * @throws FlError invalid-argument, with the reason
 */
export function checkAggregator({ work, engine }: RunSpec): void {
  const { name, trimOf } = parseAggregator(engine.aggregator);
  const groupSize = work.secure?.groupSize;
  const values = groupSize === undefined ? engine.cohort : Math.floor(engine.cohort / groupSize);
  if (trimOf === undefined && groupSize === undefined) return;
  checkMemory(work.model, groupSize === undefined ? Math.ceil(values * (1 + engine.overSelection)) : values);
  if (trimOf === undefined) return;
  if (work.secure !== undefined && groupSize === undefined) {
    const why = 'order statistics need single updates, which secure aggregation hides; use secure-groups';
    throw new FlError('invalid-argument', `aggregator: ${name} cannot go with secure aggregation: ${why}`);
  }
  const channels = work.phases.flatMap((phase) => phase.channels);
  const summed = channels.find(({ reduce }) => reduce === 'sum');
  if (summed !== undefined) {
    throw new FlError('invalid-argument', `aggregator: ${name} is no sum, which channel "${summed.name}" asks for`);
  }
  const perTensor = channels.find(({ weight }) => weight === 'per-tensor');
  if (perTensor !== undefined) {
    const why = `channel "${perTensor.name}" has clients that do not hold every tensor`;
    throw new FlError('invalid-argument', `aggregator: ${name} needs a value of every client: ${why}`);
  }
  if (groupSize !== undefined && values < LEAST_VALUES) {
    const got = `${values} (cohort ${engine.cohort} in groups of ${groupSize})`;
    throw invalidArgument(`groups for aggregator ${name}`, `at least ${LEAST_VALUES}`, got);
  }
  if (groupSize === undefined && engine.minSurvivors < LEAST_VALUES) {
    throw invalidArgument(`minSurvivors with aggregator ${name}`, `at least ${LEAST_VALUES}`, engine.minSurvivors);
  }
}

function checkMemory(model: RunSpec['work']['model'], vectors: number): void {
  const elements = model.reduce((sum, { shape }) => sum + shape.reduce((size, axis) => size * axis, 1), 0);
  const keptBytes = 4 * elements * vectors;
  if (keptBytes <= MAX_KEPT_BYTES) return;
  throw new FlError(
    'invalid-argument',
    `aggregator: ${vectors} vectors of ${elements} numbers are ${keptBytes} bytes in memory; at most ${MAX_KEPT_BYTES}`,
  );
}

/** What the contributions of a cohort come to. */
export interface Aggregate {
  /** Of the tensors that somebody holds; empty for an evaluation. */
  readonly mean: Params;
  /** With adaptive clipping: the noisy sum of +1 for each update within the bound and -1 for each beyond it. */
  readonly withinBound: number | undefined;
}

/** What a channel makes of one client's or one group's values, and by tensor what multiplied them. */
interface Part {
  readonly mean: Float32Array;
  readonly weights: readonly number[];
}

/**
 * One vector of several. An order statistic does not depend on their order; a mean of groups is taken in the given one.
 * @throws FlError failed-precondition: too few for an order statistic
 */
export function aggregate({ name, trimOf }: Aggregator, parts: readonly Part[], layout: SummedLayout): Params {
  if (trimOf === undefined) return weightedMean(parts, layout);
  if (parts.length < LEAST_VALUES) {
    throw new FlError('failed-precondition', `${name} over ${parts.length}: at least ${LEAST_VALUES} are needed`);
  }
  const means = parts.map(({ mean }) => mean);
  return { layout, values: Float32Array.from(trimmedMean(means, trimOf(parts.length))) };
}

function weightedMean(parts: readonly Part[], layout: SummedLayout): Params {
  const sums = new Float64Array(sizeOf(layout));
  const weights = layout.map((_, tensor) => parts.reduce((sum, part) => sum + part.weights[tensor], 0));
  layout.forEach(({ offset, size, divided }, tensor) => {
    for (const part of parts) {
      const factor = divided ? part.weights[tensor] : 1;
      for (let i = offset; i < offset + size; i++) sums[i] += factor * part.mean[i];
    }
  });
  return heldOnly(layout, reduceSums(layout, { sums, weights }), weights);
}

/** Where updates go as they arrive. */
export type Gathering = Pick<ExactSum, 'prepare' | 'addPrepared'> & {
  /** Of the tensors that somebody holds. */
  mean(): Params;
  /** Undivided, and by tensor the sum of what multiplied; no order statistic has them. */
  sums(): { readonly sums: Float64Array; readonly weights: readonly number[] };
};

/** The running sum, or with an order statistic all updates themselves: 4 bytes an element and client. */
export function createGathering(layout: SummedLayout, aggregator: Aggregator): Gathering {
  const sum = createSum(layout);
  const kept: Part[] = [];
  const keep: Gathering['addPrepared'] = ({ values, weights }) => {
    kept.push({ mean: Float32Array.from(values), weights });
  };
  const isMean = aggregator.trimOf === undefined;
  const sums: Gathering['sums'] = () => {
    const { coarse, fine } = sum.lanes;
    return { sums: coarse === undefined ? fine : fine.map((value, i) => value + coarse[i]), weights: sum.weightSums };
  };
  return {
    prepare: (values, options) => sum.prepare(values, options),
    addPrepared: isMean ? (update) => sum.addPrepared(update) : keep,
    mean: () => {
      if (!isMean && sizeOf(layout) > 0) return aggregate(aggregator, kept, layout);
      return heldOnly(layout, reduceSums(layout, sums()), sum.weightSums);
    },
    sums,
  };
}
