/**
 * Metrics on the wire: named sums. The names come from the other side, so they are kept away from the prototype.
 */
import { invalidArgument } from '../errors.js';
import type { MetricSum, SumMetrics } from '../run/metrics.js';
import { checkAtMost, checkCount, checkFinite, checkText } from './checks.js';
import type { MetricSum as MetricSumMessage } from './gen/starling/v1/participant.js';
import { MAX_METRIC_NAME_CHARS, MAX_METRIC_SUMS, MAX_METRICS } from './limits.js';

/** Sorted by name, so that equal metrics are equal bytes. */
export function metricsToWire(metrics: SumMetrics): MetricSumMessage[] {
  const messages = Object.keys(metrics)
    .sort()
    .map((name) => ({ name, sum: [...metrics[name].sum], count: metrics[name].count }));
  checkMetrics(messages);
  return messages;
}

/** @throws FlError invalid-argument: too many, a name twice, a number that is not finite. */
export function metricsFromWire(messages: readonly MetricSumMessage[]): SumMetrics {
  checkMetrics(messages);
  const metrics: Record<string, MetricSum> = {};
  for (const { name, sum, count } of messages) {
    if (Object.hasOwn(metrics, name)) throw invalidArgument('metrics', 'each name once', name);
    metrics[name] = { sum, count };
  }
  return metrics;
}

function checkMetrics(messages: readonly MetricSumMessage[]): void {
  checkAtMost('metrics', messages.length, MAX_METRICS);
  let sums = 0;
  for (const { name, sum, count } of messages) {
    checkText('metrics.name', name, MAX_METRIC_NAME_CHARS);
    if (name === '' || name === '__proto__') throw invalidArgument('metrics.name', 'a name', name);
    checkCount(`metrics.${name}.count`, count);
    sums += sum.length;
    checkAtMost('metrics.sum', sums, MAX_METRIC_SUMS);
    for (const value of sum) checkFinite(`metrics.${name}.sum`, value);
  }
}
