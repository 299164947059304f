/**
 * Membership inference as a test: how well a score tells those who were in from those who were not, and the ε that its error
 * rates refute. (ε, δ)-DP bounds every such test by TPR <= e^ε FPR + δ, and the same for true and false negatives (Kairouz,
 * Oh, Viswanath 2015, arXiv:1311.0776), so ε >= ln((TPR - δ) / FPR): the audit of Jagielski et al. 2020 (arXiv:2006.07709)
 * and Nasr et al. 2021 (arXiv:2101.04535), with rates at the unlucky ends of their Clopper-Pearson intervals.
 */
import { invalidArgument } from '../../errors.js';
import { gaussianEpsilon } from '../accounting/analytic.js';
import { normalUpperTail } from '../accounting/normal.js';
import { clopperPearson } from './binomial.js';

/** What an attack said of so many independent trials with the target in, and so many with it out. */
export interface AttackCounts {
  readonly truePositives: number;
  readonly positives: number;
  readonly falsePositives: number;
  readonly negatives: number;
}

/**
 * The ε that these error rates refute at this confidence; 0 when none. Both directions rest on the same two ends (the least
 * TPR and the most FPR), each wrong with probability (1 - confidence) / 2 at most, so the better one costs nothing.
 *
 * The trials must be independent: many runs, one target each. For many targets of one run it is an estimate;
 * `oneRunBound` is the bound.
 */
export function attackEpsilon(counts: AttackCounts, options: { delta: number; confidence: number }): number {
  const { delta, confidence } = options;
  if (!(delta >= 0 && delta < 1)) throw invalidArgument('delta', 'in [0, 1)', delta);
  const { low: tpr } = clopperPearson(counts.truePositives, counts.positives, confidence);
  const { high: fpr } = clopperPearson(counts.falsePositives, counts.negatives, confidence);
  const byPositives = Math.log((tpr - delta) / fpr);
  const byNegatives = Math.log((1 - fpr - delta) / (1 - tpr));
  return Math.max(0, ...[byPositives, byNegatives].filter((epsilon) => !Number.isNaN(epsilon)));
}

/**
 * The area under the receiver operating characteristic: the chance that a random member scores higher than a random
 * non-member, ties by half (Mann, Whitney 1947). 0.5 is guessing.
 */
export function areaUnderCurve(members: ArrayLike<number>, others: ArrayLike<number>): number {
  const all = [
    ...Array.from(members, (score) => ({ score, isMember: true })),
    ...Array.from(others, (score) => ({ score, isMember: false })),
  ].sort((a, b) => a.score - b.score);
  let below = 0; // non-members with a lower score than the current run of ties
  let wins = 0;
  for (let start = 0; start < all.length; ) {
    let end = start;
    while (end < all.length && all[end].score === all[start].score) end++;
    const tied = all.slice(start, end);
    const tiedMembers = tied.filter(({ isMember }) => isMember).length;
    const tiedOthers = tied.length - tiedMembers;
    wins += tiedMembers * (below + tiedOthers / 2);
    below += tiedOthers;
    start = end;
  }
  if (members.length === 0 || others.length === 0) throw invalidArgument('scores', 'members and others', all.length);
  return wins / (members.length * others.length);
}

/**
 * The same if the mechanism's trade-off between the two errors is that of a Gaussian (Nasr et al. 2023, arXiv:2302.07956): the
 * rates refute every μ below Φ⁻¹(TPR) - Φ⁻¹(FPR), and the ε of the next one is far closer to the accountant's than what
 * refuting a single ε allows. DP-SGD's trade-off is nearly that after many steps, so this is a tight estimate, and the other
 * is the bound that assumes nothing.
 */
export function gaussianAttackEpsilon(counts: AttackCounts, options: { delta: number; confidence: number }): number {
  const { low: tpr } = clopperPearson(counts.truePositives, counts.positives, options.confidence);
  const { high: fpr } = clopperPearson(counts.falsePositives, counts.negatives, options.confidence);
  const mu = normalUpperPoint(fpr) - normalUpperPoint(tpr);
  return mu > 0 ? gaussianEpsilon({ noiseMultiplier: 1 / mu, delta: options.delta }) : 0;
}

/** An attack that calls members by a threshold, and the least ε that its counts are compatible with. */
export interface ThresholdAttack extends AttackCounts {
  /** Scores from here on are called members. */
  readonly threshold: number;
  readonly epsilon: number;
}

/** Thresholds that are tried, at even ranks: with every score a candidate, the best of them would be a lucky one. */
const CANDIDATES = 24;

/**
 * "Member, if the score is at least t": t is chosen on every other score of each kind, for the largest ε by `judge` there,
 * and judged on the rest.
 */
export function thresholdAttack(
  members: ArrayLike<number>,
  others: ArrayLike<number>,
  judge: (counts: AttackCounts) => number,
): ThresholdAttack {
  const alternate = (scores: ArrayLike<number>, first: number) =>
    Float64Array.from(Array.from(scores).filter((_, i) => i % 2 === first)).sort();
  const [seen, seenOthers] = [alternate(members, 0), alternate(others, 0)];
  let [threshold, best] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  const all = Float64Array.from([...seen, ...seenOthers]).sort();
  const stride = Math.max(1, Math.floor(all.length / CANDIDATES));
  for (let i = 0; i < all.length; i += stride) {
    const candidate = all[i];
    const epsilon = judge(countsAt(candidate, seen, seenOthers));
    if (epsilon > best) [threshold, best] = [candidate, epsilon];
  }
  const counts = countsAt(threshold, alternate(members, 1), alternate(others, 1));
  return { ...counts, threshold, epsilon: judge(counts) };
}

function countsAt(threshold: number, members: Float64Array, others: Float64Array): AttackCounts {
  const called = (scores: Float64Array) => scores.filter((score) => score >= threshold).length;
  return {
    truePositives: called(members),
    positives: members.length,
    falsePositives: called(others),
    negatives: others.length,
  };
}

/** The x with P[N(0, 1) > x] = `tail`, by bisection; infinite for 0 and 1. */
function normalUpperPoint(tail: number): number {
  if (tail <= 0 || tail >= 1) return tail <= 0 ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  let [low, high] = [-40, 40];
  while (high - low > 1e-12) {
    const middle = (low + high) / 2;
    if (normalUpperTail(middle) > tail) low = middle;
    else high = middle;
  }
  return low;
}
