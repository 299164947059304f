/**
 * What one use of the data may be, and what a list of such uses costs together in (ε, δ).
 *
 * A release is plain data (it goes into charges, ledgers and configurations); this file turns it into the RDP curve or the privacy
 * loss distribution that the accountants compose. `noiseMultiplier` is noiseStdDev / clipping bound, with the neighbour
 * relation "one record (or one client) more or less". The unit, example or client, is the caller's: see docs/privacy.md.
 */
import { FlError, invalidArgument } from '../../errors.js';
import { gaussianDelta, gaussianEpsilon } from './analytic.js';
import { type LossPart, pldDelta, pldEpsilon } from './pld.js';
import { discreteGaussianLoss, discreteLaplaceLoss, gaussianLoss, laplaceLoss, skellamLoss } from './pld-sources.js';
import { composeRdp, DEFAULT_RDP_ORDERS, rdpGaussian, rdpLaplace, rdpToDelta, rdpToEpsilon, rdpZcdp } from './rdp.js';
import { rdpSkellam } from './rdp-lattice.js';
import { type FractionalOrders, rdpSubsampledGaussian } from './rdp-subsampled.js';

/**
 * `samplingRate` < 1 claims amplification by Poisson sampling, and is only true if who was sampled stays secret and each
 * record was drawn independently. Left out, it is 1: no amplification.
 */
export type Release =
  | { readonly mechanism: 'gaussian'; readonly noiseMultiplier: number; readonly samplingRate?: number }
  | { readonly mechanism: 'laplace'; readonly noiseMultiplier: number; readonly samplingRate?: number }
  /** Scalar query of integer sensitivity. */
  | { readonly mechanism: 'discrete-gaussian'; readonly noiseStdDev: number; readonly sensitivity: number }
  | { readonly mechanism: 'discrete-laplace'; readonly noiseScale: number; readonly sensitivity: number }
  | { readonly mechanism: 'skellam'; readonly variance: number; readonly sensitivity: number }
  /** Integer vector; L1 and L2 sensitivities in the same integer units as the noise. RDP only. */
  | { readonly mechanism: 'skellam-vector'; readonly variance: number; readonly l1: number; readonly l2: number }
  /** Anything that satisfies ρ-zCDP, among it sums of discrete Gaussians. RDP only. */
  | { readonly mechanism: 'zcdp'; readonly rho: number };

/** A release, and how often it was made. */
export interface Spend {
  readonly release: Release;
  readonly count: number;
}

/**
 * `pld` is tight and the default; `rdp` is fast, covers vectors of discrete noise, and is a little larger; `analytic` is
 * exact for Gaussians without sampling; `prv` is `pld` plus the error margins that the PRV accountants of Opacus and
 * Microsoft report (ε + 0.01 at δ - δ/1000), for comparison with theirs.
 */
export type Accountant = 'pld' | 'rdp' | 'analytic' | 'prv';

/** How the cost of releases is computed; every choice gives an upper bound. */
export interface AccountingOptions {
  readonly accountant?: Accountant;
  /** RDP only; default {@link DEFAULT_RDP_ORDERS}. */
  readonly orders?: readonly number[];
  /** RDP only; see {@link rdpSubsampledGaussian}. */
  readonly fractionalOrders?: FractionalOrders;
  /** PLD only: by how much of ε the grid may round up; default 5e-6. Larger is faster and still a guarantee. */
  readonly relativeError?: number;
}

/** The ε of all spends together at `delta`. Infinity if there is no finite one. */
export function composedEpsilon(spends: readonly Spend[], delta: number, options: AccountingOptions = {}): number {
  checkSpends(spends, delta);
  switch (options.accountant ?? 'pld') {
    case 'pld':
      return pldEpsilonOf(spends, delta, options.relativeError);
    case 'prv':
      return pldEpsilonOf(spends, delta * (1 - 1e-3), options.relativeError) + 0.01;
    case 'rdp': {
      const orders = options.orders ?? DEFAULT_RDP_ORDERS;
      return rdpToEpsilon(orders, composedRdp(spends, orders, options.fractionalOrders), delta).epsilon;
    }
    case 'analytic':
      return gaussianEpsilon({ noiseMultiplier: pureGaussianNoise(spends), delta });
  }
}

/** The δ of all spends together at `epsilon`. */
export function composedDelta(spends: readonly Spend[], epsilon: number, options: AccountingOptions = {}): number {
  checkSpends(spends, 0);
  switch (options.accountant ?? 'pld') {
    case 'pld':
      return pldDeltaOf(spends, epsilon, options.relativeError);
    case 'prv':
      return Math.min(1, pldDeltaOf(spends, Math.max(0, epsilon - 0.01), options.relativeError) * (1 + 1e-3));
    case 'rdp': {
      const orders = options.orders ?? DEFAULT_RDP_ORDERS;
      return rdpToDelta(orders, composedRdp(spends, orders, options.fractionalOrders), epsilon);
    }
    case 'analytic':
      return gaussianDelta({ noiseMultiplier: pureGaussianNoise(spends), epsilon });
  }
}

/** The RDP curve of all spends over `orders`. */
export function composedRdp(
  spends: readonly Spend[],
  orders: readonly number[],
  fractionalOrders: FractionalOrders = 'exact',
): number[] {
  return composeRdp(
    mergeSpends(spends).map(({ release, count }) => ({
      rdp: orders.map((order) => rdpOf(release, order, fractionalOrders)),
      count,
    })),
    orders.length,
  );
}

