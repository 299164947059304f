/**
 * Whether one more sum would give a coordinator, by subtraction, what no sum alone may: two sums over one model whose
 * survivors differ by k labs differ by the signed sum of these k labs' vectors, exactly, and k = 1 is one lab's update.
 *
 * The rule. A client that has signed survivors E for a vector of one kind (training, evaluation) of one base model signs
 * survivors P for that kind and model only if P = E or |E Δ P| >= `min-difference`, for each such E that it remembers;
 * and for |E Δ P| to be known at all, this home's key in one of them must be in the other (below). Both sums noised, and
 * charged for, is the exception: their difference is noised too, and paid for.
 *
 * What it stops. To open a sum, shares of an honest survivor's seed must be had from t = `threshold` neighbours; as more
 * than the corrupt, one of them is honest, and has seen t signatures besides its own. Where all n of a roster are neighbours
 * and c of them corrupt, t + 1 >= (n + c) / 2 + 1 (graph.ts). If E and P (of rosters n and m) differ by d labs, all who
 * signed are among (n + m + d) / 2 at most, hence at least 2 - d / 2 honest ones signed both: one, for every d <= 3. That
 * one declines, so two sums that differ by up to three labs never both open, whatever is said of attempts, runs, rounds and
 * learning rates. In a larger cohort t of k neighbours of each of |E| survivors signed, counting pairs at least |E| t / k
 * in all, and t / k is well above half. Any other d below `min-difference` is stopped by each honest lab that signed before.
 *
 * By the base model alone, not by what is trained from it with which settings: updates of one lab from one model under
 * two learning rates are nearly multiples of each other. What is remembered is what was *signed*: before its signature a
 * client's vector is in no sum that it agreed to, and after a crash an attempt that never came so far costs nothing.
 *
 * By keys, not names: a coordinator chooses names. Another coordinator knows the same labs by other keys (each membership
 * makes its own), so sets of two memberships share nothing and might yet be the same labs: not comparable, hence declined.
 *
 * What it cannot stop. Another start model over the same data: bounded by noise alone. Three or more sums that are far
 * from each other (U, V, and U + V + one lab; no lab is in all, so nobody can see it): a site that sets `min-difference`
 * above the size of its federation gives one set of labs a model, and with that none of these. A lab enrolled twice.
 */
import type { RoundPlan, TaskKind } from '../../shared/run/plan.js';

/** A vector whose sum a client has agreed to: its signature over the survivors is on its way, or nearly. */
export interface Opening {
  readonly kind: TaskKind;
  readonly modelSha256: string;
  /** The client's own member id. */
  readonly own: string;
  /** {@link memberIdOf} of each survivor, ascending; `own` is one of them. */
  readonly members: readonly string[];
  /** Whether what the client gave was noised, and charged to its examples. */
  readonly isNoised: boolean;
}

/** As a multiple of the clipping bound: a coordinator that names less noise than this has bought nothing with it. */
const LEAST_NOISE_MULTIPLIER = 0.5;

/**
 * Whether what clients give for this plan has noise of their own, which their accounts are charged for. The coordinator's
 * noise (mode central) hides nothing from the coordinator, and figures of an evaluation are taken for exact ones.
 */
export function isNoisedByClients({ kind, work: { privacy } }: Pick<RoundPlan, 'kind' | 'work'>): boolean {
  if (kind !== 'train' || privacy === undefined || privacy.mode === 'central') return false;
  return privacy.noiseMultiplier >= LEAST_NOISE_MULTIPLIER;
}

/** Why two sums may not both be opened: they differ by so few labs, or by nobody can say how many. */
export type Conflict = { readonly kind: 'differs'; readonly labs: number } | { readonly kind: 'incomparable' };

/** What is wrong with `next` after `earlier`, or undefined. `minDifference` is the fewest labs that may tell them apart. */
export function conflictOf(earlier: Opening, next: Opening, minDifference: number): Conflict | undefined {
  if (earlier.kind !== next.kind || earlier.modelSha256 !== next.modelSha256) return undefined;
  if (earlier.isNoised && next.isNoised) return undefined;
  const before = new Set(earlier.members);
  const shared = next.members.filter((member) => before.has(member)).length;
  const labs = before.size + next.members.length - 2 * shared;
  if (labs === 0) return undefined;
  if (!before.has(next.own) && !next.members.includes(earlier.own)) return { kind: 'incomparable' };
  return labs < minDifference ? { kind: 'differs', labs } : undefined;
}

/** For the operator: key, expected, got, and what to change. Nothing of the earlier run, which may be another's. */
export function wordsOf(conflict: Conflict, { kind }: Opening, minDifference: number): string {
  const what = `policy: min-difference: this client has helped to open a sum of this model (${kind})`;
  const next = 'run it with the same labs, or from another start model (another seed)';
  if (conflict.kind === 'incomparable') {
    return `${what} under another membership, whose labs cannot be told from these: expected the same labs; ${next}`;
  }
  const expected = `expected the same labs, or at least ${minDifference} that are in one sum only`;
  return `${what}: ${expected}, got ${conflict.labs}; ${next}`;
}
