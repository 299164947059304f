/**
 * A lower bound on ε from one training run (Steinke, Nasr, Jagielski 2023, arXiv:2305.08846).
 *
 * m canaries are each in the data or not, by a fair coin of its own. The auditor looks at what the run released, guesses for
 * r of them whether they were in, and abstains on the others. If the run is (ε, δ)-DP with respect to one canary, then
 *
 *     P[at least v right] <= β + 2 m δ α,   β = P[W >= v],   α = max over i in 1..v of P[v > W >= v - i] / i
 *
 * with W = Binomial(r, e^ε / (1 + e^ε)) (Corollary 5.4 there): r times the accuracy of ε-DP randomized response. The bound
 * is the largest ε at which what was seen is still that improbable. It holds for any guesser, however it came to its guesses.
 */
import { invalidArgument } from '../../errors.js';
import { binomialUpperTail, logBinomialMass } from './binomial.js';

/** What an auditor guessed of canaries, each put in by a coin. */
export interface Guesses {
  /** m: canaries whose coin was thrown, whether guessed or not. */
  readonly canaries: number;
  /** r */
  readonly guesses: number;
  /** v */
  readonly correct: number;
  readonly delta: number;
}

/** How probable so many right guesses are at the most, if the run is (epsilon, delta)-DP. At most 1. */
export function oneRunPValue({ canaries, guesses, correct, delta, epsilon }: Guesses & { epsilon: number }): number {
  checkGuesses({ canaries, guesses, correct, delta });
  const accuracy = 1 / (1 + Math.exp(-epsilon));
  const beta = binomialUpperTail(correct, guesses, accuracy);
  if (delta === 0 || correct === 0) return beta;
  return Math.min(1, beta + 2 * canaries * delta * slack(correct, guesses, accuracy));
}

/**
 * The ε that is refuted: no (ε, delta)-DP run would show this with probability 1 - confidence or more. 0 when nothing is.
 * Rounded down by 1e-9 at most.
 */
export function oneRunEpsilon({ confidence, ...seen }: Guesses & { readonly confidence: number }): number {
  if (!(confidence > 0 && confidence < 1)) throw invalidArgument('confidence', 'in (0, 1)', confidence);
  const isRefuted = (epsilon: number) => oneRunPValue({ ...seen, epsilon }) < 1 - confidence;
  if (!isRefuted(0)) return 0;
  let low = 0;
  let high = 1;
  while (isRefuted(high)) [low, high] = [high, 2 * high];
  while (high - low > 1e-9) {
    const middle = (low + high) / 2;
    if (isRefuted(middle)) low = middle;
    else high = middle;
  }
  return low;
}

/** Scores and coins, by canary; `confidence` in (0, 1) is that of the bound. */
export interface ScoredCanaries {
  /** Higher for canaries that look as if they were in. */
  readonly scores: ArrayLike<number>;
  /** The coins. */
  readonly included: ArrayLike<boolean>;
  readonly delta: number;
  readonly confidence: number;
}

/** The least ε that the best number of guesses proves, and these guesses. */
export interface OneRunBound {
  readonly epsilon: number;
  readonly guesses: number;
  readonly correct: number;
}

/** Parts of the canaries that are guessed; a few are enough, and each costs a share of the error probability. */
const GUESSED = [1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2, 1];

/**
 * Guesses "in" for the highest scores and "out" for as many of the lowest, at six numbers of guesses; the best bound of
 * them, each taken at a sixth of the error probability so that choosing afterwards is paid for (Bonferroni).
 */
export function oneRunBound({ scores, included, delta, confidence }: ScoredCanaries): OneRunBound {
  const canaries = scores.length;
  if (included.length !== canaries) throw invalidArgument('included', `${canaries} coins`, included.length);
  const order = Array.from({ length: canaries }, (_, i) => i).sort((a, b) => scores[b] - scores[a] || a - b);
  const each = 1 - (1 - confidence) / GUESSED.length;
  let best: OneRunBound = { epsilon: 0, guesses: 0, correct: 0 };
  for (const part of GUESSED) {
    const half = Math.floor((part * canaries) / 2);
    if (half === 0) continue;
    const inside = order.slice(0, half).filter((canary) => included[canary]).length;
    const outside = order.slice(-half).filter((canary) => !included[canary]).length;
    const guesses = 2 * half;
    const correct = inside + outside;
    const epsilon = oneRunEpsilon({ canaries, guesses, correct, delta, confidence: each });
    if (epsilon > best.epsilon || best.guesses === 0) best = { epsilon, guesses, correct };
  }
  return best;
}

/** α of the header: masses of W just below v, taken together from the top. */
function slack(correct: number, guesses: number, accuracy: number): number {
  const logOdds = Math.log1p(-accuracy) - Math.log(accuracy);
  let logMass = logBinomialMass(correct - 1, guesses, accuracy);
  let sum = 0;
  let most = 0;
  for (let i = 1; i <= correct; i++) {
    sum += Math.exp(logMass);
    most = Math.max(most, sum / i);
    const k = correct - i; // the mass at k - 1 from that at k
    logMass += Math.log(k / (guesses - k + 1)) + logOdds;
  }
  return most;
}

function checkGuesses({ canaries, guesses, correct, delta }: Guesses): void {
  const ordered = 0 <= correct && correct <= guesses && guesses <= canaries;
  if (![canaries, guesses, correct].every(Number.isSafeInteger) || !ordered) {
    throw invalidArgument(
      'guesses',
      'integers 0 <= correct <= guesses <= canaries',
      `${correct}, ${guesses}, ${canaries}`,
    );
  }
  if (!(delta >= 0 && delta < 1)) throw invalidArgument('delta', 'in [0, 1)', delta);
}
