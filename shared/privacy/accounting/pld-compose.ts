/**
 * Composition of privacy losses: the loss of many releases is the sum of independent losses, so their distributions are
 * convolved, by one FFT per distinct mechanism and a power of its spectrum.
 *
 * A plain FFT has an absolute error near 1e-16, useless for δ = 1e-14. The losses are therefore tilted first, p -> p e^(θ loss)
 * normalized, with θ from the Chernoff bound at the ε or δ asked for (Alghamdi et al. 2023, "The saddle-point accountant",
 * use the same exponent): the answer then sits in the bulk of the tilted distribution and is exact relative to its own size.
 * The window keeps all but e^-34 of the tilted mass, and the grid is fine enough that rounding up costs about 5e-6 of ε.
 */
import { forwardTransform, inverseTransform, twiddles } from './fft.js';
import type { Direction, LossGrid, LossSketch, LossSource } from './pld-grid.js';
import { type Cumulant, cumulantOf, type Moments, minimize, momentsOf, negligibleBelow, thinned } from './pld-tilt.js';

/** A mechanism run `count` times on the same data. */
export interface LossPart {
  readonly source: LossSource;
  readonly count: number;
}

type Target = { readonly delta: number } | { readonly epsilon: number };

const WINDOW_EXPONENT = 34;
const MIN_LENGTH = 2 ** 12;
/** A grid so much coarser than asked for rounds up a hundred times as much, 5e-4 of ε; one of a rough answer, a tenth. */
const COARSEST = 10;

/** What a question may cost: the finest grid, and how often one may be laid. */
export interface Work {
  readonly relativeError: number;
  readonly maxLength: number;
  readonly maxTries: number;
}

/** How a second look differs from the first. */
export interface Retry {
  /** Factor on the tilt. */
  readonly slack?: number;
  readonly maxStep?: number;
}

/** The composed loss near the target: tilted[i & mask] e^(logScale - tilt loss) at loss = i × step, i = from .. to. */
export interface ComposedLoss {
  readonly step: number;
  readonly from: number;
  readonly to: number;
  readonly tilted: Float64Array;
  readonly tilt: number;
  readonly logScale: number;
  readonly infinity: number;
  /** Of the tilted loss, by its parts. */
  readonly mean: number;
  readonly deviation: number;
}

/** The composed loss of `parts` about the target; undefined where no grid that `work` allows holds it. */
export function compose(
  parts: readonly LossPart[],
  direction: Direction,
  target: Target,
  { relativeError, maxLength }: Work,
  retry: Retry = {},
): ComposedLoss | undefined {
  const sketchFor = (sketch: LossSketch) => (parts.length > 1 ? thinned(sketch) : sketch);
  const outlined = parts.map(({ source, count }) => ({ source, count, sketch: sketchFor(source.sketch(direction)) }));
  const cumulant = cumulantOf(outlined);
  const chosen = chooseTilt(cumulant, target);
  const tilt = chosen.tilt * (retry.slack ?? 1);
  const window = chooseWindow(cumulant, tilt);
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  // Rounding adds at most step²/4 (on average step²/6) to each variance, hence count tilt² step²/12 to the exponent.
  const fine = Math.sqrt((12 * relativeError * Math.max(0.1, -chosen.logDelta)) / total) / tilt;
  const width = window.high - window.low;
  const wanted = Math.min(fine, retry.maxStep ?? fine, width / MIN_LENGTH);
  const length = Math.min(maxLength, 2 ** Math.ceil(Math.log2(width / wanted)));
  if (!(width / length <= COARSEST * fine)) return undefined;
  const floored = outlined.map((part) => ({
    ...part,
    floor: negligibleBelow(part.sketch, tilt, WINDOW_EXPONENT + Math.log(total)),
  }));
  const step = alignStep(parts, direction, Math.max(width / length, widest(floored) / (4 * maxLength)));
  const sum = convolve({ parts: floored, direction, tilt, step, from: Math.floor(window.low / step), length });
  return isHeld(sum, momentsOf(outlined, tilt), width) ? sum : undefined;
}

/**
 * Whether the window that was chosen by outlines holds the sum of the grids: it reaches 8 deviations to either side, and
 * what an outline or a grid rounds up is added once a step. Half of that reach is enough for the tails to stay below e^-18
 * at either end even if skewed.
 */
function isHeld({ mean, deviation }: ComposedLoss, outlined: Moments, width: number): boolean {
  return Math.abs(mean - outlined.mean) <= width / 10 && deviation - outlined.deviation <= width / 80;
}

/** A single mechanism with an atom at its greatest loss gets a grid that hits it, so that tiny δ come out exact. */
function alignStep(parts: readonly LossPart[], direction: Direction, step: number): number {
  const only = parts[0]?.source;
  if (parts.length !== 1 || only === undefined || !only.atomAtMax) return step;
  const greatest = only.maxLoss(direction);
  return greatest / Math.max(1, Math.floor(greatest / step));
}

