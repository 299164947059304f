/**
 * Metrics as sums: what one client reports about its own examples is a vector of sums and a count, so that the sum over
 * clients is exactly the metric of the pooled data and nothing else has to cross the wire.
 */

/** One metric: element-wise sums over `count` examples. A scalar metric is a vector of length 1. */
export interface MetricSum {
  readonly sum: readonly number[];
  readonly count: number;
}

/** By name. */
export type SumMetrics = Readonly<Record<string, MetricSum>>;

/** Adds metrics of the same names and lengths; a name that one side lacks counts as zero there. */
export function addMetrics(left: SumMetrics, right: SumMetrics): SumMetrics {
  const out: Record<string, MetricSum> = { ...left };
  for (const [name, metric] of Object.entries(right)) {
    const held = out[name];
    if (held === undefined) {
      out[name] = metric;
      continue;
    }
    if (held.sum.length !== metric.sum.length) {
      throw new RangeError(`metric "${name}": expected ${held.sum.length} sums, got ${metric.sum.length}`);
    }
    out[name] = { sum: held.sum.map((value, i) => value + metric.sum[i]), count: held.count + metric.count };
  }
  return out;
}

/** Sums in a fixed order of clients, so that floating-point addition gives the same bits on every transport. */
export function sumMetrics(byClient: Readonly<Record<string, SumMetrics>>): SumMetrics {
  const clients = Object.keys(byClient).sort();
  return clients.reduce<SumMetrics>((total, client) => addMetrics(total, byClient[client]), {});
}

/** No workload's own name: those have no slash. */
const VALIDATION = 'validation/';

/** Sums over validation examples, as they travel beside those over test examples. */
export function asValidation(metrics: SumMetrics): SumMetrics {
  return Object.fromEntries(Object.entries(metrics).map(([name, metric]) => [validationName(name), metric]));
}

/** The name under which a metric of validation examples travels. */
export const validationName = (name: string): string => `${VALIDATION}${name}`;

/** Sums over test examples and over validation examples, each by the workload's own names. */
export function bySplit<Value>(
  all: Readonly<Record<string, Value>>,
): Readonly<Record<'test' | 'validation', Readonly<Record<string, Value>>>> {
  const [test, validation]: Record<string, Value>[] = [{}, {}];
  for (const [name, value] of Object.entries(all)) {
    if (name.startsWith(VALIDATION)) validation[name.slice(VALIDATION.length)] = value;
    else test[name] = value;
  }
  return { test, validation };
}

/** The means of the scalar metrics, each under `prefix.name`; vectors (histograms, confusion counts) are left out. */
export function meansOf(metrics: SumMetrics, prefix: string): Record<string, number> {
  const out: Record<string, number> = {};
  for (const name of Object.keys(metrics).sort()) {
    const { sum, count } = metrics[name];
    if (sum.length === 1 && count > 0) out[`${prefix}.${name}`] = sum[0] / count;
  }
  return out;
}
