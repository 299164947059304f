/**
 * What one use of the data may be, and what a list of such uses costs together in (ε, δ).
 *
 * A release is plain data (it goes into charges, ledgers and configurations); this file turns it into the RDP curve or the privacy
 * loss distribution that the accountants compose. `noiseMultiplier` is noiseStdDev / clipping bound, with the neighbour
 * relation "one record (or one client) more or less". The unit, example or client, is the caller's: see docs/privacy.md.
 */
import { FlError, invalidArgument } from '../../errors.js';
import { gaussianDelta, gaussianEpsilon } from './analytic.js';
import { checkSpends } from './limits.js';
import { gridDelta, gridEpsilon, type LossPart } from './pld.js';
import { curveLoss } from './pld-curve.js';
import type { LossSource } from './pld-grid.js';
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

/** {@link AccountingOptions.relativeError} of a price that is asked for often: ten times cheaper, and still too large if anything. */
export const PRICE_ERROR = 1e-3;

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
  checkDelta(delta);
  checkSpends(spends);
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
  checkSpends(spends);
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
    mergeSpends(spends).map(({ release, count }) => ({ rdp: curveOf(release, orders, fractionalOrders), count })),
    orders.length,
  );
}

const curves = new Map<string, readonly number[]>();
const MOST_CURVES = 4096;

function curveOf(release: Release, orders: readonly number[], fractionalOrders: FractionalOrders): readonly number[] {
  const make = () => orders.map((order) => rdpOf(release, order, fractionalOrders));
  if (orders !== DEFAULT_RDP_ORDERS) return make();
  return remembered(curves, `${fractionalOrders} ${JSON.stringify(release)}`, MOST_CURVES, make);
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

/** Within bounded work: a composition that no grid holds, of steps beyond some ten million, is bounded by Rényi divergence. */
function pldEpsilonOf(spends: readonly Spend[], delta: number, relativeError?: number): number {
  if (spends.some(isNoiseless)) return Number.POSITIVE_INFINITY;
  if (spends.every(isPlainGaussian)) return gaussianEpsilon({ noiseMultiplier: pureGaussianNoise(spends), delta });
  const renyi = () => rdpToEpsilon(DEFAULT_RDP_ORDERS, boundingCurve(spends), delta).epsilon;
  if (spends.every(isCurveOnly)) return renyi(); // which the curve's own distribution could only round up
  const epsilon = gridEpsilon(lossParts(spends), delta, relativeError);
  if (epsilon !== undefined && (Number.isFinite(epsilon) || delta === 0)) return epsilon;
  if (!spends.every(isGaussian)) return renyi();
  return Math.min(renyi(), gaussianEpsilon({ noiseMultiplier: pureGaussianNoise(spends.map(unsampled)), delta }));
}

function pldDeltaOf(spends: readonly Spend[], epsilon: number, relativeError?: number): number {
  if (spends.some(isNoiseless)) return 1;
  if (spends.every(isPlainGaussian)) return gaussianDelta({ noiseMultiplier: pureGaussianNoise(spends), epsilon });
  const renyi = () => rdpToDelta(DEFAULT_RDP_ORDERS, boundingCurve(spends), epsilon);
  if (spends.every(isCurveOnly)) return renyi();
  return gridDelta(lossParts(spends), epsilon, relativeError) ?? renyi();
}

/** Of spends of which some may have no curve of their own: without sampling they have one, and never cost less. */
function boundingCurve(spends: readonly Spend[]): number[] {
  return composedRdp(
    spends.map((spend) => (hasCurve(spend.release) ? spend : unsampled(spend))),
    DEFAULT_RDP_ORDERS,
  );
}

/**
 * So many mechanisms have a distribution of their own in a composition. Later ones are added up by Rényi divergence, so that
 * whoever makes a client sign a thousand different plans does not make each next one cost a thousand transforms.
 */
const MOST_PARTS = 16;

/**
 * One part per distinct mechanism, in the order of their first spend; all unsampled Gaussians are one Gaussian, since their
 * 1/σ² add; and all that only has a Rényi curve, or comes after {@link MOST_PARTS} others, is one curve.
 */
export function lossParts(spends: readonly Spend[]): LossPart[] {
  const parts: LossPart[] = [];
  const curves: Spend[] = [];
  let plainPrecision = 0;
  for (const spend of mergeSpends(spends)) {
    const { release, count } = spend;
    if (count === 0 || samplingRateOf(release) === 0) continue;
    if (release.mechanism === 'gaussian' && samplingRateOf(release) === 1) {
      plainPrecision += count / release.noiseMultiplier ** 2;
    } else if (isCurveOnly(spend) || (parts.length >= MOST_PARTS && hasCurve(release))) curves.push(spend);
    else parts.push({ source: sourceOf(release), count });
  }
  if (plainPrecision > 0) parts.push({ source: gaussianLoss({ noiseMultiplier: plainPrecision ** -0.5 }), count: 1 });
  const rdp = composedRdp(curves, DEFAULT_RDP_ORDERS);
  if (rdp.some((divergence) => divergence > 0)) parts.push({ source: curveLoss(DEFAULT_RDP_ORDERS, rdp), count: 1 });
  return parts;
}

/** Memos: each value depends on its key alone. */
const sources = new Map<string, LossSource>();
const MOST_SOURCES = 64;

function sourceOf(release: Release): LossSource {
  return remembered(sources, JSON.stringify(release), MOST_SOURCES, () => lossOf(release));
}

function remembered<T>(memo: Map<string, T>, key: string, most: number, make: () => T): T {
  let value = memo.get(key);
  if (value === undefined) {
    value = make();
    if (memo.size >= most) memo.delete(memo.keys().next().value!);
    memo.set(key, value);
  }
  return value;
}

function lossOf(release: Release): LossSource {
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
      throw new FlError('internal', `mechanism ${release.mechanism} has no loss distribution of its own`);
  }
}

/** Whether only Rényi divergences of it are known. */
const isCurveOnly = ({ release, count }: Spend): boolean =>
  count === 0 || release.mechanism === 'zcdp' || release.mechanism === 'skellam-vector';

/** Whether Rényi divergences of it are known. */
const hasCurve = (release: Release): boolean =>
  release.mechanism !== 'discrete-laplace' && !(release.mechanism === 'laplace' && samplingRateOf(release) < 1);

const samplingRateOf = (release: Release): number => ('samplingRate' in release ? (release.samplingRate ?? 1) : 1);

const isPlainGaussian = ({ release, count }: Spend): boolean =>
  count === 0 || (release.mechanism === 'gaussian' && (samplingRateOf(release) === 1 || samplingRateOf(release) === 0));

const isGaussian = ({ release, count }: Spend): boolean => count === 0 || release.mechanism === 'gaussian';

/** Never cheaper: what is released from a sample is a mixture of what is released with the record and without. */
const unsampled = ({ release, count }: Spend): Spend =>
  'samplingRate' in release && samplingRateOf(release) > 0
    ? { release: { ...release, samplingRate: 1 }, count }
    : { release, count };

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

function checkDelta(delta: number): void {
  if (!(delta >= 0 && delta <= 1)) throw invalidArgument('delta', 'a probability', delta);
}
