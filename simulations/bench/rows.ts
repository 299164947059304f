/** What a benchmark hands back: figures by name, and the order statistics that they are. */

/** One figure. */
export interface BenchRow {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
}

/** The value below which a fraction `q` of `values` lies. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))];
}

/** Of at least one value, in any order. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5);
}

/** CPU time of this process, all its threads, in ms. */
export function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
