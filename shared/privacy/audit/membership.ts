/**
 * Membership inference as a test: how well a score tells those who were in from those who were not, and the ε that its error
 * rates refute. (ε, δ)-DP bounds every such test by TPR <= e^ε FPR + δ, and the same for true and false negatives (Kairouz,
 * Oh, Viswanath 2015, arXiv:1311.0776), so ε >= ln((TPR - δ) / FPR): the audit of Jagielski et al. 2020 (arXiv:2006.07709)
 * and Nasr et al. 2021 (arXiv:2101.04535), with rates at the unlucky ends of their Clopper-Pearson intervals.
 */
import { invalidArgument } from '../../errors.js';
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

export interface ThresholdAttack extends AttackCounts {
  /** Scores from here on are called members. */
  readonly threshold: number;
  readonly epsilon: number;
}

/**
 * "Member, if the score is at least t": t is chosen on every other score of each kind, for the largest ε there, and judged on
 * the rest. Same caution as {@link attackEpsilon}.
 */
export function thresholdAttack(
  members: ArrayLike<number>,
  others: ArrayLike<number>,
  options: { readonly delta: number; readonly confidence: number },
): ThresholdAttack {
  const alternate = (scores: ArrayLike<number>, first: number) => Array.from(scores).filter((_, i) => i % 2 === first);
  const [seen, seenOthers] = [alternate(members, 0), alternate(others, 0)];
  let [threshold, best] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const candidate of new Set([...seen, ...seenOthers])) {
    const epsilon = attackEpsilon(countsAt(candidate, seen, seenOthers), options);
    if (epsilon > best) [threshold, best] = [candidate, epsilon];
  }
  const counts = countsAt(threshold, alternate(members, 1), alternate(others, 1));
  return { ...counts, threshold, epsilon: attackEpsilon(counts, options) };
}

function countsAt(threshold: number, members: readonly number[], others: readonly number[]): AttackCounts {
  const called = (scores: readonly number[]) => scores.filter((score) => score >= threshold).length;
  return {
    ...{ truePositives: called(members), positives: members.length },
    ...{ falsePositives: called(others), negatives: others.length },
  };
}
