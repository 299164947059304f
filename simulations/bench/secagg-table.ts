/**
 * `starling bench secagg`: the cases of secure aggregation as one table. `server ms` is all on one thread beside all clients;
 * `1 thread` and `2 threads` are the same with the masks taken off as a coordinator does it, on threads of their own. The
 * last two columns are the hot loops' best rates.
 */
import { UnmaskPool } from '../../server/unmask-pool.js';
import { rngFromSeed } from '../../shared/rng.js';
import { createKernel, nodeSuite } from '../../shared/secagg/index.js';
import { benchSecagg, SECAGG_BENCH_CASES, type SecaggBenchRow } from './secagg.js';

/** The best of so many: the machine may have other things to do. */
const TRIES = 50;
const UNMASK_TRIES = 3;

/** One row for each case; times in milliseconds, rates in millions of elements a second. */
export async function secaggTable(cases = SECAGG_BENCH_CASES): Promise<object[]> {
  const rows: object[] = [];
  for (const one of cases) {
    const [row] = benchSecagg({ cases: [one] });
    rows.push(await complete(row));
  }
  return rows;
}

async function complete(row: SecaggBenchRow) {
  const { clients, values, masks } = row;
  const withoutMasks = row.serverTotalMs - row.serverMs.masksOff;
  return {
    n: clients,
    k: row.degree,
    d: values,
    drop: row.dropFraction,
    masks,
    'client ms': row.clientTotalMs,
    'quant/adv/share/mask/cons/unmask': phases(row.clientMs),
    'server ms': row.serverTotalMs,
    'adv/share/mask/cons/unmask/masks': phases(row.serverMs),
    '1 thread': withoutMasks + (await unmaskMs(1, row)),
    '2 threads': withoutMasks + (await unmaskMs(2, row)),
    'up bytes': row.uploadBytes,
    'up/4d': row.uploadRatio,
    'down bytes': row.downloadBytes,
    'client:AES': row.clientPerAes,
    'server:copy': row.serverPerCopy,
    'mask M/s': values / bestMs(TRIES, maskOnce(values)) / 1000,
    'quantize M/s': values / bestMs(TRIES, quantizeOnce(values)) / 1000,
  };
}

/** Of as many masks as one case has, on threads of their own. */
async function unmaskMs(threads: number, { values, masks: count }: SecaggBenchRow): Promise<number> {
  const rng = rngFromSeed(1);
  const masks = Array.from({ length: count }, () => ({ key: rng.bytes(32), sign: -1 as const }));
  const job = { masked: new Uint32Array(values), ringBits: 32, masks };
  const pool = new UnmaskPool({ threads, leastWork: 0 });
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i <= UNMASK_TRIES; i++) {
    const before = performance.now();
    await pool.unmask(job);
    if (i > 0) best = Math.min(best, performance.now() - before); // the first starts the threads
  }
  await pool.close();
  return best;
}

function maskOnce(values: number): () => void {
  const kernel = createKernel();
  kernel.reset(values);
  const key = new Uint8Array(32).fill(1);
  return () => kernel.addMask(nodeSuite, { key, sign: 1 });
}

function quantizeOnce(values: number): () => void {
  const kernel = createKernel();
  const vector = new Float32Array(values).map((_, i) => Math.sin(i));
  const key = new Uint8Array(32).fill(1);
  return () => void kernel.quantize(nodeSuite, key, { values: vector, scale: 32_767, max: 32_767, weight: 3 });
}

function bestMs(tries: number, run: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let i = 0; i < tries; i++) {
    const before = performance.now();
    run();
    best = Math.min(best, performance.now() - before);
  }
  return best;
}

const phases = (ms: Readonly<Record<string, number>>): string =>
  Object.values(ms)
    .map((value) => value.toFixed(value < 10 ? 1 : 0))
    .join('/');
