/** What is said of the model that a run has chosen by a figure: on which examples, and what it is worth on test examples. */
import type { Report } from '../../shared/run/report.js';
import { formatMetric, readable } from './metrics.js';

/** The figure, and what its choice has cost. */
export function bestWords({ metric, value, split = 'test', test = {} }: NonNullable<Report['best']>): string {
  const chosen = `${formatMetric(metric, value)} ${readable(metric)}`;
  if (split === 'test') {
    return `${chosen}. It was chosen by these test data, which are spent by it: judge it on data that nobody has chosen by`;
  }
  const name = metric.replace(/^[a-z]+\./, 'test.');
  const found = Object.hasOwn(test, name)
    ? `on test data, which the choice has not seen, it has ${formatMetric(name, test[name])} ${readable(name)}`
    : `there is no ${readable(name)} of it`;
  return `${chosen}. It was chosen by these ${split === 'train' ? 'training' : split} data; ${found}`;
}
