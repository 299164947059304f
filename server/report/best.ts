/** What is said of the model that a run has chosen by a figure. */
import type { Report } from '../../shared/run/report.js';
import { formatMetric, readable } from './metrics.js';

/** The figure, and what its choice has cost. */
export function bestWords({ metric, value }: NonNullable<Report['best']>): string {
  return `${formatMetric(metric, value)} ${readable(metric)}. It was chosen by these test data, which are spent by it: judge it on data that nobody has chosen by`;
}
