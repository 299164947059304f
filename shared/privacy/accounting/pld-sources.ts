/**
 * The privacy losses of the noises Starling uses. Each is a dominating pair for sensitivity 1 in units of the noise.
 *
 * Continuous Gaussian and Laplace: Koskela et al. 2020 (arXiv:1906.03049), Zhu, Dong, Wang 2022 for Poisson subsampling in
 * both directions. Discrete Gaussian: Canonne, Kamath, Steinke 2020. Skellam: Agarwal, Kairouz, Liu 2021. The discrete ones
 * are for a *scalar* query of integer sensitivity; for vectors use their RDP bounds, because those noises are not
 * rotation invariant and one coordinate need not be the worst case.
 */
import { invalidArgument } from '../../errors.js';
import { normalUpperTail } from './normal.js';
import { discreteSource, type LossSource, monotoneSource } from './pld-grid.js';

/** Gaussian tails beyond this many deviations hold 7.6e-24 and are counted as an infinite loss. */
const TAIL_DEVIATIONS = 10;

/** Gaussian noise of deviation noiseMultiplier × sensitivity (L2, any dimension) under Poisson sampling. */
export function gaussianLoss(options: { noiseMultiplier: number; samplingRate?: number }): LossSource {
  const { noiseMultiplier: sigma, samplingRate = 1 } = options;
  checkPositive('noiseMultiplier', sigma);
  checkRate(samplingRate);
  const variance = sigma * sigma;
  if (!(variance > 0 && Number.isFinite(1 / variance))) {
    throw invalidArgument('noiseMultiplier', 'a number whose square is one', sigma);
  }
  const tail = (z: number) => (z > 0 ? normalUpperTail(z) : -(normalUpperTail(-z) || Number.MIN_VALUE));
  return monotoneSource(
    {
      // loss = (2x - 1) / (2σ²), increasing in the outcome x
      lowestLoss: (-TAIL_DEVIATIONS * sigma - 0.5) / variance,
      highestLoss: (TAIL_DEVIATIONS * sigma + 0.5) / variance,
      bounded: false,
      tails(loss) {
        const x = variance * loss + 0.5;
        return [tail((x - 1) / sigma), tail(x / sigma)];
      },
    },
    samplingRate,
  );
}

/** Laplace noise of scale noiseMultiplier × L1 sensitivity, scalar query, under Poisson sampling. */
export function laplaceLoss(options: { noiseMultiplier: number; samplingRate?: number }): LossSource {
  const { noiseMultiplier: scale, samplingRate = 1 } = options;
  checkPositive('noiseMultiplier', scale);
  checkRate(samplingRate);
  const extreme = 1 / scale;
  return monotoneSource(
    {
      lowestLoss: -extreme,
      highestLoss: extreme,
      bounded: true,
      tails(loss) {
        if (loss < -extreme) return [-Number.MIN_VALUE, -Number.MIN_VALUE];
        if (loss >= extreme) return [0, 0];
        const x = (loss * scale + 1) / 2; // loss = (|x| - |x - 1|) / scale between the two atoms
        return [-0.5 * Math.exp((x - 1) / scale), 0.5 * Math.exp(-x / scale)];
      },
    },
    samplingRate,
  );
}

/** Discrete Gaussian noise with pmf ∝ exp(-x²/(2 noiseStdDev²)) on a scalar of integer sensitivity. */
export function discreteGaussianLoss(options: {
  noiseStdDev: number;
  sensitivity: number;
  samplingRate?: number;
}): LossSource {
  const { noiseStdDev, sensitivity, samplingRate = 1 } = options;
  checkPositive('noiseStdDev', noiseStdDev);
  const reach = Math.ceil(TAIL_DEVIATIONS * noiseStdDev) + 1;
  checkReach('noiseStdDev', reach + checkInteger(sensitivity));
  return shiftedSource(discreteGaussianPmf(noiseStdDev, reach + sensitivity), sensitivity, samplingRate);
}

