/**
 * DP-FTRL: noise that is correlated over rounds in place of noise that is amplified by sampling, for runs in which clients come
 * when they can and sampling is neither secret nor Poisson.
 *
 * Tree aggregation: Kairouz et al. 2021 (arXiv:2103.00039), after Dwork et al. 2010. Banded factorization: Choquette-Choo et
 * al. 2023 (arXiv:2306.08153), with the Toeplitz square root of the prefix-sum matrix (Fichtenberger, Henzinger, Upadhyay 2023)
 * cut to `bands`. Both protect the whole sequence of prefix sums as one release; the accountant is `rdp`.
 */
import { invalidArgument } from '../../errors.js';
import type { Rng } from '../../rng.js';
import { checkNoise } from '../accounting/limits.js';
import type { Spend } from '../accounting/releases.js';
import type { NoiseTable } from '../noise/table.js';

/** How often one client may take part: at most `most` times, consecutive ones at least `separation` rounds apart. */
export interface Participation {
  readonly most: number;
  readonly separation: number;
}

/**
 * Noise of the prefix sum after `step` rounds (1-based): the sum over the nodes of the binary expansion of `step`. Every node
 * draws from its own label of `rng`, so the function is pure and a coordinator that restarts finds the same noise again.
 */
export function treePrefixNoise(options: { step: number; length: number; node: NoiseTable; rng: Rng }): Int32Array {
  const { step, length, node, rng } = options;
  if (!Number.isInteger(step) || step < 0) throw invalidArgument('step', 'an integer >= 0', step);
  const noise = new Int32Array(length);
  let covered = 0;
  for (let level = 31 - Math.clz32(step); level >= 0; level--) {
    const span = 2 ** level;
    if (covered + span > step) continue;
    node.addTo(noise, rng.split(`tree/${level}/${covered / span}`));
    covered += span;
  }
  return noise;
}

/**
 * What a tree over `steps` rounds costs. A client's update of norm 1 enters one node per level and participation; nodes of span
 * 2^l hold at most min(most, ceil(2^l / separation)) of its participations, so the squared L2 sensitivity over all nodes is at
 * most Σ_l most × that. `noiseMultiplier` = node deviation / clipping bound.
 */
export function treeSpend(options: { steps: number; noiseMultiplier: number; participation: Participation }): Spend {
  const { steps, noiseMultiplier, participation } = options;
  checkParticipation(participation);
  if (!Number.isInteger(steps) || steps < 0) throw invalidArgument('steps', 'an integer >= 0', steps);
  const { most, separation } = participation;
  const levels = Math.ceil(Math.log2(steps + 1));
  let squared = 0;
  for (let level = 0; level < levels; level++) squared += most * Math.min(most, Math.ceil(2 ** level / separation));
  return releaseOf(noiseMultiplier, Math.sqrt(squared));
}

/** First `bands` coefficients of (1 - x)^(-1/2): 1, 1/2, 3/8, 5/16, ...; as a Toeplitz matrix its square is the prefix sum. */
export function bandedCoefficients(bands: number): Float64Array {
  if (!Number.isInteger(bands) || bands < 1) throw invalidArgument('bands', 'an integer >= 1', bands);
  const coefficients = new Float64Array(bands);
  coefficients[0] = 1;
  for (let k = 1; k < bands; k++) coefficients[k] = coefficients[k - 1] * (1 - 0.5 / k);
  return coefficients;
}

/**
 * The next row of C^-1 z for the banded C: y_t = z_t - Σ_(0<j<bands) c_j y_(t-j), c_0 = 1. `recent` holds y_(t-1), y_(t-2), ...,
 * newest first, at most bands - 1 of them; the caller keeps the result in front. Adding y_t to round t's sum releases C^-1 (C x +
 * z), which is post-processing of C x + z.
 */
export function correlatedNoise(
  fresh: Float64Array,
  recent: readonly Float64Array[],
  coefficients: Float64Array,
): Float64Array {
  const out = fresh.slice();
  for (let j = 1; j < coefficients.length && j <= recent.length; j++) {
    const past = recent[j - 1];
    if (past.length !== out.length) throw invalidArgument('recent', `${out.length} entries each`, past.length);
    const weight = coefficients[j];
    for (let i = 0; i < out.length; i++) out[i] = out[i] - weight * past[i];
  }
  return out;
}

/**
 * What the banded mechanism costs. Participations at least `bands` apart touch columns of C with disjoint support, hence
 * orthogonal: the squared sensitivity is most × Σ c_j². Throws if they may come closer.
 */
export function bandedSpend(options: { bands: number; noiseMultiplier: number; participation: Participation }): Spend {
  const { bands, noiseMultiplier, participation } = options;
  checkParticipation(participation);
  if (participation.most > 1 && participation.separation < bands) {
    throw invalidArgument('separation', `at least ${bands} rounds, the number of bands`, participation.separation);
  }
  const column = bandedCoefficients(bands).reduce((sum, c) => sum + c * c, 0);
  return releaseOf(noiseMultiplier, Math.sqrt(participation.most * column));
}

/** ρ = 1/(2 z²): holds for continuous noise and, in any dimension, for discrete Gaussian noise. */
function releaseOf(noiseMultiplier: number, sensitivity: number): Spend {
  checkNoise(noiseMultiplier);
  const own = noiseMultiplier / sensitivity;
  return { release: { mechanism: 'zcdp', rho: 1 / (2 * own * own) }, count: 1 };
}

function checkParticipation({ most, separation }: Participation): void {
  if (!Number.isInteger(most) || most < 1) throw invalidArgument('participation.most', 'an integer >= 1', most);
  if (!Number.isInteger(separation) || separation < 1) {
    throw invalidArgument('participation.separation', 'an integer >= 1', separation);
  }
}
