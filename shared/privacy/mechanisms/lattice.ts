/**
 * Privacy on the integer lattice, one way for three places to add the noise:
 * - `distributed`: every client adds a share inside the masked sum; nobody sees less noise than the whole.
 * - `central`: the coordinator adds all of it to the integer sum; it must be trusted with the sum.
 * - `local`: every client adds all of it for itself; nobody need be trusted, and the error is sqrt(survivors) larger.
 *
 * Steps on a client (Kairouz, Liu, Steinke 2021; Agarwal, Kairouz, Liu 2021): clip to C -> rotate (optional) -> divide by the
 * granularity -> round conditionally -> add integer noise -> ring. Integer noise, because floating-point noise leaks through its
 * low bits (Mironov 2012).
 *
 * Sensitivity: neighbours differ in one client's vector, there or zero; the integer sum moves by that client's rounded vector,
 * whose L2 norm conditional rounding keeps at most `integerNorm`. The other clients' rounding and noise are independent of it.
 *
 * Drop-outs: shares are drawn before anyone knows who will drop out, so each is sized for the least survivor set that clients
 * sign, less those assumed to collude (they know and can subtract their own shares). More survivors only add independent
 * noise, which is post-processing.
 */
import { invalidArgument } from '../../errors.js';
import type { Rng } from '../../rng.js';
import { discreteGaussianSumRho } from '../accounting/rdp-lattice.js';
import type { Release } from '../accounting/releases.js';
import { discreteGaussianTable, MAX_STD_DEV, type NoiseTable, skellamTable } from '../noise/table.js';
import { clip } from './clip.js';
import { rotate, rotatedLength, unrotate } from './hadamard.js';
import { roundConditionally, roundedNormBound } from './rounding.js';

/** What has to be known before vectors are rounded to integers and noised. */
export interface LatticeOptions {
  readonly place: 'distributed' | 'central' | 'local';
  readonly noise: 'discrete-gaussian' | 'skellam';
  /** Entries of the update. */
  readonly length: number;
  readonly vectorNorm: number;
  /** Deviation of all noise that protects one client / the norm its update is clipped to. */
  readonly noiseMultiplier: number;
  /** A clipped coordinate uses integers up to 2^(valueBits-1) - 1; default the most, up to 16, that ring and table hold. */
  readonly valueBits?: number;
  /** Fewest survivors with which a client lets the sum be opened. */
  readonly leastSurvivors: number;
  /** Most clients in a sum: sizes the ring. */
  readonly mostSurvivors: number;
  /** Fraction of the least survivors that may pool what they know; default 0. */
  readonly colludingFraction?: number;
  readonly ringBits?: number;
  readonly rotation?: boolean;
}

/** What follows: granularity, sizes and noise, equal on all clients. */
export interface NoiseLattice extends Required<LatticeOptions> {
  /** Entries on the wire: `length`, or the next power of two under rotation. */
  readonly ringLength: number;
  /** Model units of one integer step. */
  readonly granularity: number;
  /** L2 norm that no rounded vector exceeds: the integer sensitivity. */
  readonly integerNorm: number;
  /** Variance, in integer steps, of each share: per client, or of the coordinator's one. */
  readonly shareVariance: number;
  /** Independent shares that certainly protect each client. */
  readonly certainShares: number;
  /** What one round costs; compose with accountant `rdp`. */
  readonly release: Release;
}

/** Works out the integer sizes; throws if noise and values cannot fit the ring, or a share is too narrow to be accounted. */
export function latticeOf(options: LatticeOptions): NoiseLattice {
  checkOptions(options);
  if (options.valueBits !== undefined) return latticeWith(options, options.valueBits);
  for (let valueBits = 16; valueBits >= LEAST_BITS; valueBits--) {
    if (problemOf(options, sizesOf(options, valueBits)) === undefined) return latticeWith(options, valueBits);
  }
  const sizes = sizesOf(options, LEAST_BITS);
  const { noiseMultiplier, mostSurvivors } = options;
  const most = (MAX_STD_DEV / Math.sqrt(sizes.shareVariance)) * noiseMultiplier;
  if (most >= noiseMultiplier)
    throw invalidArgument('mostSurvivors', 'fewer, for their sum leaves its ring', mostSurvivors);
  const expected = `at most ${Number(most.toPrecision(3))} for ${options.length} numbers, whose noise leaves its table`;
  throw invalidArgument('noiseMultiplier', expected, noiseMultiplier);
}

function latticeWith(options: LatticeOptions, valueBits: number): NoiseLattice {
  const sizes = sizesOf(options, valueBits);
  const problem = problemOf(options, sizes);
  if (problem !== undefined) throw invalidArgument('valueBits', problem, valueBits);
  const { colludingFraction = 0, ringBits = 32, rotation = false } = options;
  const { scaledNorm, ...kept } = sizes;
  const granularity = options.vectorNorm / scaledNorm;
  const release = releaseOf(options, sizes);
  return { ...options, valueBits, colludingFraction, ringBits, rotation, ...kept, granularity, release };
}

/** Fewer hold no update worth its noise. */
const LEAST_BITS = 4;

interface Sizes {
  readonly scaledNorm: number;
  readonly ringLength: number;
  readonly integerNorm: number;
  readonly certainShares: number;
  readonly shareVariance: number;
}

