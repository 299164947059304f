/** What d3-scale leaves open on an axis: domains of no width, whole numbers only, and values that are none. */
import { extent, ticks } from 'd3-array';
import { scaleLinear } from 'd3-scale';

/** Below this, steps vanish in float64. */
const TINY = 1e-300;

/** Both ends of an axis. */
export type Domain = readonly [low: number, high: number];

/** From the smallest to the largest finite value; null when there are none. */
export function domainOf(values: readonly number[]): Domain | null {
  const [low, high] = extent(values.filter(Number.isFinite));
  return low === undefined ? null : [low, high];
}

/** The domain widened to about `count` whole steps, so that it begins and ends at a tick; a flat one gets room on both sides. */
export function niceDomain([low, high]: Domain, count: number): Domain {
  const room = high - low > TINY ? 0 : Math.abs(low) > TINY ? Math.abs(low) / 2 : 1;
  const [from, to] = scaleLinear([low - room, high + room], [0, 1])
    .nice(count)
    .domain();
  return [from, to];
}

/** Whole numbers within the domain, about `most` of them. */
export function wholeTicks([low, high]: Domain, most: number): number[] {
  return ticks(low, high, Math.max(1, Math.min(most, Math.floor(high - low))));
}

/** A coordinate with at most two decimals: a page of a thousand rounds stays small. */
export function px(value: number): number {
  return Math.round(value * 100) / 100;
}
