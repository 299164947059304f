/**
 * From floats to the integers that are summed, and back. A value is clamped to the clipping bound C and written as
 * round(v / C * (2^(b-1) - 1)), rounded up or down at random so that its mean is exact; random bits come from the suite's
 * keystream under a fresh key, never from a plain generator. The weight is one more element, weights of single parts and
 * metrics follow it: the coordinator learns sums of all of them and none of any single client's.
 *
 * Variance of the rounding: at most (C / (2^(b-1) - 1))^2 / 4 per value and client.
 */
import { invalidArgument } from '../errors.js';
import type { Rng } from '../rng.js';
import { LIMIT } from './constants.js';
import type { Kernel } from './kernel.js';
import { chooseRing, type RingSpec } from './ring.js';
import type { CryptoSuite } from './suite.js';

/** How floats and weights become the integers of a masked vector; equal for all clients of an aggregation. */
export interface QuantizeSpec {
  /** Values beyond +-valueRange are clamped. */
  readonly valueRange: number;
  /** Bits b of one value, 2 to 24. */
  readonly quantizeBits: number;
  /** Largest weight, a whole number from 1; a client's weight is clamped to it. */
  readonly weightCap: number;
  /** What multiplies the values, part after part: the weight, 1, or a weight of the part's own. Absent: the weight, all. */
  readonly parts?: readonly { readonly size: number; readonly weighs: 'client' | 'one' | 'own' }[];
  /** Largest magnitude of each metric: metrics are fixed-point with the same number of steps, and not multiplied by the weight. */
  readonly metricBounds: readonly number[];
  /** Which metrics are whole numbers of at most {@link stepsOf} in magnitude, and go in as they are. Absent: none. */
  readonly wholeMetrics?: readonly boolean[];
}

/** What one client puts into the vector, before it is quantized. */
export interface Contribution {
  readonly values: Float32Array;
  /** A whole number from 1; 1 for all under client-level DP, where it must not change the sensitivity. */
  readonly weight: number;
  /** Whole numbers from 0, one for each part that has its own. */
  readonly ownWeights?: readonly number[];
  readonly metrics: readonly number[];
}

/** What survivors sent, decoded: sums over them. */
export interface WeightedSum {
  /** sum of weight * value, with the weight of the value's part. */
  readonly values: Float64Array;
  readonly weight: number;
  /** One for each part that has its own. */
  readonly ownWeights: readonly number[];
  readonly metrics: readonly number[];
}

/** Steps of one value: 2^(b-1) - 1. */
export const stepsOf = (spec: QuantizeSpec): number => 2 ** (spec.quantizeBits - 1) - 1;

const ownPartsOf = ({ parts = [] }: QuantizeSpec): number => parts.filter(({ weighs }) => weighs === 'own').length;

/** Elements of the vector for `values` values: the values, one weight, weights of parts that have their own, the metrics. */
export const elementsOf = (spec: QuantizeSpec, values: number): number =>
  values + 1 + ownPartsOf(spec) + spec.metricBounds.length;

/**
 * The ring for these bounds and the largest cohort.
 * @throws FlError `invalid-argument` if the spec is out of range or the sum could wrap
 */
export function ringFor(
  spec: QuantizeSpec,
  clients: number,
  options: { noiseTailMax?: number; pack?: boolean } = {},
): RingSpec {
  const { valueRange, quantizeBits, weightCap, metricBounds } = spec;
  const bitsFit = Number.isInteger(quantizeBits) && quantizeBits >= 2 && quantizeBits <= LIMIT.quantizeBits;
  if (!bitsFit) throw invalidArgument('quantizeBits', `2..${LIMIT.quantizeBits}`, quantizeBits);
  if (!Number.isInteger(weightCap) || weightCap < 1)
    throw invalidArgument('weightCap', 'a whole number from 1', weightCap);
  for (const bound of [valueRange, ...metricBounds]) {
    if (!(bound > 0 && Number.isFinite(bound))) throw invalidArgument('bound', 'a positive number', bound);
  }
  const { noiseTailMax = 0, pack = false } = options;
  return chooseRing({ clients, valueMax: weightCap * stepsOf(spec), noiseTailMax }, pack);
}

/**
 * One client's vector of signed integers, weight and metrics included, before noise and masks.
 * @throws FlError `invalid-argument` if a number is not finite
 */
