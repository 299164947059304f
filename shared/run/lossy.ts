/**
 * What a round lost on its way into a sum: elements that were clamped to the value range, examples beyond the weight cap,
 * what an encoding dropped. Each client counts its own; under secure aggregation the counts are elements of the same masked
 * vector, so that only their sums are known. Under differential privacy they would be figures without noise about data that
 * noise hides: there a client counts for its own log alone (docs/decisions/0104).
 */
import { isClientLevel } from './client-level-privacy.js';
import type { MetricSum, SumMetrics } from './metrics.js';
import type { MaskedMetric, WorkSpec } from './spec.js';

/** Share of elements beyond the range times 1, 2, 4 ...: the first is what was clamped. */
const BEYOND = 'starling/beyond';
/** 1 for a client whose examples are more than the weight cap times 1, 2, 4 ... */
const CAPPED = 'starling/capped';
/** In the clear: squares of what an encoding lost, and of what it encoded. */
const ENCODED = 'starling/encoded';
const RANGES = 28;
const CAPS = 14;

/** Whether a metric goes as whole steps of the grid. */
export const isCounted = (name: string): boolean => name === BEYOND || name === CAPPED;

/** In steps of the grid; no share above 0 is less than one step. */
export function inSteps(name: string, sums: readonly number[], steps: number): number[] {
  return sums.map((value) => (name === BEYOND ? Math.ceil(value * steps) : value));
}

/** Inverse of {@link inSteps}, on sums. */
export function fromSteps(name: string, sums: readonly number[], steps: number): number[] {
  return sums.map((value) => (name === BEYOND ? value / steps : value));
}

/** As a specification declares them, for training. */
export function lossyMetrics(): readonly MaskedMetric[] {
  return [
    { name: BEYOND, size: RANGES, max: 1 },
    { name: CAPPED, size: CAPS, max: 1 },
  ];
}

/** What one client, or a sum over clients, has lost. */
export interface Lossy {
  /** Share of the elements of all updates that were clamped. */
  readonly clamped?: number;
  /** Clients whose examples were beyond the cap. */
  readonly cappedWeights?: number;
  /** The value range, and the power of two of it beyond which no element lay. */
  readonly valueRange?: {
    readonly is: number;
    readonly enough: number /** Of the rounds to come, if it changes. */;
    readonly next?: number;
  };
  readonly weightCap?: { readonly is: number; readonly enough: number };
  /** Norm of what the encoding of updates lost / norm of the updates. */
  readonly encoding?: number;
  /** Clients with a metric that was larger than can be told. */
  readonly cutMetrics?: number;
}

/** What one client's contribution loses. @param weight of the client, or the largest of its tensors */
export interface OwnLoss {
  /** Elements beyond the range times 1, 2, 4 ... */
  readonly beyond: readonly number[];
  readonly elements: number;
  readonly weight: number;
  readonly largest: number;
}

/** Counts; under client-level privacy nothing, for whole numbers are summed that are within their range. */
export function lossOf(
  work: Pick<WorkSpec, 'privacy'>,
  valueRange: number,
  { values, weights }: { readonly values: Float32Array; readonly weights: readonly number[] },
): OwnLoss | undefined {
  if (isClientLevel(work.privacy)) return undefined;
  const beyond = Array<number>(RANGES).fill(0);
  let largest = 0;
  for (const value of values) {
    const size = Math.abs(value);
    if (size > largest) largest = size;
    for (let k = 0, range = valueRange; k < RANGES && size > range; k++, range *= 2) beyond[k]++;
  }
  return { beyond, elements: values.length, largest, weight: Math.max(0, ...weights) };
}

/** Less than this is no more than rounding does. */
export const TOLD_FROM = 0.001;

/** What a site is told of its own contribution: a line each, for its log. */
export function ownLossWords(
  { secure }: Pick<WorkSpec, 'secure'>,
  loss: OwnLoss | undefined,
  valueRange: number,
): string[] {
  if (secure === undefined || loss === undefined) return [];
  const { beyond, elements, largest, weight } = loss;
  const share = elements > 0 ? beyond[0] / elements : 0;
  const { weightCap } = secure;
  return [
    ...(share < TOLD_FROM
      ? []
      : [
          `${percent(share)} of this update was beyond value-range ${valueRange} and was clamped: ` +
            `value-range would have to be about ${Number((1.05 * largest).toPrecision(2))}`,
        ]),
    ...(weight <= weightCap
      ? []
      : [
          `this site counts as ${weightCap} examples and has ${Math.round(weight)}: weight-cap would have to be ${Math.round(weight)}`,
        ]),
  ];
}

/** Twice the bound is what a site is told of, unless the bound finds its own size. */
const TOLD_FROM_BOUNDS = 2;