/** Equal releases as one spend: a run of a thousand equal rounds then costs one evaluation. */
export function mergeSpends(spends: readonly Spend[]): Spend[] {
  const merged = new Map<string, Spend>();
  for (const { release, count } of spends) {
    const key = JSON.stringify(release);
    merged.set(key, { release, count: count + (merged.get(key)?.count ?? 0) });
  }
  return [...merged.values()];
}

/** D_order of one release. */
export function rdpOf(release: Release, order: number, fractionalOrders: FractionalOrders = 'exact'): number {
  switch (release.mechanism) {
    case 'gaussian':
      return rdpSubsampledGaussian({ samplingRate: 1, ...release, order, fractionalOrders });
    case 'laplace':
      if (samplingRateOf(release) !== 1) throw needsPld('Poisson-subsampled Laplace noise');
      return rdpLaplace(release.noiseMultiplier, order);
    case 'discrete-gaussian': // Canonne, Kamath, Steinke 2020, Proposition 5: as the continuous one
      return rdpGaussian(release.noiseStdDev / release.sensitivity, order);
    case 'discrete-laplace':
      throw needsPld('discrete Laplace noise');
    case 'skellam':
      return rdpSkellam({ variance: release.variance, l1: release.sensitivity, l2: release.sensitivity, order });
    case 'skellam-vector':
      return rdpSkellam({ ...release, order });
    case 'zcdp':
      return rdpZcdp(release.rho, order);
  }
}

function pldEpsilonOf(spends: readonly Spend[], delta: number, relativeError?: number): number {
  if (spends.some(isNoiseless)) return Number.POSITIVE_INFINITY;
  if (spends.every(isPlainGaussian)) return gaussianEpsilon({ noiseMultiplier: pureGaussianNoise(spends), delta });
  return pldEpsilon(lossParts(spends), delta, relativeError);
}

function pldDeltaOf(spends: readonly Spend[], epsilon: number, relativeError?: number): number {
  if (spends.some(isNoiseless)) return 1;
  if (spends.every(isPlainGaussian)) return gaussianDelta({ noiseMultiplier: pureGaussianNoise(spends), epsilon });
  return pldDelta(lossParts(spends), epsilon, relativeError);
}

/** One part per distinct mechanism; all unsampled Gaussians are one Gaussian, since their 1/σ² add. */
export function lossParts(spends: readonly Spend[]): LossPart[] {
  const parts: LossPart[] = [];
  let plainPrecision = 0;
  for (const { release, count } of mergeSpends(spends)) {
    if (count === 0 || samplingRateOf(release) === 0) continue;
    if (release.mechanism === 'gaussian' && samplingRateOf(release) === 1) {
      plainPrecision += count / release.noiseMultiplier ** 2;
    } else parts.push({ source: lossOf(release), count });
  }
  if (plainPrecision > 0) parts.push({ source: gaussianLoss({ noiseMultiplier: plainPrecision ** -0.5 }), count: 1 });
  return parts;
}

function lossOf(release: Release) {
  switch (release.mechanism) {
    case 'gaussian':
      return gaussianLoss(release);
    case 'laplace':
      return laplaceLoss(release);
    case 'discrete-gaussian':
      return discreteGaussianLoss(release);
    case 'discrete-laplace':
      return discreteLaplaceLoss(release);
    case 'skellam':
      return skellamLoss(release);
    case 'skellam-vector':
    case 'zcdp':
      throw new FlError('invalid-argument', `accountant: expected rdp for mechanism ${release.mechanism}, got pld`);
  }
}

const samplingRateOf = (release: Release): number => ('samplingRate' in release ? (release.samplingRate ?? 1) : 1);

const isPlainGaussian = ({ release, count }: Spend): boolean =>
  count === 0 || (release.mechanism === 'gaussian' && (samplingRateOf(release) === 1 || samplingRateOf(release) === 0));

const isNoiseless = ({ release, count }: Spend): boolean =>
  count > 0 && release.mechanism === 'gaussian' && samplingRateOf(release) > 0 && release.noiseMultiplier === 0;

/** The one noise multiplier that equals all of these Gaussians: 1/σ² = Σ count/σ_i². Infinity for none. */
function pureGaussianNoise(spends: readonly Spend[]): number {
  let precision = 0;
  for (const spend of spends) {
    if (!isPlainGaussian(spend)) {
      throw new FlError(
        'invalid-argument',
        'accountant: expected pld or rdp for subsampled or other noise, got analytic',
      );
    }
    const { release, count } = spend;
    if (count > 0 && release.mechanism === 'gaussian' && samplingRateOf(release) === 1) {
      precision += count / release.noiseMultiplier ** 2;
    }
  }
  return precision ** -0.5;
}

function needsPld(what: string): FlError {
  return new FlError('invalid-argument', `accountant: expected pld for ${what}, got rdp`);
}

function checkSpends(spends: readonly Spend[], delta: number): void {
  if (!(delta >= 0 && delta <= 1)) throw invalidArgument('delta', 'a probability', delta);
  for (const { release, count } of spends) {
    if (!Number.isInteger(count) || count < 0) throw invalidArgument('count', 'an integer >= 0', count);
    const rate = samplingRateOf(release);
    if (!(rate >= 0 && rate <= 1)) throw invalidArgument('samplingRate', 'a probability', rate);
    if ('noiseMultiplier' in release && !(release.noiseMultiplier >= 0)) {
      throw invalidArgument('noiseMultiplier', 'a number >= 0', release.noiseMultiplier);
    }
  }
}