export function quantize(
  { kernel, suite, rng }: { kernel: Kernel; suite: CryptoSuite; rng: Rng },
  spec: QuantizeSpec,
  { values, weight, ownWeights = [], metrics }: Contribution,
): Int32Array {
  if (metrics.length !== spec.metricBounds.length) {
    throw invalidArgument('metrics', `${spec.metricBounds.length} numbers`, metrics.length);
  }
  if (!Number.isInteger(weight) || weight < 1) throw invalidArgument('weight', 'a whole number from 1', weight);
  if (ownWeights.length !== ownPartsOf(spec) || ownWeights.some((own) => !(Number.isInteger(own) && own >= 0))) {
    throw invalidArgument('ownWeights', `${ownPartsOf(spec)} whole numbers from 0`, ownWeights.join());
  }
  const max = stepsOf(spec);
  const counted = Math.min(weight, spec.weightCap);
  const scale = max / spec.valueRange;
  const owned = ownWeights.map((own) => Math.min(own, spec.weightCap));
  const isWhole = (spec.parts ?? []).every(({ weighs }) => weighs === 'client');
  const rounded = kernel.quantize(suite, rng.bytes(32), { values, scale, max, weight: isWhole ? counted : 1 });
  // Metrics are scaled to +-1 first, so that one pass of the same rounding serves bounds of any size. What is beyond its bound
  // is cut here already: a quotient beyond float32 would be an error, and so a word about somebody's examples.
  const { wholeMetrics = [] } = spec;
  const unit = Float32Array.from(metrics, (metric, i) => {
    if (!Number.isFinite(metric)) return Number.NaN;
    return wholeMetrics[i] ? 0 : Math.min(1, Math.max(-1, metric / spec.metricBounds[i]));
  });
  const roundedMetrics = kernel.quantize(suite, rng.bytes(32), { values: unit, scale: max, max, weight: 1 });
  if (rounded === undefined) throw invalidArgument('values', 'finite numbers', 'NaN or an infinity');
  if (roundedMetrics === undefined) throw invalidArgument('metrics', 'finite numbers', 'NaN or an infinity');
  const out = new Int32Array(elementsOf(spec, values.length));
  out.set(isWhole ? rounded : weighed(spec, rounded, { client: counted, one: 1, own: owned }));
  out.set([counted, ...owned], values.length);
  out.set(roundedMetrics, values.length + 1 + owned.length);
  for (const [i, metric] of metrics.entries()) {
    if (wholeMetrics[i]) out[values.length + 1 + owned.length + i] = wholeWithin(metric, max);
  }
  return out;
}

/** What is no whole number of the grid would end in another client's digits. */
function wholeWithin(metric: number, max: number): number {
  if (Number.isInteger(metric) && Math.abs(metric) <= max) return metric;
  throw invalidArgument('metrics', `a whole number of at most ${max} in magnitude`, 'another');
}

/** Multiplies each part in place. */
function weighed({ parts = [] }: QuantizeSpec, values: Int32Array, weights: PartWeights): Int32Array {
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  if (values.length !== size) throw invalidArgument('values', `${size} of all parts`, values.length);
  const factors = factorsOf(parts, weights);
  let at = 0;
  for (const [part, { size }] of parts.entries()) {
    for (const end = at + size; at < end; at++) values[at] *= factors[part];
  }
  return values;
}

/** What a part is multiplied by, by how it weighs; sums of these over survivors divide their sums. */
export interface PartWeights {
  readonly client: number;
  readonly one: number;
  /** One for each part that has its own, in order. */
  readonly own: readonly number[];
}

/** By what each part's values are multiplied, in the order of `parts`. */
export function factorsOf(parts: NonNullable<QuantizeSpec['parts']>, { own, ...shared }: PartWeights): number[] {
  const next = own.values();
  return parts.map(({ weighs }) => (weighs === 'own' ? next.next().value! : shared[weighs]));
}

/** The sums behind an unmasked, centred vector. */
export function dequantize(spec: QuantizeSpec, sum: Int32Array): WeightedSum {
  const valueCount = sum.length - elementsOf(spec, 0);
  const metricsAt = valueCount + 1 + ownPartsOf(spec);
  const step = spec.valueRange / stepsOf(spec);
  return {
    values: Float64Array.from(sum.subarray(0, valueCount), (count) => count * step),
    weight: sum[valueCount],
    ownWeights: [...sum.subarray(valueCount + 1, metricsAt)],
    metrics: spec.metricBounds.map((bound, i) => {
      const steps = sum[metricsAt + i];
      return spec.wholeMetrics?.[i] ? steps : (steps * bound) / stepsOf(spec);
    }),
  };
}
