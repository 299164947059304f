/**
 * Composition of privacy losses: the loss of many releases is the sum of independent losses, so their distributions are
 * convolved, by one FFT per distinct mechanism and a power of its spectrum.
 *
 * A plain FFT has an absolute error near 1e-16, useless for δ = 1e-14. The losses are therefore tilted first, p -> p e^(θ loss)
 * normalized, with θ from the Chernoff bound at the ε or δ asked for (Alghamdi et al. 2023, "The saddle-point accountant",
 * use the same exponent): the answer then sits in the bulk of the tilted distribution and is exact relative to its own size.
 * The window keeps all but e^-34 of the tilted mass, and the grid is fine enough that rounding up costs about 5e-6 of ε.
 */
import { invalidArgument } from '../../errors.js';
import { forwardTransform, inverseTransform, twiddles } from './fft.js';
import { DIRECTIONS, type Direction, type LossGrid, type LossSketch, type LossSource } from './pld-grid.js';
import { type Cumulant, cumulantOf, minimize, negligibleBelow } from './pld-tilt.js';

/** A mechanism run `count` times on the same data. */
export interface LossPart {
  readonly source: LossSource;
  readonly count: number;
}

type Target = { readonly delta: number } | { readonly epsilon: number };

const DEFAULT_RELATIVE_ERROR = 5e-6;
/** The grid step is at most this share of ε. */
const GRID_PER_EPSILON = 4e-4;
/** Tilted round-off of 1e-16 is below 1e-7 of the answer while the untilting factor exceeds δ by less than e^20. */
const TRUSTED_EXPONENT = 20;
const WINDOW_EXPONENT = 34;
const MAX_LENGTH = 2 ** 20;
const MIN_LENGTH = 2 ** 12;

/** The smallest ε >= 0 (rounded up) at which the composition is (ε, delta)-DP in both directions. */
export function pldEpsilon(parts: readonly LossPart[], delta: number, relativeError = DEFAULT_RELATIVE_ERROR): number {
  if (!(delta >= 0 && delta <= 1)) throw invalidArgument('delta', 'a probability', delta);
  const running = checkParts(parts);
  if (running.length === 0 || delta === 1) return 0;
  const remove = epsilonOneWay(running, 'remove', delta, relativeError);
  // Usually removing a record shows more than adding one, and a rough upper bound on the other δ is enough to say so.
  if (deltaOneWay(running, 'add', remove, 100 * relativeError) <= delta) return remove;
  return Math.max(remove, epsilonOneWay(running, 'add', delta, relativeError));
}

/** An upper bound, tight to about 5e-6 of ε, on the δ of the composition at `epsilon`, over both directions. */
export function pldDelta(parts: readonly LossPart[], epsilon: number, relativeError = DEFAULT_RELATIVE_ERROR): number {
  if (!(epsilon >= 0)) throw invalidArgument('epsilon', 'a number >= 0', epsilon);
  const running = checkParts(parts);
  if (running.length === 0) return 0;
  return Math.max(...DIRECTIONS.map((direction) => deltaOneWay(running, direction, epsilon, relativeError)));
}

function deltaOneWay(parts: readonly LossPart[], direction: Direction, epsilon: number, relativeError: number): number {
  if (greatestLoss(parts, direction) <= epsilon) return 0;
  const sum = compose(parts, direction, { epsilon }, relativeError);
  return Math.min(1, sum.infinity + hockeyStick(sum, epsilon));
}

function epsilonOneWay(parts: readonly LossPart[], direction: Direction, delta: number, relativeError: number): number {
  const greatest = greatestLoss(parts, direction);
  if (delta === 0) return greatest;
  const resolution = GRID_PER_EPSILON * Math.sqrt(relativeError / DEFAULT_RELATIVE_ERROR);
  let retry: Retry = {};
  for (;;) {
    const sum = compose(parts, direction, { delta }, relativeError, retry);
    const rest = delta - sum.infinity;
    if (rest <= 0) return greatest;
    const epsilon = quantile(sum, rest);
    const { slack = 1 } = retry;
    const inBulk = epsilon !== undefined && sum.logScale - sum.tilt * epsilon < Math.log(delta) + TRUSTED_EXPONENT;
    if (inBulk || slack < 1e-12) {
      const answer = Math.min(greatest, Math.max(0, epsilon ?? 0));
      const coarse = answer > 0 && sum.step > 1.01 * resolution * answer && sum.to - sum.from + 1 < MAX_LENGTH;
      if (!coarse || retry.maxStep !== undefined) return answer;
      retry = { slack, maxStep: resolution * answer }; // far below its Chernoff bound, ε needs a finer grid
    } else if (epsilon !== undefined && epsilon <= 0 && sum.from <= 0) return 0;
    else retry = { ...retry, slack: slack / 4 }; // an answer so far below the tilt's own is round-off: tilt less
  }
}

/** How a second look differs from the first. */
interface Retry {
  /** Factor on the tilt. */
  readonly slack?: number;
  readonly maxStep?: number;
}

function greatestLoss(parts: readonly LossPart[], direction: Direction): number {
  return parts.reduce((sum, { source, count }) => sum + count * source.maxLoss(direction), 0);
}

