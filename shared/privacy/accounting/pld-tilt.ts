/**
 * Cumulant generating functions of composed privacy losses, and their Chernoff bounds: they say where on the loss axis an
 * FFT must look, before it is run.
 */
import type { LossSketch } from './pld-grid.js';

/** ln E[e^(θ L)] of a composed loss L, for any real θ. */
export type Cumulant = (theta: number) => number;

/** Σ count × ln Σ prob e^(θ loss), shifted by the largest exponent so that it never overflows. */
export function cumulantOf(parts: readonly { sketch: LossSketch; count: number }[]): Cumulant {
  const ready = parts.map(({ sketch, count }) => ({ loss: sketch.loss, logProb: sketch.prob.map(Math.log), count }));
  return (theta) => {
    let total = 0;
    for (const { loss, logProb, count } of ready) {
      let peak = Number.NEGATIVE_INFINITY;
      for (let i = 0; i < loss.length; i++) {
        const exponent = logProb[i] + theta * loss[i];
        if (exponent > peak) peak = exponent;
      }
      let sum = 0;
      for (let i = 0; i < loss.length; i++) {
        sum += Math.exp(logProb[i] + theta * loss[i] - peak);
      }
      total += count * (peak + Math.log(sum));
    }
    return total;
  };
}

/**
 * A loss below which one release holds less than e^-exponent of its tilted mass even if all of that were moved up to it.
 * The outline is coarse, so its cell below the cut is kept too.
 */
export function negligibleBelow(sketch: LossSketch, tilt: number, exponent: number): number {
  const logNorm = cumulantOf([{ sketch, count: 1 }])(tilt);
  let mass = 0;
  let floor = Number.NEGATIVE_INFINITY;
  for (let i = 1; i < sketch.loss.length; i++) {
    mass += sketch.prob[i - 1];
    const loss = sketch.loss[i - 1];
    if (Math.log(mass) + tilt * loss - logNorm > -exponent) break;
    floor = i > 1 ? sketch.loss[i - 2] : floor;
  }
  return floor;
}

/** Minimizes a function that is unimodal in ln(argument) over [1e-5, 1e9], by golden sections. */
export function minimize(objective: (argument: number) => number): { at: number; value: number } {
  const ratio = (Math.sqrt(5) - 1) / 2;
  let low = Math.log(1e-5);
  let high = Math.log(1e9);
  let left = high - ratio * (high - low);
  let right = low + ratio * (high - low);
  let leftValue = objective(Math.exp(left));
  let rightValue = objective(Math.exp(right));
  while (high - low > 0.02) {
    if (leftValue <= rightValue) {
      high = right;
      right = left;
      rightValue = leftValue;
      left = high - ratio * (high - low);
      leftValue = objective(Math.exp(left));
    } else {
      low = left;
      left = right;
      leftValue = rightValue;
      right = low + ratio * (high - low);
      rightValue = objective(Math.exp(right));
    }
  }
  return leftValue <= rightValue
    ? { at: Math.exp(left), value: leftValue }
    : { at: Math.exp(right), value: rightValue };
}

/** Of a composed loss. */
export interface Moments {
  readonly mean: number;
  readonly deviation: number;
}

/** Of the sum of losses by these outlines, tilted by e^(tilt loss). */
export function momentsOf(parts: readonly { sketch: LossSketch; count: number }[], tilt: number): Moments {
  let mean = 0;
  let variance = 0;
  for (const { sketch, count } of parts) {
    const logNorm = cumulantOf([{ sketch, count: 1 }])(tilt);
    const weights = sketch.prob.map((prob, i) => Math.exp(Math.log(prob) + tilt * sketch.loss[i] - logNorm));
    const own = weights.reduce((sum, weight, i) => (weight > 0 ? sum + weight * sketch.loss[i] : sum), 0);
    mean += count * own;
    variance +=
      count * weights.reduce((sum, weight, i) => (weight > 0 ? sum + weight * (sketch.loss[i] - own) ** 2 : sum), 0);
  }
  return { mean, deviation: Math.sqrt(variance) };
}

/** Atoms of a coarser outline; eight neighbours become one at their mean. */
const THINNING = 8;

/** For compositions of many parts: an eighth of the work, and the same mean. */
export function thinned({ loss, prob }: LossSketch): LossSketch {
  const size = Math.ceil(loss.length / THINNING);
  const coarse = { loss: new Float64Array(size), prob: new Float64Array(size) };
  for (let at = 0; at < size; at++) {
    const end = Math.min(loss.length, (at + 1) * THINNING);
    let [mass, moment] = [0, 0];
    for (let i = at * THINNING; i < end; i++) {
      mass += prob[i];
      moment += prob[i] * loss[i];
    }
    coarse.prob[at] = mass;
    coarse.loss[at] = mass > 0 ? moment / mass : loss[end - 1];
  }
  return coarse;
}
