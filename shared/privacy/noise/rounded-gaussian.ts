/**
 * Gaussian noise without floating-point noise (Mironov 2012, "On significance of the least significant bits for differential
 * privacy"): a vector is put on a lattice of spacing g, and an integer multiple of g is added whose distribution is that of
 * a continuous normal variable rounded to the lattice.
 *
 * For x on the lattice, round(x + N) = x + round(N): what is released is the continuous Gaussian mechanism on the rounded
 * vector, and then a rounding that looks at nothing else. So every accountant of the continuous mechanism holds as it is;
 * no accountant of discrete noise is needed. The price is sensitivity: putting two neighbouring vectors of d entries on the
 * lattice moves them apart by at most g·√d (g/2 per entry and vector). {@link planGaussianNoise} pays it with more noise.
 */
import { invalidArgument } from '../../errors.js';
import type { Rng } from '../../rng.js';
import { noiseKernel } from './kernel.js';
import { rationalFromNumber } from './rational.js';
import {
  discreteGaussianError,
  discreteGaussianTable,
  gaussianDensities,
  MAX_STD_DEV,
  type NoiseTable,
  ONE,
  PRECISION,
  tableFromHalf,
} from './table.js';

/** The least deviation of a table: below it the series of a cell converges too slowly. */
const MIN_STD_DEV = 1;

/**
 * Table of round(N), N normal with deviation `noiseStdDev` (the exact value of the double): P(k) is the normal mass of
 * [k − 1/2, k + 1/2]. Its error is counted as for the other tables; the weights themselves are off by less than 2^-120.
 */
export function roundedGaussianTable(noiseStdDev: number): NoiseTable {
  if (!(noiseStdDev >= MIN_STD_DEV && noiseStdDev <= MAX_STD_DEV)) {
    throw invalidArgument('noiseStdDev', `a deviation in ${MIN_STD_DEV} .. ${MAX_STD_DEV}`, noiseStdDev);
  }
  const { numerator: n, denominator: d } = rationalFromNumber(noiseStdDev);
  const coefficients = cellCoefficients({ numerator: d * d, denominator: n * n });
  const weights = gaussianDensities(noiseStdDev).map(
    (density, k) => (density * horner(coefficients, BigInt(k) * BigInt(k))) >> PRECISION,
  );
  return tableFromHalf(weights, noiseStdDev * noiseStdDev + 1 / 12); // Sheppard: exact to e^(-2π²σ²)
}

/**
 * The mass of a cell over the density at its centre, with h = 1/σ²:
 *
 *     ∫ from −1/2 to 1/2 of e^(-k u h) e^(-u² h / 2) du = Σ_i C_i (k²)^i,
 *     C_i = h^(2i) / ((2i)! 4^i) · Σ_r (−1)^r h^r / (r! 8^r (2i + 2r + 1))
 *
 * since odd powers of u vanish. Fixed point, lowest power first; a coefficient that is 0 there contributes less than 2^-110
 * at the ends of the table, where the density is another 2^-98.
 */
function cellCoefficients(h: { numerator: bigint; denominator: bigint }): bigint[] {
  const times = (x: bigint) => (x * h.numerator) / h.denominator;
  const coefficients: bigint[] = [];
  let power = ONE; // h^(2i) / ((2i)! 4^i)
  for (let i = 0n; power > 0n; i++) {
    let sum = 0n;
    let term = power; // (−1)^r h^r / (r! 8^r)
    for (let r = 0n; term !== 0n; r++) {
      sum += term / (2n * (i + r) + 1n);
      term = -times(term) / (8n * (r + 1n));
    }
    coefficients.push(sum);
    power = times(times(power)) / (4n * (2n * i + 1n) * (2n * i + 2n));
  }
  return coefficients;
}

function horner(coefficients: readonly bigint[], x: bigint): bigint {
  let sum = 0n;
  for (let i = coefficients.length - 1; i >= 0; i--) sum = sum * x + coefficients[i];
  return sum;
}

/** Above this deviation two small tables are faster than one that no cache holds, and are made sooner. */
const ONE_TABLE_UP_TO = 1024;
/** Deviation of the fine part over the step of the coarse one. */
const FINE_OVER_STEP = 2.5;
/** What 12 deviations reach stays within 32 bits. */
const MAX_NOISE_STD_DEV = 2 ** 26;

/**
 * The same distribution for any deviation up to 2^26: one table, or k·A + B with A a discrete Gaussian of deviation a, B a
 * rounded one of deviation b = 2.5 k, and k²a² + b² = noiseStdDev². For the normal density φ,
 *
 *     Σ_i φ(i / a) φ((x − k i) / b) = φ(x / noiseStdDev) · Σ_i φ((i − c_x) / τ),   1/τ² = 1/a² + k²/b²
 *
 * and the last sum, over a lattice that is fine for τ, is constant up to a relative 2 e^(-2π²τ²) (Poisson summation): with
 * a > 20, less than 2^-170. So B's cell gets the mass that the whole normal variable has there.
 */