/** The composed loss near the target: tilted[i & mask] e^(logScale - tilt loss) at loss = i × step, i = from .. to. */
interface ComposedLoss {
  readonly step: number;
  readonly from: number;
  readonly to: number;
  readonly tilted: Float64Array;
  readonly tilt: number;
  readonly logScale: number;
  readonly infinity: number;
}

function compose(
  parts: readonly LossPart[],
  direction: Direction,
  target: Target,
  relativeError: number,
  retry: Retry = {},
): ComposedLoss {
  const outlined = parts.map(({ source, count }) => ({ source, count, sketch: source.sketch(direction) }));
  const cumulant = cumulantOf(outlined);
  const chosen = chooseTilt(cumulant, target);
  const tilt = chosen.tilt * (retry.slack ?? 1);
  const window = chooseWindow(cumulant, tilt);
  const total = parts.reduce((sum, { count }) => sum + count, 0);
  // Rounding adds at most step²/4 (on average step²/6) to each variance, hence count tilt² step²/12 to the exponent.
  const fine = Math.sqrt((12 * relativeError * Math.max(0.1, -chosen.logDelta)) / total) / tilt;
  const width = window.high - window.low;
  const wanted = Math.min(fine, retry.maxStep ?? fine, width / MIN_LENGTH);
  const length = Math.min(MAX_LENGTH, 2 ** Math.ceil(Math.log2(width / wanted)));
  const floored = outlined.map((part) => ({
    ...part,
    floor: negligibleBelow(part.sketch, tilt, WINDOW_EXPONENT + Math.log(total)),
  }));
  const step = alignStep(parts, direction, Math.max(width / length, widest(floored) / (4 * MAX_LENGTH)));
  return convolve({ parts: floored, direction, tilt, step, from: Math.floor(window.low / step), length });
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
  for (const { source, count, floor } of parts) {
    const grid = source.discretize(direction, step, floor);
    logFinite += count * Math.log1p(-Math.min(1, grid.infinity));
    const { re, logNorm } = tilted(grid, tilt, length);
    logScale += count * logNorm;
    const im = new Float64Array(length);
    forwardTransform(re, im, table);
    multiplyByPower(productRe, productIm, re, im, count);
  }
  inverseTransform(productRe, productIm, table);
  const to = from + length - 1;
  return { step, from, to, tilted: productRe, tilt, logScale, infinity: -Math.expm1(logFinite) };
}

/** Probabilities times e^(tilt loss), scaled to sum 1 and wrapped into `length` slots. */
function tilted(grid: LossGrid, tilt: number, length: number): { re: Float64Array; logNorm: number } {
  const { probs, low, step } = grid;
  let peak = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < probs.length; i++) {
    if (probs[i] > 0) peak = Math.max(peak, Math.log(probs[i]) + tilt * (low + i) * step);
  }
  const re = new Float64Array(length);
  let total = 0;
  for (let i = 0; i < probs.length; i++) {
    const mass = probs[i];
    if (mass <= 0) continue;
    const value = mass * Math.exp(tilt * (low + i) * step - peak);
    const slot = (low + i) & (length - 1);
    re[slot] = re[slot] + value;
    total += value;
  }
  for (let i = 0; i < length; i++) re[i] = re[i] / total;
  return { re, logNorm: Math.log(total) + peak };
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

/** Probability of the loss at grid index i. Round-off may have left -1e-17 there: 0 then, which can only raise δ. */
function probAt({ tilted, tilt, logScale, step }: ComposedLoss, i: number): number {
  const mass = tilted[i & (tilted.length - 1)];
  return mass > 0 ? Math.exp(Math.log(mass) + logScale - tilt * i * step) : 0;
}

/** Sum of p (1 - e^(epsilon - loss)) over losses above epsilon. */
function hockeyStick(sum: ComposedLoss, epsilon: number): number {
  let delta = 0;
  for (let i = sum.to; i >= sum.from; i--) {
    const loss = i * sum.step;
    if (loss <= epsilon) break;
    delta -= probAt(sum, i) * Math.expm1(epsilon - loss);
  }
  return delta;
}

/** The ε with hockeyStick(ε) = delta: between grid points δ(ε) = mass - e^ε weight, which inverts in closed form. */
function quantile(sum: ComposedLoss, delta: number): number | undefined {
  const decay = Math.exp(-sum.step);
  let mass = 0;
  let weight = 0; // Σ p e^(reference - loss), the reference moving down with the scan so that nothing overflows
  for (let i = sum.to; i >= sum.from; i--) {
    const loss = i * sum.step;
    if (mass > delta) {
      const epsilon = loss + sum.step + Math.log((mass - delta) / weight);
      if (epsilon > loss) return epsilon;
    }
    const prob = probAt(sum, i);
    weight = weight * decay + prob;
    mass += prob;
  }
  return undefined; // below the window
}

function checkParts(parts: readonly LossPart[]): LossPart[] {
  for (const { count } of parts) {
    if (!Number.isInteger(count) || count < 0) throw invalidArgument('count', 'an integer >= 0', count);
  }
  return parts.filter(({ count }) => count > 0);
}
