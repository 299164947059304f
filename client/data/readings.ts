/**
 * What the readers of a site's files have found, for whoever asked beforehand: `starling client check-data` shows it, and
 * workloads need not pass it on. Nobody else asks, and then nothing is kept.
 */
import { AsyncLocalStorage } from 'node:async_hooks';

/** Of one column: cells that were missing and filled in; the range of numbers, or how often each category stands there. */
export interface ColumnReading {
  readonly column: string;
  readonly missing: number;
  readonly min?: number;
  readonly max?: number;
  readonly categories?: Readonly<Record<string, number>>;
}

/** One table, or one folder of images, that was read. `classes`: images by class. */
export interface Reading {
  readonly path: string;
  readonly count: number;
  readonly columns?: readonly ColumnReading[];
  readonly classes?: Readonly<Record<string, number>>;
}

interface Heard {
  readonly readings: Reading[];
  readonly differences: Set<string>;
}

const listening = new AsyncLocalStorage<Heard>();

/** What `read` gives, what the readers found on the way, in order, and in what data sets differ from their originals. */
export async function withReadings<T>(
  read: () => Promise<T>,
): Promise<{ result: T; readings: readonly Reading[]; differences: readonly string[] }> {
  const heard: Heard = { readings: [], differences: new Set() };
  const result = await listening.run(heard, read);
  return { result, readings: heard.readings, differences: [...heard.differences] };
}

/** For readers; `made` is called only if somebody listens. */
export function noteReading(made: () => Reading): void {
  listening.getStore()?.readings.push(made());
}

/** For the finder of data sets: a copy was taken; said once. */
export function noteDifference(differs: string): void {
  listening.getStore()?.differences.add(differs);
}
