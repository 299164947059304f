/**
 * Tails of the binomial distribution and what they say of its parameter, through the regularized incomplete beta function
 * I_x(a, b): P[Binomial(n, p) >= k] = I_p(k, n - k + 1) (DLMF 8.17.5). Relative accuracy about 1e-11 up to a million trials.
 */
import { invalidArgument } from '../../errors.js';

/** P[Binomial(trials, probability) >= least]. */
export function binomialUpperTail(least: number, trials: number, probability: number): number {
  checkCounts(trials, Math.max(0, least));
  if (least <= 0) return 1;
  return incompleteBeta(least, trials - least + 1, probability);
}

/** ln P[Binomial(trials, probability) = successes]; -Infinity where that is impossible. */
export function logBinomialMass(successes: number, trials: number, probability: number): number {
  checkCounts(trials, successes);
  const ways = logGamma(trials + 1) - logGamma(successes + 1) - logGamma(trials - successes + 1);
  return ways + times(successes, Math.log(probability)) + times(trials - successes, Math.log1p(-probability));
}

/** Of a probability, both ends within [0, 1]. */
export interface Interval {
  readonly low: number;
  readonly high: number;
}

/**
 * The interval of Clopper and Pearson (Biometrika 26, 1934) for a probability of which `successes` of `trials` were seen:
 * each end is wrong with probability (1 - confidence) / 2 at most, whatever the true value.
 */
export function clopperPearson(successes: number, trials: number, confidence: number): Interval {
  checkCounts(trials, successes);
  if (!(confidence > 0 && confidence < 1)) throw invalidArgument('confidence', 'in (0, 1)', confidence);
  const tail = (1 - confidence) / 2;
  return {
    low: successes === 0 ? 0 : inverseIncompleteBeta(successes, trials - successes + 1, tail),
    // By symmetry I_x(a, b) = 1 - I_(1-x)(b, a), which keeps the digits of a small tail.
    high: successes === trials ? 1 : 1 - inverseIncompleteBeta(trials - successes, successes + 1, tail),
  };
}

/** I_x(a, b) for a, b > 0 and x in [0, 1]. */
export function incompleteBeta(a: number, b: number, x: number): number {
  if (!(a > 0 && b > 0)) throw invalidArgument('a, b', 'numbers > 0', `${a}, ${b}`);
  if (!(x >= 0 && x <= 1)) throw invalidArgument('x', 'in [0, 1]', x);
  if (x === 0 || x === 1) return x;
  // The continued fraction converges fast below the mean of the distribution only.
  if (x > (a + 1) / (a + b + 2)) return 1 - leftTail(b, a, 1 - x);
  return leftTail(a, b, x);
}

/** The x in [0, 1] with I_x(a, b) = `probability`, by bisection down to neighbouring doubles. */
export function inverseIncompleteBeta(a: number, b: number, probability: number): number {
  if (!(probability >= 0 && probability <= 1)) throw invalidArgument('probability', 'in [0, 1]', probability);
  let low = 0;
  let high = 1;
  for (;;) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) return low;
    if (incompleteBeta(a, b, middle) < probability) low = middle;
    else high = middle;
  }
}

/** ln Γ(x) for x > 0: Stirling's series (DLMF 5.11.1) above 10, where six terms are enough, and the recurrence below. */
export function logGamma(x: number): number {
  if (!(x > 0)) throw invalidArgument('x', 'a number > 0', x);
  if (x < 10) return logGamma(x + 1) - Math.log(x);
  const inverse = 1 / (x * x);
  const series = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360];
  const correction = series.reduceRight((sum, coefficient) => sum * inverse + coefficient, 0) / x;
  return (x - 0.5) * Math.log(x) - x + 0.5 * Math.log(2 * Math.PI) + correction;
}

/** I_x(a, b) by the continued fraction DLMF 8.17.22, evaluated by the modified Lentz method. */
function leftTail(a: number, b: number, x: number): number {
  const logFront = logGamma(a + b) - logGamma(a) - logGamma(b) + a * Math.log(x) + b * Math.log1p(-x);
  let c = 1;
  let d = 1 / away(1 - ((a + b) * x) / (a + 1));
  let fraction = d;
  for (let m = 1; m <= ITERATIONS_MAX; m++) {
    const even = (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m));
    const odd = (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1));
    let factor = 1;
    for (const term of [even, odd]) {
      d = 1 / away(1 + term * d);
      c = away(1 + term / c);
      factor = c * d;
      fraction *= factor;
    }
    if (Math.abs(factor - 1) < 1e-15) break;
  }
  return (Math.exp(logFront) * fraction) / a;
}

/** The fraction needs some multiple of the root of max(a, b). */
const ITERATIONS_MAX = 100_000;

/** Not quite zero, as Lentz's method asks of its denominators. */
function away(value: number): number {
  return Math.abs(value) < 1e-300 ? 1e-300 : value;
}

/** count · ln p, with 0 · -Infinity = 0. */
function times(count: number, logProbability: number): number {
  return count === 0 ? 0 : count * logProbability;
}

function checkCounts(trials: number, successes: number): void {
  if (!Number.isSafeInteger(trials) || trials < 0) throw invalidArgument('trials', 'an integer >= 0', trials);
  if (!Number.isSafeInteger(successes) || successes < 0 || successes > trials) {
    throw invalidArgument('successes', `an integer from 0 to ${trials}`, successes);
  }
}
