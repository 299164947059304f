/**
 * ε and δ of a composition of privacy losses: the two questions that a composed loss (pld-compose.ts) answers, within work
 * that is bounded by the length and the number of grids, whatever was asked.
 */
import { FlError, invalidArgument } from '../../errors.js';
import { type ComposedLoss, compose, type LossPart, type Retry, type Work } from './pld-compose.js';
import { DIRECTIONS, type Direction } from './pld-grid.js';

export type { LossPart } from './pld-compose.js';

const DEFAULT_RELATIVE_ERROR = 5e-6;
/** The grid step is at most this share of ε. */
const GRID_PER_EPSILON = 4e-4;
/** Tilted round-off of 1e-16 is below 1e-7 of the answer while the untilting factor exceeds δ by less than e^20. */
const TRUSTED_EXPONENT = 20;
const MAX_LENGTH = 2 ** 20;

/**
 * The smallest ε >= 0 (rounded up) at which the composition is (ε, delta)-DP in both directions.
 * @throws FlError resource-exhausted: no grid holds the composition, which takes some ten million steps
 */
export function pldEpsilon(parts: readonly LossPart[], delta: number, relativeError = DEFAULT_RELATIVE_ERROR): number {
  return gridEpsilon(parts, delta, relativeError) ?? beyondGrids();
}

/**
 * An upper bound, tight to about 5e-6 of ε, on the δ of the composition at `epsilon`, over both directions.
 * @throws FlError resource-exhausted, as {@link pldEpsilon}
 */
export function pldDelta(parts: readonly LossPart[], epsilon: number, relativeError = DEFAULT_RELATIVE_ERROR): number {
  return gridDelta(parts, epsilon, relativeError) ?? beyondGrids();
}

function beyondGrids(): never {
  throw new FlError(
    'resource-exhausted',
    'privacy losses: expected a composition that a grid holds, got too many steps',
  );
}

/** As {@link pldEpsilon}; undefined where no grid holds the composition. */
export function gridEpsilon(
  parts: readonly LossPart[],
  delta: number,
  relativeError = DEFAULT_RELATIVE_ERROR,
): number | undefined {
  if (!(delta >= 0 && delta <= 1)) throw invalidArgument('delta', 'a probability', delta);
  const running = checkParts(parts);
  if (running.length === 0 || delta === 1) return 0;
  const work = allowance(relativeError);
  const remove = epsilonOneWay(running, 'remove', delta, work);
  if (remove === undefined) return undefined;
  // Usually removing a record shows more than adding one, and a rough upper bound on the other δ is enough to say so.
  const rough = { ...work, relativeError: 100 * relativeError };
  if ((deltaOneWay(running, 'add', remove, rough) ?? 1) <= delta) return remove;
  const add = epsilonOneWay(running, 'add', delta, work);
  return add === undefined ? undefined : Math.max(remove, add);
}

/** As {@link pldDelta}; undefined where no grid holds the composition. */
export function gridDelta(
  parts: readonly LossPart[],
  epsilon: number,
  relativeError = DEFAULT_RELATIVE_ERROR,
): number | undefined {
  if (!(epsilon >= 0)) throw invalidArgument('epsilon', 'a number >= 0', epsilon);
  const running = checkParts(parts);
  if (running.length === 0) return 0;
  const deltas = DIRECTIONS.map((direction) => deltaOneWay(running, direction, epsilon, allowance(relativeError)));
  return deltas.reduce((most, delta) =>
    most === undefined || delta === undefined ? undefined : Math.max(most, delta),
  );
}

/** Whoever is content with a thousandth has a plan priced, by a stranger perhaps, and waits for it. */
function allowance(relativeError: number): Work {
  const isRough = relativeError >= 1e-3;
  return { relativeError, maxLength: isRough ? MAX_LENGTH / 4 : MAX_LENGTH, maxTries: isRough ? 5 : 24 };
}

function deltaOneWay(
  parts: readonly LossPart[],
  direction: Direction,
  epsilon: number,
  work: Work,
): number | undefined {
  if (greatestLoss(parts, direction) <= epsilon) return 0;
  const sum = compose(parts, direction, { epsilon }, work);
  return sum && Math.min(1, sum.infinity + hockeyStick(sum, epsilon));
}

function epsilonOneWay(
  parts: readonly LossPart[],
  direction: Direction,
  delta: number,
  work: Work,
): number | undefined {
  const greatest = greatestLoss(parts, direction);
  if (delta === 0) return greatest;
  const resolution = GRID_PER_EPSILON * Math.sqrt(work.relativeError / DEFAULT_RELATIVE_ERROR);
  let retry: Retry = {};
  for (let tries = 0; tries < work.maxTries; tries++) {
    const sum = compose(parts, direction, { delta }, work, retry);
    if (sum === undefined) return undefined;
    const rest = delta - sum.infinity;
    if (rest <= 0) return greatest;
    const epsilon = quantile(sum, rest);
    const { slack = 1 } = retry;
    const inBulk = epsilon !== undefined && sum.logScale - sum.tilt * epsilon < Math.log(delta) + TRUSTED_EXPONENT;
    if (inBulk || slack < 1e-12) {
      const answer = Math.min(greatest, Math.max(0, epsilon ?? 0));
      const coarse = answer > 0 && sum.step > 1.01 * resolution * answer && sum.to - sum.from + 1 < work.maxLength;
      if (!coarse || retry.maxStep !== undefined) return answer;
      retry = { slack, maxStep: resolution * answer }; // far below its Chernoff bound, ε needs a finer grid
    } else if (epsilon !== undefined && epsilon <= 0 && sum.from <= 0) return 0;
    else retry = { ...retry, slack: slack / 4 }; // an answer so far below the tilt's own is round-off: tilt less
  }
  return undefined;
}

function greatestLoss(parts: readonly LossPart[], direction: Direction): number {
  return parts.reduce((sum, { source, count }) => sum + count * source.maxLoss(direction), 0);
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
