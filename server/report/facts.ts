/**
 * What the one who writes a report may know beyond report.json, and the words that all sections share.
 */
import type { Headline, Report, RoundReport } from '../../shared/run/report.js';
import type { RunSpec } from '../../shared/run/spec.js';

/** What makes a page better and is in no report. */
export interface ReportFacts {
  /** From the workload's manifest; without it the headline is guessed from the names of the metrics. */
  readonly headline?: Headline;
  /** Clients that belong to the run, also those that were never in a cohort. */
  readonly clients?: number;
  /** Rounds that the run was asked for. */
  readonly plannedRounds?: number;
  /** What the run was asked for, as keys and values of a configuration. */
  readonly settings?: readonly (readonly [key: string, value: string])[];
}

/** The settings that make a run another one: how it trains, what it is drawn from and whose noise it has. */
export function settingsOf({ work, engine }: RunSpec): NonNullable<ReportFacts['settings']> {
  const { training, hyper, partition, secure, privacy } = work;
  const { localEpochs, localSteps, ...rest } = training;
  const duration = localSteps === undefined ? { 'local-epochs': localEpochs } : { 'local-steps': localSteps };
  const shown = {
    ...{ strategy: engine.strategy, cohort: engine.cohort, partition, ...duration },
    ...Object.fromEntries(Object.entries(rest).filter(([key, value]) => value !== 0 || key === 'clientLr')),
    ...(work.validationFraction && { 'validation-fraction': work.validationFraction }),
    ...(engine.stopWhen && { 'stop-when': stopWords(engine.stopWhen) }),
    ...(work.compression !== undefined && { compression: work.compression }),
    ...(secure && { 'secure-aggregation': true }),
    ...(privacy && {
      privacy: privacy.mode,
      'noise-multiplier': privacy.noiseMultiplier,
      'clipping-bound': privacy.clippingBound,
    }),
    ...hyper,
  };
  return Object.entries(shown).map(([key, value]) => [key.replace(/[A-Z]/g, (c) => `-${c.toLowerCase()}`), `${value}`]);
}

function stopWords({ metric, patience, minDelta }: NonNullable<RunSpec['engine']['stopWhen']>): string {
  return `${metric}, patience ${patience ?? 'none'}${minDelta > 0 ? `, min-delta ${minDelta}` : ''}`;
}

/** Who trained a model, in the words of the comparison: the run itself. */
export const FED = 'Federated';
/** The same federation with privacy. */
export const PRIVATE = 'Federated, private';
/** The mean over clients that train on their own. */
export const ALONE = 'Each client alone';
/** The one of them that did best. */
export const BEST = 'Best client alone';
/** One model on the data of all. */
export const CENTRAL = 'All data in one place';

/** How many clients the report knows of: told, evaluated, dropped, or at least the largest cohort. */
export function clientCount(report: Report, facts: ReportFacts): number {
  const names = new Set(Object.keys(report.final.perClient));
  for (const round of report.rounds) for (const { client } of round.dropped) names.add(client);
  return facts.clients ?? Math.max(names.size, largestCohort(report));
}

/** Clients invited to the round that invited most; 0 without a round. */
export function largestCohort(report: Report): number {
  return report.rounds.reduce((most, round) => Math.max(most, round.cohort), 0);
}

/** Updates that a round was waiting for: the superseded were invited as a reserve and are no loss. */
export function awaited({ cohort, dropped }: RoundReport): number {
  return cohort - dropped.filter(({ reason }) => reason === 'superseded').length;
}

/** The sum of one figure over the rounds; figures that are not finite count as 0. */
export function total(report: Report, pick: (round: Report['rounds'][number]) => number): number {
  return report.rounds.reduce((sum, round) => sum + (Number.isFinite(pick(round)) ? pick(round) : 0), 0);
}