function sizesOf(options: LatticeOptions, valueBits: number): Sizes {
  const { place, length, leastSurvivors, colludingFraction = 0, rotation = false, noiseMultiplier } = options;
  const scaledNorm = 2 ** (valueBits - 1) - 1;
  const ringLength = rotation ? rotatedLength(length) : length;
  const integerNorm = roundedNormBound({ scaledNorm, dimension: ringLength });
  const certainShares = place === 'distributed' ? Math.floor(leastSurvivors * (1 - colludingFraction) + 1e-9) : 1;
  const shareVariance = (noiseMultiplier * integerNorm) ** 2 / certainShares;
  return { scaledNorm, ringLength, integerNorm, certainShares, shareVariance };
}

/** What these sizes break, as the expectation of an error message. */
function problemOf({ place, mostSurvivors, ringBits = 32 }: LatticeOptions, sizes: Sizes): string | undefined {
  const shareStdDev = Math.sqrt(sizes.shareVariance);
  if (shareStdDev > MAX_STD_DEV)
    return `few enough that a noise share has deviation <= ${MAX_STD_DEV}, not ${shareStdDev}`;
  const shares = place === 'central' ? 1 : mostSurvivors;
  const reach = mostSurvivors * (sizes.scaledNorm + 1) + 8 * Math.sqrt(shares) * shareStdDev;
  if (reach >= 2 ** (ringBits - 1)) return `few enough that sum and noise stay below 2^${ringBits - 1}, not ${reach}`;
  return undefined;
}

function checkOptions(options: LatticeOptions): void {
  const { vectorNorm, noiseMultiplier, leastSurvivors, mostSurvivors, colludingFraction = 0 } = options;
  if (!(vectorNorm > 0)) throw invalidArgument('vectorNorm', 'a number > 0', vectorNorm);
  if (!(noiseMultiplier > 0)) throw invalidArgument('noiseMultiplier', 'a number > 0', noiseMultiplier);
  if (!(leastSurvivors >= 1 && leastSurvivors <= mostSurvivors)) {
    throw invalidArgument('leastSurvivors', `1 .. ${mostSurvivors}`, leastSurvivors);
  }
  if (!(colludingFraction >= 0 && leastSurvivors * (1 - colludingFraction) >= 1)) {
    throw invalidArgument('colludingFraction', 'a fraction that leaves an honest survivor', colludingFraction);
  }
}

/** The lattice's noise share as a table, built once per run. */
export function noiseShare(lattice: NoiseLattice): NoiseTable {
  return lattice.noise === 'skellam'
    ? skellamTable(lattice.shareVariance)
    : discreteGaussianTable(Math.sqrt(lattice.shareVariance));
}

/**
 * A client's message before masking: clipped, rotated, rounded and, unless the coordinator adds it, noised; modulo 2^32.
 * `signs` is public and common to the round; `rng` is the client's own secret.
 */
export function encodeUpdate(
  update: Float32Array,
  lattice: NoiseLattice,
  random: { readonly signs: Rng; readonly rng: Rng; readonly share: NoiseTable },
): Int32Array {
  if (update.length !== lattice.length) throw invalidArgument('update', `${lattice.length} entries`, update.length);
  const clipped = clip(update, { bound: lattice.vectorNorm }).vector;
  const spread = lattice.rotation ? rotate(clipped, random.signs) : Float64Array.from(clipped);
  // the transform's round-off may lengthen by 1e-15 of itself; the rounded norm is what is enforced
  const scaled = spread.map((value) => value / lattice.granularity);
  const rounded = roundConditionally(scaled, lattice.integerNorm, random.rng.split('rounding'));
  if (lattice.place !== 'central') random.share.addTo(rounded, random.rng.split('noise'));
  return rounded;
}

/** The coordinator's side of `central`: its noise on the integer sum, in place of the clients'. Returns a new vector. */
export function addCentralNoise(sum: Int32Array, lattice: NoiseLattice, share: NoiseTable, rng: Rng): Int32Array {
  if (lattice.place !== 'central') throw invalidArgument('lattice.place', 'central', lattice.place);
  const out = sum.slice();
  share.addTo(out, rng.split('noise'));
  return out;
}

/** The noisy sum of clipped updates in model units, from the ring sum of encoded ones (read as signed integers). */
export function decodeSum(sum: Int32Array, lattice: NoiseLattice, signs: Rng): Float32Array {
  if (sum.length !== lattice.ringLength) throw invalidArgument('sum', `${lattice.ringLength} entries`, sum.length);
  const values = Float64Array.from(sum, (step) => step * lattice.granularity);
  return Float32Array.from(lattice.rotation ? unrotate(values, signs, lattice.length) : values);
}

/**
 * Locally the message alone must hide the update among all others, so the two vectors may differ by twice the norm. Centrally
 * and distributed the neighbour is a zero in place of the vector.
 */
function releaseOf({ noise, place }: LatticeOptions, sizes: Sizes): Release {
  const { shareVariance, certainShares, integerNorm, ringLength } = sizes;
  const l2 = place === 'local' ? 2 * integerNorm : integerNorm;
  if (noise === 'skellam') {
    // For an integer vector |x| <= x² entry by entry, so L1 <= L2²; and L1 <= sqrt(d) L2 always.
    const l1 = Math.max(l2, Math.min(l2 * l2, Math.sqrt(ringLength) * l2));
    return { mechanism: 'skellam-vector', variance: certainShares * shareVariance, l1, l2 };
  }
  const noiseStdDev = Math.sqrt(shareVariance);
  const rho = discreteGaussianSumRho({ noiseStdDev, terms: certainShares, dimension: ringLength, l2 });
  return { mechanism: 'zcdp', rho };
}
