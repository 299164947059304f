/**
 * Minimisation by limited-memory BFGS: the two-loop recursion of Nocedal and Wright, Numerical Optimization (2nd edition),
 * Algorithm 7.4, with a backtracking line search (their Algorithm 3.1). It is what attacks on gradients use: a smooth
 * function of some thousand unknowns, to be brought to zero in a few hundred evaluations.
 */

/** A value and its gradient, a fresh array of the length of `x`. */
type Objective = (x: Float32Array) => Promise<{ value: number; gradient: Float32Array }>;

interface LbfgsOptions {
  readonly iterations: number;
  /** Pairs of step and change of gradient that are remembered. */
  readonly history?: number;
}

interface Pair {
  readonly step: Float32Array;
  readonly change: Float32Array;
  /** 1 / (step · change) */
  readonly rho: number;
}

/** Part of the predicted decrease that a step must reach (Armijo). */
const SUFFICIENT = 1e-4;
const HALVINGS_MAX = 14;

/** The best point found, after `iterations` steps or when no step along the gradient goes further down. */
export async function minimise(
  objective: Objective,
  start: Float32Array,
  { iterations, history = 20 }: LbfgsOptions,
): Promise<Float32Array> {
  let x = start;
  let here = await objective(x);
  let pairs: Pair[] = [];
  for (let iteration = 0; iteration < iterations; iteration++) {
    const direction = descentDirection(here.gradient, pairs);
    const next = await lineSearch(objective, x, here, direction);
    if (next === undefined) {
      if (pairs.length === 0) return x;
      pairs = []; // the remembered curvature misleads: start again from the gradient
      continue;
    }
    const step = subtract(next.x, x);
    const change = subtract(next.gradient, here.gradient);
    const curvature = dot(step, change);
    if (curvature > 1e-12 * dot(change, change))
      pairs = [...pairs, { step, change, rho: 1 / curvature }].slice(-history);
    x = next.x;
    here = next;
  }
  return x;
}

/** −H · gradient, where H is the inverse Hessian that the pairs imply. */
function descentDirection(gradient: Float32Array, pairs: readonly Pair[]): Float32Array {
  const direction = gradient.map((value) => -value);
  const weights: number[] = [];
  for (let i = pairs.length - 1; i >= 0; i--) {
    weights[i] = pairs[i].rho * dot(pairs[i].step, direction);
    addScaled(direction, pairs[i].change, -weights[i]);
  }
  const last = pairs.at(-1);
  // Without curvature: a first step of length 1.
  const scale = last === undefined ? 1 / norm(gradient) : 1 / (last.rho * dot(last.change, last.change));
  for (let k = 0; k < direction.length; k++) direction[k] *= scale;
  for (const [i, { step, change, rho }] of pairs.entries()) {
    addScaled(direction, step, weights[i] - rho * dot(change, direction));
  }
  return direction;
}

async function lineSearch(
  objective: Objective,
  x: Float32Array,
  here: { readonly value: number; readonly gradient: Float32Array },
  direction: Float32Array,
): Promise<{ x: Float32Array; value: number; gradient: Float32Array } | undefined> {
  const slope = dot(here.gradient, direction);
  if (!(slope < 0)) return undefined;
  for (let halvings = 0, length = 1; halvings < HALVINGS_MAX; halvings++, length /= 2) {
    const candidate = x.slice();
    addScaled(candidate, direction, length);
    const there = await objective(candidate);
    if (there.value <= here.value + SUFFICIENT * length * slope) return { x: candidate, ...there };
  }
  return undefined;
}

function addScaled(target: Float32Array, vector: Float32Array, factor: number): void {
  for (let k = 0; k < target.length; k++) target[k] += factor * vector[k];
}

function subtract(a: Float32Array, b: Float32Array): Float32Array {
  return a.map((value, k) => value - b[k]);
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let k = 0; k < a.length; k++) sum += a[k] * b[k];
  return sum;
}

function norm(vector: Float32Array): number {
  return Math.sqrt(dot(vector, vector));
}