export function roundedGaussianNoise(noiseStdDev: number): NoiseTable {
  if (!(noiseStdDev >= MIN_STD_DEV && noiseStdDev <= MAX_NOISE_STD_DEV)) {
    throw invalidArgument('noiseStdDev', `a deviation in ${MIN_STD_DEV} .. ${MAX_NOISE_STD_DEV}`, noiseStdDev);
  }
  if (noiseStdDev <= ONE_TABLE_UP_TO) return roundedGaussianTable(noiseStdDev);
  const { step, coarseStdDev, fineStdDev } = splitOf(noiseStdDev);
  const coarse = discreteGaussianTable(coarseStdDev);
  const fine = roundedGaussianTable(fineStdDev);
  const addTo: NoiseTable['addTo'] = (out, rng, factor = 1) => {
    coarse.addTo(out, rng, factor * step);
    fine.addTo(out, rng, factor);
  };
  return {
    statisticalError: coarse.statisticalError + fine.statisticalError + SPLIT_ERROR,
    variance: noiseStdDev * noiseStdDev + 1 / 12,
    addTo,
    fill(out, rng) {
      out.fill(0);
      addTo(out, rng);
    },
  };
}

/** What {@link roundedGaussianNoise} will say of its error, without making a table. */
export function roundedGaussianError(noiseStdDev: number): number {
  if (noiseStdDev <= ONE_TABLE_UP_TO) return discreteGaussianError(noiseStdDev);
  const { coarseStdDev, fineStdDev } = splitOf(noiseStdDev);
  return discreteGaussianError(coarseStdDev) + discreteGaussianError(fineStdDev) + SPLIT_ERROR;
}

/** Of the sum over a lattice that is taken as constant, with room. */
const SPLIT_ERROR = 2 ** -160;

function splitOf(noiseStdDev: number): { step: number; coarseStdDev: number; fineStdDev: number } {
  const step = Math.round(Math.sqrt(noiseStdDev / FINE_OVER_STEP)); // both tables about equally large
  const fineStdDev = FINE_OVER_STEP * step;
  return { step, coarseStdDev: Math.sqrt(noiseStdDev ** 2 - fineStdDev ** 2) / step, fineStdDev };
}

/** How a vector is put on a lattice and noised. */
export interface GaussianPlan {
  /** g: released values are integer multiples of it. */
  readonly granularity: number;
  /** Deviation of the noise in units of g; in those of the vector it is this times `granularity`. */
  readonly latticeStdDev: number;
  /** By how much larger the noise is than noiseMultiplier × sensitivity, for the sake of the lattice. */
  readonly inflation: number;
}

/** The lattice is made so fine that it costs this much more noise. */
const INFLATION = 0.001;

/**
 * The lattice for vectors of `dimension` entries that move by at most `sensitivity` (L2) between neighbours, such that the
 * noise has deviation noiseMultiplier × (sensitivity + g·√dimension).
 */
export function planGaussianNoise(options: {
  readonly sensitivity: number;
  readonly noiseMultiplier: number;
  readonly dimension: number;
}): GaussianPlan {
  const { sensitivity, noiseMultiplier, dimension } = options;
  if (!(sensitivity > 0 && Number.isFinite(sensitivity)))
    throw invalidArgument('sensitivity', 'a number > 0', sensitivity);
  const rounding = noiseMultiplier * Math.sqrt(dimension);
  const latticeStdDev = Math.max(ONE_TABLE_UP_TO, Math.ceil(rounding * (1 + 1 / INFLATION)));
  if (!(noiseMultiplier > 0 && latticeStdDev <= MAX_NOISE_STD_DEV)) {
    const most = MAX_NOISE_STD_DEV / (1 + 1 / INFLATION) / Math.sqrt(dimension);
    throw invalidArgument('noiseMultiplier', `a number > 0 and <= ${most.toPrecision(3)}`, noiseMultiplier);
  }
  // s g = z (S + g √d)  =>  g = z S / (s − z √d), and the noise is larger by s / (s − z √d)
  const granularity = (noiseMultiplier * sensitivity) / (latticeStdDev - rounding);
  return { granularity, latticeStdDev, inflation: latticeStdDev / (latticeStdDev - rounding) };
}

/** Where a noisy vector comes from. */
export interface LatticeNoise {
  readonly plan: GaussianPlan;
  /** Of the plan's deviation: `roundedGaussianNoise(plan.latticeStdDev)`. */
  readonly table: NoiseTable;
}

/**
 * Puts `sum` on the plan's lattice, adds noise and divides by `divisor`, which must not depend on the data beyond what is
 * public. Overwrites and returns `out`, by default a new vector.
 */
export function noisyMean(
  sum: Float64Array,
  { plan: { granularity }, table }: LatticeNoise,
  divisor: number,
  rng: Rng,
  out: Float32Array = new Float32Array(sum.length),
): Float32Array {
  const kernel = noiseKernel(sum.length);
  const noise = kernel?.vector(sum.length) ?? new Int32Array(sum.length);
  table.fill(noise, rng);
  if (kernel === undefined) plainMean(sum, noise, { granularity, divisor, out });
  else kernel.mean(sum, noise, { granularity, divisor, out });
  noise.fill(0); // a kept vector must not tell the noise
  return out;
}

/** ((nearest lattice point + noise) · granularity) / divisor into `out`: the reference of the kernel's `mean`. */
export function plainMean(
  sum: Float64Array,
  noise: Int32Array,
  { granularity, divisor, out }: { granularity: number; divisor: number; out: Float32Array },
): void {
  for (let i = 0; i < sum.length; i++) {
    const point = Math.floor(sum[i] / granularity + 0.5) + noise[i];
    out[i] = (point * granularity) / divisor;
  }
}
