/**
 * What becomes of several updates, or of the means of several groups: `mean`, weighed by examples, or an order statistic.
 */
import { invalidArgument } from '../../shared/errors.js';
import { heldOnly, reduceSums, type SummedLayout } from '../../shared/tensors/channels.js';
import { type Params, sizeOf } from '../../shared/tensors/params.js';
import { createSum, type ExactSum } from './exact-sum.js';
import { type OrderStatistic, orderStatisticOf, parseOrderStatistic } from './order-statistics.js';

/** How several become one; without a statistic, by their weighted mean. */
export interface Aggregator {
  readonly name: string;
  readonly statistic?: OrderStatistic;
}

/** @throws FlError invalid-argument: neither `mean` nor an order statistic */
export function parseAggregator(text = 'mean'): Aggregator {
  const name = text.trim();
  if (name === 'mean') return { name };
  const statistic = parseOrderStatistic(name);
  if (statistic !== undefined) return { name: statistic.name, statistic };
  throw invalidArgument('aggregator', 'mean, median or trimmed-mean[:fraction below 0.5]', text);
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
export function aggregate({ statistic }: Aggregator, parts: readonly Part[], layout: SummedLayout): Params {
  if (statistic === undefined) return weightedMean(parts, layout);
  const means = parts.map(({ mean }) => mean);
  return { layout, values: orderStatisticOf(statistic, means) };
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
  const isMean = aggregator.statistic === undefined;
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
