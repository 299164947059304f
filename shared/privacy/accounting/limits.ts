/**
 * What a release may be for its cost to be worth a figure, refused by name before anything is computed. Outside of these
 * bounds noise is a slip of the pen or an attack: below the least noise one step costs an ε of thousands, and the work of
 * an accountant that sums over the noise grows as 1/σ².
 */
import { invalidArgument } from '../../errors.js';
import type { Release, Spend } from './releases.js';

/** Noise multipliers that are accounted for, 0 (no noise, ε infinite) aside. */
export const LEAST_NOISE = 0.01;
export const MOST_NOISE = 1e6;
/** Sampling rates, 0 (never) aside: one in a thousand million. */
export const LEAST_RATE = 1e-9;
/** Steps of one kind; what a spectrum raised to this power loses to round-off is 1e-6 of it. */
export const MOST_STEPS = 1e9;

const MECHANISMS: Readonly<Record<Release['mechanism'], true>> = {
  ...{ gaussian: true, laplace: true, 'discrete-gaussian': true, 'discrete-laplace': true },
  ...{ skellam: true, 'skellam-vector': true, zcdp: true },
};

/** @throws FlError invalid-argument naming the field of a release that is none, and what it has to be */
export function checkSpends(spends: readonly Spend[]): void {
  for (const { release, count } of spends) {
    if (!Number.isInteger(count) || count < 0) throw invalidArgument('count', 'an integer >= 0', count);
    if (count > MOST_STEPS) throw invalidArgument('count', `at most ${MOST_STEPS} steps`, count);
    checkRelease(release);
  }
}

function checkRelease(release: Release): void {
  switch (release?.mechanism) {
    case 'gaussian':
    case 'laplace':
      checkRate(release.samplingRate ?? 1);
      return checkNoise(release.noiseMultiplier);
    case 'discrete-gaussian':
      return checkScalar('noiseStdDev', release.noiseStdDev, release.sensitivity);
    case 'discrete-laplace':
      return checkScalar('noiseScale', release.noiseScale, release.sensitivity);
    case 'skellam':
      checkPositive('variance', release.variance);
      return checkScalar('sqrt(variance)', Math.sqrt(release.variance), release.sensitivity);
    case 'skellam-vector':
      checkPositive('variance', release.variance);
      checkNotNegative('l2', release.l2);
      checkNotNegative('l1', release.l1);
      if (release.l1 < release.l2) throw invalidArgument('l1', `a number >= l2 = ${release.l2}`, release.l1);
      return;
    case 'zcdp':
      return checkNotNegative('rho', release.rho);
    default: // what was read from a file or a wire may be anything
      throw invalidArgument('mechanism', `one of ${Object.keys(MECHANISMS).join(', ')}`, nameOf(release));
  }
}

/** @throws FlError invalid-argument: a noise multiplier that nobody can have meant */
export function checkNoise(noiseMultiplier: number, field = 'noiseMultiplier'): void {
  if (!(noiseMultiplier >= 0)) throw invalidArgument(field, 'a number >= 0', noiseMultiplier);
  if (noiseMultiplier > 0 && noiseMultiplier < LEAST_NOISE) {
    throw invalidArgument(field, `at least ${LEAST_NOISE}`, noiseMultiplier);
  }
  if (noiseMultiplier > MOST_NOISE) throw invalidArgument(field, `at most ${MOST_NOISE}`, noiseMultiplier);
}

/** @throws FlError invalid-argument: no probability, or one that no data set is large enough for */
export function checkRate(samplingRate: number, field = 'samplingRate'): void {
  if (!(samplingRate >= 0 && samplingRate <= 1)) throw invalidArgument(field, 'a probability', samplingRate);
  if (samplingRate > 0 && samplingRate < LEAST_RATE) {
    throw invalidArgument(field, `at least ${LEAST_RATE}`, samplingRate);
  }
}

/** Noise on the integers against a sensitivity in the same integers. */
function checkScalar(field: string, noise: number, sensitivity: number): void {
  checkPositive(field, noise);
  if (!(Number.isInteger(sensitivity) && sensitivity >= 1)) {
    throw invalidArgument('sensitivity', 'an integer >= 1', sensitivity);
  }
  checkNoise(noise / sensitivity, `${field} / sensitivity`);
}

function checkPositive(field: string, value: number): void {
  if (!(value > 0 && Number.isFinite(value))) throw invalidArgument(field, 'a number > 0', value);
}

/** @throws FlError invalid-argument: negative, infinite or no number */
export function checkNotNegative(field: string, value: number): void {
  if (!(value >= 0 && Number.isFinite(value))) throw invalidArgument(field, 'a number >= 0', value);
}

function nameOf(release: unknown): unknown {
  return (release as { mechanism?: unknown } | null)?.mechanism;
}
