/** How many releases of DP-SGD a round makes, equal on all clients whatever data they hold: the accountant counts them. */
import { invalidArgument } from '../errors.js';
import type { TrainingSpec } from './spec.js';

/**
 * Steps of one round under example-level privacy: `localSteps`, or `localEpochs` times the steps in which an example is
 * expected to be used once, ⌈1 / samplingRate⌉. Unlike those of plain training they do not depend on a client's examples.
 */
export function dpSteps(
  { localSteps, localEpochs }: Pick<TrainingSpec, 'localSteps' | 'localEpochs'>,
  samplingRate: number,
): number {
  if (!(samplingRate > 0 && samplingRate <= 1))
    throw invalidArgument('samplingRate', 'a number in (0, 1]', samplingRate);
  // 1 / 0.01 is 100, but 1 / (1 / 49) is a little more than 49, and would count one step too many.
  return localSteps ?? (localEpochs ?? 0) * Math.ceil(1 / samplingRate - 1e-9);
}