function widest(parts: readonly { sketch: LossSketch; floor: number }[]): number {
  let width = 0;
  for (const { sketch, floor } of parts) {
    const top = sketch.loss[sketch.loss.length - 1];
    width = Math.max(width, top - Math.max(floor, sketch.loss[0]));
  }
  return width;
}

/** θ minimizing the Chernoff bound; held back where it would only chase the last bit of a bounded loss. */
function chooseTilt(cumulant: Cumulant, target: Target): { tilt: number; logDelta: number } {
  if ('epsilon' in target) {
    const best = minimize((theta) => cumulant(theta) - theta * target.epsilon);
    return { tilt: best.at, logDelta: Math.min(0, best.value) };
  }
  const need = -Math.log(target.delta);
  const best = minimize((theta) => (cumulant(theta) + need) / theta);
  return { tilt: Math.min(best.at, Math.max(1, (200 * need) / best.value)), logDelta: -need };
}

/** Chernoff bounds on both tails of the tilted sum. */
function chooseWindow(cumulant: Cumulant, tilt: number): { low: number; high: number } {
  const base = cumulant(tilt);
  const high = minimize((s) => (cumulant(tilt + s) - base + WINDOW_EXPONENT) / s).value;
  const low = -minimize((s) => (cumulant(tilt - s) - base + WINDOW_EXPONENT) / s).value;
  const margin = 0.02 * (high - low) + 1e-12;
  return { low: low - margin, high: high + margin };
}

function convolve(options: {
  parts: readonly (LossPart & { floor: number })[];
  direction: Direction;
  tilt: number;
  step: number;
  from: number;
  length: number;
}): ComposedLoss {
  const { parts, direction, tilt, step, from, length } = options;
  const table = twiddles(length);
  const productRe = new Float64Array(length).fill(1);
  const productIm = new Float64Array(length);
  let logScale = 0;
  let logFinite = 0;
  let mean = 0;
  let variance = 0;
  for (const { source, count, floor } of parts) {
    const grid = source.discretize(direction, step, floor);
    logFinite += count * Math.log1p(-Math.min(1, grid.infinity));
    const { re, logNorm, moments } = tilted(grid, tilt, length);
    mean += count * moments.mean;
    variance += count * moments.deviation ** 2;
    logScale += count * logNorm;
    const im = new Float64Array(length);
    forwardTransform(re, im, table);
    multiplyByPower(productRe, productIm, re, im, count);
  }
  inverseTransform(productRe, productIm, table);
  const to = from + length - 1;
  const infinity = -Math.expm1(logFinite);
  return { step, from, to, tilted: productRe, tilt, logScale, infinity, mean, deviation: Math.sqrt(variance) };
}

/** Probabilities times e^(tilt loss), scaled to sum 1 and wrapped into `length` slots. */
function tilted(grid: LossGrid, tilt: number, length: number): { re: Float64Array; logNorm: number; moments: Moments } {
  const { probs, low, step } = grid;
  let peak = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < probs.length; i++) {
    if (probs[i] > 0) peak = Math.max(peak, Math.log(probs[i]) + tilt * (low + i) * step);
  }
  const re = new Float64Array(length);
  let total = 0;
  let mean = 0; // Welford's, weighted
  let squares = 0;
  for (let i = 0; i < probs.length; i++) {
    const mass = probs[i];
    if (mass <= 0) continue;
    const value = mass * Math.exp(tilt * (low + i) * step - peak);
    const slot = (low + i) & (length - 1);
    re[slot] = re[slot] + value;
    total += value;
    if (value === 0) continue;
    const gap = (low + i) * step - mean;
    mean += (gap * value) / total;
    squares += value * gap * ((low + i) * step - mean);
  }
  for (let i = 0; i < length; i++) re[i] = re[i] / total;
  return { re, logNorm: Math.log(total) + peak, moments: { mean, deviation: Math.sqrt(squares / total) } };
}

/** product *= spectrum^count, in polar form. */
function multiplyByPower(
  productRe: Float64Array,
  productIm: Float64Array,
  re: Float64Array,
  im: Float64Array,
  count: number,
): void {
  for (let i = 0; i < re.length; i++) {
    const x = re[i];
    const y = im[i];
    const exponent = 0.5 * count * Math.log(x * x + y * y);
    if (!(exponent > -700)) {
      productRe[i] = 0;
      productIm[i] = 0;
      continue;
    }
    const magnitude = Math.exp(exponent);
    const angle = count * Math.atan2(y, x);
    const powerRe = magnitude * Math.cos(angle);
    const powerIm = magnitude * Math.sin(angle);
    const a = productRe[i];
    const b = productIm[i];
    productRe[i] = a * powerRe - b * powerIm;
    productIm[i] = a * powerIm + b * powerRe;
  }
}