/** What a site is told of an update that client-level privacy clips to less than half; undefined: nothing of the kind. */
export function clippedWords(
  { work, clippingBound }: { readonly work: Pick<WorkSpec, 'privacy'>; readonly clippingBound?: number },
  values: Float32Array,
): string | undefined {
  const { privacy } = work;
  if (!isClientLevel(privacy) || privacy.adaptive) return undefined;
  const bound = clippingBound ?? privacy.clippingBound;
  const norm = Math.sqrt(values.reduce((sum, value) => sum + value ** 2, 0));
  if (!(norm > TOLD_FROM_BOUNDS * bound)) return undefined;
  return (
    `the norm of this update is ${Number(norm.toPrecision(3))}, and clipping-bound ${bound} left ` +
    `${percent(bound / norm)} of it: clipping-bound adaptive finds its own size`
  );
}

/** "100 %", "1.2 %"; a share that is not 0 is never said to be. */
export function percent(share: number): string {
  const shown = 100 * share;
  return shown > 0 && shown < 0.1 ? 'less than 0.1 %' : `${Number(shown.toPrecision(3))} %`;
}

/** A client's part of the masked counts. Nothing under privacy. */
export function lossyPart(
  { secure, privacy }: Pick<WorkSpec, 'secure' | 'privacy'>,
  loss: OwnLoss | undefined,
): SumMetrics {
  if (secure === undefined || privacy !== undefined || loss === undefined) return {};
  const { beyond, elements, weight } = loss;
  return {
    [BEYOND]: { sum: beyond.map((count) => count / Math.max(1, elements)), count: 1 },
    [CAPPED]: { sum: Array.from({ length: CAPS }, (_, k) => (weight > secure.weightCap * 2 ** k ? 1 : 0)), count: 1 },
  };
}

/** From this share of clamped elements on it is a fault of the range, and not of a few elements. */
export const CLAMPED_FROM = 0.01;

/** Of the norm of the updates: from here on an encoding has taken more than what rounding takes. */
export const ENCODED_FROM = 0.1;

/** The value range of the next round, where it is to follow what all `clients` of this one counted. */
export function nextRangeOf(pooled: SumMetrics, lossy: Lossy | undefined, clients: number): number | undefined {
  // one that is older than these counts would not understand a plan with another range
  if (pooled[BEYOND]?.count !== clients || !((lossy?.clamped ?? 0) >= CLAMPED_FROM)) return undefined;
  return lossy?.valueRange?.enough;
}

/** What the sums of these counts say, undefined where nobody counted; and the metrics without them. */
export function takeLossy(
  pooled: SumMetrics,
  about: { readonly valueRange: number; readonly weightCap: number },
): { readonly lossy: Lossy | undefined; readonly metrics: SumMetrics } {
  const { [BEYOND]: beyond, [CAPPED]: capped, ...metrics } = pooled;
  if (beyond === undefined || beyond.count < 1) return { lossy: undefined, metrics };
  const clamped = beyond.sum[0] / beyond.count;
  return {
    metrics,
    lossy: {
      clamped,
      cappedWeights: capped?.sum[0] ?? 0,
      ...(clamped > 0 && { valueRange: { is: about.valueRange, enough: about.valueRange * enough(beyond) } }),
      ...(capped?.sum[0] > 0 && { weightCap: { is: about.weightCap, enough: about.weightCap * enough(capped) } }),
    },
  };
}

/** The first power of two beyond which nothing was. */
function enough({ sum }: MetricSum): number {
  const level = sum.indexOf(0);
  return 2 ** (level < 0 ? sum.length : level);
}

/** What an encoding lost of one update, as a metric of its header. */
export function encodedPart(values: Float32Array, decoded: Float32Array): SumMetrics {
  let lost = 0;
  let all = 0;
  for (const [i, value] of values.entries()) {
    lost += (value - decoded[i]) ** 2;
    all += value ** 2;
  }
  const areFinite = Number.isFinite(lost) && Number.isFinite(all);
  return { [ENCODED]: { sum: areFinite ? [lost, all] : [1, 1], count: 1 } };
}

/** What a site is told of it, for its log; undefined: no more than rounding does. */
export function encodedWords({ compression }: Pick<WorkSpec, 'compression'>, part: SumMetrics): string | undefined {
  const { encoding = 0 } = takeEncoded(part).lossy ?? {};
  return encoding < TOLD_FROM ? undefined : `compression ${compression} lost ${percent(encoding)} of this update`;
}

/** The same of a round. */
export function takeEncoded(pooled: SumMetrics): { readonly lossy: Lossy | undefined; readonly metrics: SumMetrics } {
  const { [ENCODED]: encoded, ...metrics } = pooled;
  if (encoded?.sum.length !== 2) return { lossy: undefined, metrics };
  const [lost, all] = encoded.sum;
  return { lossy: { encoding: all > 0 ? Math.sqrt(lost / all) : 0 }, metrics };
}
