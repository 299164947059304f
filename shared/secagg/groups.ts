/**
 * Group-wise robust aggregation: the frozen cohort is split into random groups, each summed securely by itself, and a robust
 * mean is taken over the groups' means. A poisoned update then spoils one group at most; individuals stay hidden inside a
 * group, so the group size is what the privacy policy must bound. Mean over coordinates as in Yin, Chen, Ramchandran,
 * Bartlett, Byzantine-Robust Distributed Learning, ICML 2018 (https://arxiv.org/abs/1803.01498).
 */
import { invalidArgument } from '../errors.js';
import { LABEL } from './constants.js';
import type { Transcript } from './derive.js';
import { derivedOrder } from './graph.js';
import type { CryptoSuite } from './suite.js';

/**
 * Roster indices in groups of at least `groupSize`, sizes differing by at most one; fixed by the roster, chosen by nobody.
 * @throws FlError `invalid-argument` unless at least one group fills
 */
export function assignGroups(
  suite: CryptoSuite,
  transcript: Transcript,
  { cohort, groupSize }: { cohort: number; groupSize: number },
): number[][] {
  if (!(Number.isInteger(groupSize) && groupSize >= 2 && groupSize <= cohort)) {
    throw invalidArgument('groupSize', `2..${cohort}`, groupSize);
  }
  const order = derivedOrder(suite, { ...transcript, label: LABEL.groups }, cohort);
  const groups: number[][] = Array.from({ length: Math.floor(cohort / groupSize) }, () => []);
  order.forEach((index, at) => {
    groups[at % groups.length].push(index);
  });
  return groups.map((group) => group.sort((a, b) => a - b));
}

/**
 * Coordinate-wise mean over groups without the `trim` largest and `trim` smallest values of each coordinate; with
 * trim = floor((groups - 1) / 2) it is the median, for an even number of groups the mean of the middle two. All values
 * must be finite. The order of the groups changes nothing, not even the last bit.
 * @throws FlError `invalid-argument` unless 2 trim < groups and all lengths agree
 */
export function trimmedMean(groupMeans: readonly (Float64Array | Float32Array)[], trim: number): Float64Array {
  const groups = groupMeans.length;
  if (!(Number.isInteger(trim) && trim >= 0 && 2 * trim < groups)) {
    throw invalidArgument('trim', `0..${Math.ceil(groups / 2) - 1}`, trim);
  }
  const length = groupMeans[0].length;
  if (groupMeans.some((mean) => mean.length !== length)) throw invalidArgument('groupMeans', 'equal lengths', 'others');
  const column = new Float64Array(groups);
  const out = new Float64Array(length);
  for (let i = 0; i < length; i++) {
    for (let g = 0; g < groups; g++) column[g] = groupMeans[g][i];
    if (groups <= FEW) insertionSort(column);
    else column.sort();
    let sum = 0;
    for (let g = trim; g < groups - trim; g++) sum += column[g];
    out[i] = sum / (groups - 2 * trim);
  }
  return out;
}

/** Up to so many values sorting by insertion beats the call of a sort. */
const FEW = 48;

function insertionSort(values: Float64Array): void {
  for (let i = 1; i < values.length; i++) {
    const value = values[i];
    let at = i;
    for (; at > 0 && values[at - 1] > value; at--) values[at] = values[at - 1];
    values[at] = value;
  }
}
