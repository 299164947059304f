/**
 * The two questions everyone asks: what ε does this noise give, and what noise does this ε need.
 */
import { FlError, invalidArgument } from '../../errors.js';
import { gaussianNoise } from './analytic.js';
import { LEAST_NOISE, MOST_NOISE } from './limits.js';
import { type AccountingOptions, composedEpsilon, type Release, type Spend } from './releases.js';

/** Where δ alone covers the chance of being sampled at all, any noise would do: stop there. */
const LEAST_SCALE = LEAST_NOISE;

/** `steps` Poisson-subsampled Gaussian steps at one sampling rate (left out: 1, no amplification). */
export interface GaussianRun extends AccountingOptions {
  readonly delta: number;
  readonly steps: number;
  readonly samplingRate?: number;
}

/** ε of the run at `delta`; Infinity without noise, 0 without steps. */
export function privacyEpsilon(run: GaussianRun & { readonly noiseMultiplier: number }): number {
  checkSteps(run.steps);
  if (run.steps === 0) return composedEpsilon([], run.delta, { ...run, accountant: 'pld' });
  return composedEpsilon([spendOf(run, run.noiseMultiplier)], run.delta, run);
}

/**
 * The least noise multiplier, rounded up by at most 1e-5 of itself, with which the run costs at most `epsilon`.
 *
 * Never below 0.01: a run that needs less lives off its δ. Throws `invalid-argument` for ε <= 0 or δ = 0, which no Gaussian noise reaches.
 */
export function privacyNoise(run: GaussianRun & { readonly epsilon: number }): number {
  checkSteps(run.steps);
  const { epsilon, delta, steps, samplingRate = 1, accountant = 'pld' } = run;
  if (!(epsilon > 0)) throw invalidArgument('epsilon', 'a number > 0', epsilon);
  if (!(delta > 0 && delta <= 1)) throw invalidArgument('delta', 'in (0, 1]', delta);
  if (steps === 0 || samplingRate === 0 || delta === 1) return 0;
  if (samplingRate === 1 && (accountant === 'pld' || accountant === 'analytic')) {
    return gaussianNoise({ epsilon, delta, steps });
  }
  return calibrate((noiseMultiplier) => [spendOf(run, noiseMultiplier)], { ...run, epsilon });
}

/**
 * The least scale, rounded up by at most 1e-5 of itself, at which the spends that `plan` makes of it cost at most `epsilon`.
 * `plan` must make everything cheaper as the scale grows. This calibrates mixtures, for example one histogram per run at
 * three times the noise of the steps.
 */
export function calibrate(
  plan: (scale: number) => readonly Spend[],
  goal: AccountingOptions & { readonly epsilon: number; readonly delta: number },
): number {
  const solve = (options: AccountingOptions, start: Solution, tolerance: number) =>
    solveDecreasing((scale) => composedEpsilon(plan(scale), goal.delta, options), goal.epsilon, start, tolerance);
  const { accountant = 'pld' } = goal;
  const start = { at: 1, slope: -1 };
  if (accountant !== 'pld' && accountant !== 'prv') return solve(goal, start, 1e-9).at;
  const rough = solve({ ...goal, relativeError: 3e-4 }, start, 3e-4); // an eighth of the grid finds the neighbourhood
  return solve(goal, rough, 1e-5).at;
}

/** A scale and the slope of ln cost over ln scale near it. */
interface Solution {
  readonly at: number;
  readonly slope: number;
}

function spendOf(run: GaussianRun, noiseMultiplier: number): Spend {
  const { samplingRate = 1, steps } = run;
  const release: Release = { mechanism: 'gaussian', noiseMultiplier, samplingRate };
  return { release, count: steps };
}

/**
 * Smallest x with cost(x) <= goal, at most `tolerance` of itself too large: secant steps between logarithms from `start`,
 * kept inside a bracket that always holds the answer.
 */
function solveDecreasing(cost: (scale: number) => number, goal: number, start: Solution, tolerance: number): Solution {
  const aim = Math.log(goal) - 0.4 * tolerance;
  let low = 0; // cost(low) > goal
  let high = Number.POSITIVE_INFINITY; // cost(high) <= goal
  let { at, slope } = start;
  let previous: { x: number; y: number } | undefined;
  for (let evaluations = 0; evaluations < 200; evaluations++) {
    const value = cost(at);
    if (value <= goal) high = at;
    else low = at;
    if (low >= MOST_NOISE) throw invalidArgument('epsilon', `what noise of at most ${MOST_NOISE} reaches`, goal);
    const point = { x: Math.log(at), y: Math.log(value) };
    if (value <= goal && aim - point.y < 0.6 * tolerance * Math.min(1, -slope)) return { at: high, slope };
    if (value <= goal && at <= LEAST_SCALE) return { at, slope };
    if (high - low <= tolerance * low) return { at: high, slope };
    if (previous !== undefined && point.x !== previous.x && Number.isFinite(point.y) && Number.isFinite(previous.y)) {
      slope = Math.min(-0.1, (point.y - previous.y) / (point.x - previous.x));
    }
    previous = point;
    at = nextGuess(Math.exp(point.x + clamp((aim - point.y) / slope, 1.5)), low, high);
  }
  throw new FlError('internal', `noise calibration did not settle between ${low} and ${high}`);
}

function nextGuess(guess: number, low: number, high: number): number {
  if (guess > Math.max(low, LEAST_SCALE) && guess < Math.min(high, MOST_NOISE)) return guess;
  if (high === Number.POSITIVE_INFINITY) return Math.min(4 * low, MOST_NOISE);
  return low === 0 ? Math.max(LEAST_SCALE, high / 4) : Math.sqrt(low * high);
}

const clamp = (value: number, limit: number): number =>
  Number.isNaN(value) ? limit : Math.min(limit, Math.max(-limit, value));

function checkSteps(steps: number): void {
  if (!Number.isInteger(steps) || steps < 0) throw invalidArgument('steps', 'an integer >= 0', steps);
}
