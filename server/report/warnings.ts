/** All that must not scroll by unseen of rounds that are over: the same for the terminal, the log and the page. */
import type { RoundReport } from '../../shared/run/report.js';
import { lossyWarning, missingWarning } from './lossy.js';
import { lostFiguresWarning } from './resolution.js';
import { zeroedWarning } from './zeroed.js';

type Told = Pick<
  RoundReport,
  'round' | 'survivors' | 'zeroed' | 'zeroedTests' | 'lossy' | 'evaluated' | 'resolution' | 'metrics'
>;

/** Of one round, a sentence each. */
export function roundWarnings(round: Partial<Told>): string[] {
  return warningsOf([round]);
}

/** Of a run, a sentence each; over whom test figures are is said of the last evaluation. */
export function warningsOf(rounds: readonly Partial<Told>[]): string[] {
  const last = rounds.findLast(({ evaluated }) => evaluated !== undefined);
  const all = [
    zeroedWarning(rounds),
    lossyWarning(rounds),
    missingWarning(last?.evaluated, last?.zeroedTests),
    lostFiguresWarning(last),
  ];
  return all.filter((warning) => warning !== null);
}
