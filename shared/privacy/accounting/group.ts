/**
 * What a guarantee for one unit says of several together (Dwork, Roth 2014, The Algorithmic Foundations of Differential
 * Privacy, Theorem 2.2, with the δ of Vadhan 2017, The Complexity of Differential Privacy, Lemma 2.2): k steps from one
 * neighbour to the next, each with a factor e^ε on what went wrong before.
 */
import { invalidArgument } from '../../errors.js';

/** (k ε, k e^((k-1) ε) δ) for a group of `size` = k units; a δ of 1 promises nothing. */
export function groupPrivacy(options: { epsilon: number; delta: number; size: number }): {
  readonly epsilon: number;
  readonly delta: number;
} {
  const { epsilon, delta, size } = options;
  if (!(epsilon >= 0)) throw invalidArgument('epsilon', 'a number >= 0', epsilon);
  if (!(delta >= 0 && delta <= 1)) throw invalidArgument('delta', 'a probability', delta);
  if (!Number.isInteger(size) || size < 1) throw invalidArgument('size', 'an integer >= 1', size);
  const grown = delta === 0 ? 0 : size * Math.exp((size - 1) * epsilon) * delta; // 0 × ∞ is not 0
  return { epsilon: size * epsilon, delta: Math.min(1, grown) };
}
