/**
 * How fast one core folds updates into the exact sum, beside a plain copy of the same bytes in the same run, and that
 * memory does not grow with the number of clients.
 */
import { createSum } from '../../server/updates/exact-sum.js';
import { type BenchRow, median } from './rows.js';

const ELEMENTS = 4_000_000;
const RUNS = 9;

/** Takes about two seconds. Rates are medians over float32 bytes read; GB = 10^9 bytes. */
export function benchAggregation(): BenchRow[] {
  const update = Float32Array.from({ length: ELEMENTS }, (_, i) => Math.sin(i));
  const copy = new Float32Array(ELEMENTS);
  const sum = createSum(ELEMENTS);
  const memcpy = gigabytesPerSecond(() => copy.set(update));
  const validate = gigabytesPerSecond(() => sum.validate(update, { weight: 1 }));
  const small = gigabytesPerSecond(() => sum.add(update, 1)); // |weight · x| ≤ 2^11: one lane
  const large = gigabytesPerSecond(() => sum.add(update, 10_000)); // two lanes
  return [
    { name: 'memcpy', value: memcpy, unit: 'GB/s' },
    { name: 'validate', value: validate, unit: 'GB/s' },
    { name: 'validate and add, weight 1', value: small, unit: 'GB/s' },
    { name: 'validate and add, weight 1 / memcpy', value: small / memcpy, unit: 'ratio' },
    { name: 'validate and add, weight 10,000', value: large, unit: 'GB/s' },
    { name: 'model', value: (4 * ELEMENTS) / 1e6, unit: 'MB' },
    ...memoryGrowth(update),
  ];
}

function gigabytesPerSecond(run: () => unknown): number {
  run(); // warm: compiled, and every page touched
  const rates = Array.from({ length: RUNS }, () => {
    const startMs = performance.now();
    run();
    return (4 * ELEMENTS) / (performance.now() - startMs) / 1e6;
  });
  return median(rates);
}

/** Resident memory that one fresh sum adds after 10 clients and after 200: its lanes, and nothing for each client. */
function memoryGrowth(update: Float32Array): BenchRow[] {
  const before = process.memoryUsage.rss();
  const sum = createSum(update.length);
  return [10, 200].map((clients) => {
    while (sum.count < clients) sum.add(update, 100);
    return { name: `memory growth, ${clients} clients`, value: (process.memoryUsage.rss() - before) / 1e6, unit: 'MB' };
  });
}