/** Discrete Laplace noise with pmf ∝ exp(-|x|/noiseScale) on a scalar of integer sensitivity. */
export function discreteLaplaceLoss(options: {
  noiseScale: number;
  sensitivity: number;
  samplingRate?: number;
}): LossSource {
  const { noiseScale, sensitivity, samplingRate = 1 } = options;
  checkPositive('noiseScale', noiseScale);
  const reach = Math.ceil(53 * noiseScale) + checkInteger(sensitivity); // e^-53 = 1e-23 beyond
  checkReach('noiseScale', reach);
  const pmf = new Float64Array(2 * reach + 1);
  const peak = Math.tanh(1 / (2 * noiseScale));
  for (let x = -reach; x <= reach; x++) pmf[x + reach] = peak * Math.exp(-Math.abs(x) / noiseScale);
  return shiftedSource(pmf, sensitivity, samplingRate);
}

/** Skellam noise of the given variance (difference of two Poissons) on a scalar of integer sensitivity. */
export function skellamLoss(options: { variance: number; sensitivity: number; samplingRate?: number }): LossSource {
  const { variance, sensitivity, samplingRate = 1 } = options;
  checkPositive('variance', variance);
  const reach = skellamReach(variance);
  checkReach('variance', reach + checkInteger(sensitivity));
  return shiftedSource(skellamPmf(variance, reach + sensitivity), sensitivity, samplingRate);
}

/** Probabilities of -reach .. reach. */
export function discreteGaussianPmf(noiseStdDev: number, reach: number): Float64Array {
  const pmf = new Float64Array(2 * reach + 1);
  let total = 0;
  for (let x = -reach; x <= reach; x++) {
    const weight = Math.exp(-(x * x) / (2 * noiseStdDev * noiseStdDev));
    pmf[x + reach] = weight;
    total += weight;
  }
  return pmf.map((weight) => weight / total);
}

/** Beyond it Skellam noise holds less than 1e-22 (Gaussian core, Poisson-like tail). */
export function skellamReach(variance: number): number {
  return Math.ceil(11 * Math.sqrt(variance) + 60);
}

/**
 * Probabilities e^-μ I_|x|(μ) of -reach .. reach for variance μ, by Miller's downward recurrence
 * I_(k-1) = I_(k+1) + (2k/μ) I_k, which is stable for the modified Bessel function, normalized by the sum over x = 1.
 */
export function skellamPmf(variance: number, reach: number): Float64Array {
  const top = Math.max(reach, skellamReach(variance)) + 40;
  const bessel = new Float64Array(top + 2);
  bessel[top] = 1e-290;
  for (let k = top; k > 0; k--) {
    bessel[k - 1] = bessel[k + 1] + ((2 * k) / variance) * bessel[k];
    if (bessel[k - 1] > 1e200) for (let j = k - 1; j <= top; j++) bessel[j] = bessel[j] * 1e-250;
  }
  let total = bessel[0];
  for (let k = 1; k <= top; k++) total += 2 * bessel[k];
  const pmf = new Float64Array(2 * reach + 1);
  for (let x = -reach; x <= reach; x++) pmf[x + reach] = bessel[Math.abs(x)] / total;
  return pmf;
}

/** P1 is the noise moved up by `sensitivity`; outcomes where either side underflows are left out, hence pessimistic. */
function shiftedSource(pmf: Float64Array, sensitivity: number, samplingRate: number): LossSource {
  checkRate(samplingRate);
  const keep: number[] = [];
  for (let i = sensitivity; i < pmf.length; i++) {
    if (pmf[i] > 0 && pmf[i - sensitivity] > 0) keep.push(i);
  }
  const withRecord = Float64Array.from(keep, (i) => pmf[i - sensitivity]);
  const without = Float64Array.from(keep, (i) => pmf[i]);
  return discreteSource(withRecord, without, samplingRate);
}

function checkPositive(field: string, value: number): void {
  if (!(value > 0 && Number.isFinite(value))) throw invalidArgument(field, 'a number > 0', value);
}

function checkRate(samplingRate: number): void {
  if (!(samplingRate > 0 && samplingRate <= 1)) throw invalidArgument('samplingRate', 'in (0, 1]', samplingRate);
}

/** Outcomes to either side that a distribution is written down for. */
const MOST_REACH = 2 ** 20;

function checkReach(field: string, reach: number): void {
  if (reach <= MOST_REACH) return;
  throw invalidArgument(`${field}, sensitivity`, `at most what reaches ${MOST_REACH} integers far`, reach);
}

function checkInteger(sensitivity: number): number {
  if (!Number.isInteger(sensitivity) || sensitivity < 1) {
    throw invalidArgument('sensitivity', 'an integer >= 1', sensitivity);
  }
  return sensitivity;
}
