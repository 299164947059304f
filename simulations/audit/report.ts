/** What an audit reports of each setting, and how attacks on it become bounds. */
import type { Scored } from '../../client/audit/audit.js';
import {
  type AttackCounts,
  areaUnderCurve,
  gaussianAttackEpsilon,
  oneRunBound,
  thresholdAttack,
} from '../../shared/privacy/index.js';
import type { PrivacySpec } from '../../shared/run/spec.js';

/** Where noise is added. */
export type PrivacyMode = PrivacySpec['mode'];

/** What is trained and attacked; `confidence` in (0, 1) is that of each bound. */
export interface AuditOptions {
  readonly workload: string;
  readonly modes: readonly PrivacyMode[];
  readonly noiseMultiplier: number;
  /** Of mode example. */
  readonly samplingRate: number;
  /** Of mode example. */
  readonly steps: number;
  /** Of the other modes. */
  readonly rounds: number;
  readonly delta: number;
  readonly confidence: number;
  readonly seed: number;
  /** Few canaries, and a small model on drawn digits: seconds instead of minutes. */
  readonly quick: boolean;
}

/** What one attack proves of one setting. */
export interface AuditBound {
  readonly attack: string;
  /** ε >= this at the confidence asked for. */
  readonly epsilonAtLeast: number;
  /** Area under the curve, where the attack is one by a single score that someone outside has. */
  readonly auc?: number;
}

/** One training, with noise or without, and what the attacks proved of it. */
export interface AuditSetting {
  readonly name: string;
  /** null: no noise, no bound. */
  readonly epsilonAtMost: number | null;
  readonly bounds: readonly AuditBound[];
  /** The most by which a unit that was searched for moved a sum, over what the noise is made for; null: nothing clips. */
  readonly largestContribution: number | null;
  /** null: what is learned is wrong on purpose. */
  readonly testAccuracy: number | null;
}

/** What was asked and what was found. */
export interface AuditReport extends AuditOptions {
  readonly settings: readonly AuditSetting[];
  /** What is not as promised, in words; empty when all is. */
  readonly refuted: readonly string[];
}

/** At what level bounds hold. */
export type BoundTerms = Pick<AuditOptions, 'delta' | 'confidence'>;

/** The bound that holds for any mechanism. */
export function anyBound(attack: string, scored: Scored, terms: BoundTerms): AuditBound {
  return { attack, epsilonAtLeast: oneRunBound({ ...scored, ...terms }).epsilon };
}

/** The bound for canaries that are independent trials of a Gaussian mechanism. */
export function gaussianBound(attack: string, scored: Scored, terms: BoundTerms): AuditBound {
  const judge = (counts: AttackCounts) => gaussianAttackEpsilon(counts, terms);
  return { attack, epsilonAtLeast: thresholdAttack(...divided(scored), judge).epsilon };
}

/** By a score that someone outside has. */
export function byLoss(attack: string, scored: Scored, terms: BoundTerms): AuditBound {
  return { ...anyBound(attack, scored, terms), auc: areaUnderCurve(...divided(scored)) };
}

/** What of these settings is not as promised. */
export function refutedOf(settings: readonly AuditSetting[]): string[] {
  return settings.flatMap(({ name, epsilonAtMost, bounds, largestContribution }) => [
    ...bounds
      .filter(({ epsilonAtLeast }) => epsilonAtMost !== null && epsilonAtLeast > epsilonAtMost)
      .map(
        ({ attack, epsilonAtLeast }) =>
          `${name}: ${attack}, proved epsilon ${epsilonAtLeast.toFixed(2)}, expected at most ${epsilonAtMost!.toFixed(2)}`,
      ),
    ...(largestContribution !== null && largestContribution > 1
      ? [`${name}: a contribution of ${largestContribution} times what the noise is made for, expected at most 1`]
      : []),
  ]);
}

/** Scores of those that were in, and of those that were not. */
function divided({ scores, included }: Scored): [number[], number[]] {
  return [scores.filter((_, i) => included[i]), scores.filter((_, i) => !included[i])];
}
