/**
 * FLamby's tables, every row whose strategy Starling has: docs/reproduction.md prints what these runs give, to the third decimal,
 * and whether it lies within one standard error of what FLamby stored. The page is of UCI's own files; their copy, with one other
 * patient and other batches at Cleveland, comes near it.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createTrainerPool } from 'starling-fl/client';
import { findData } from '../../client/data/index.js';
import { withReadings } from '../../client/data/readings.js';
import { ROOT, withFolder } from '../e2e/support.js';
import { BENCHMARKS, measure, published, tablesOf } from './flamby.js';

describe("FLamby's tables in docs/reproduction.md", function () {
  this.timeout(3_600_000);

  for (const benchmark of BENCHMARKS) {
    it(`of ${benchmark.name} are what the runs give`, () =>
      withFolder(async (folder) => {
        const { result: dataDir, differences } = await withReadings(async () => findData(benchmark.name));
        const trainer = await createTrainerPool({ workers: 1, backend: 'wasm', dataDir });
        const ours = await measure(benchmark, trainer, folder).finally(() => trainer.close());
        const lines = tablesOf(benchmark, ours, await published(benchmark.name));
        const page = (await readFile(join(ROOT, 'docs/reproduction.md'), 'utf8')).split('\n');
        const onPage = page.filter((line) => line.startsWith(`| ${benchmark.name}, `));
        if (differences.length === 0)
          assert.deepEqual(onPage, lines, `docs/reproduction.md should have\n${lines.join('\n')}`);
        else isNear(lines, onPage);
      }));
  }
});

/** One patient of the smallest hospital, Switzerland's 16, in a mean over four. */
const NEAR = 1 / 64;

/** Every row's mean over clients. */
function isNear(lines: readonly string[], onPage: readonly string[]): void {
  const overClients = (of: readonly string[]) =>
    of
      .filter((line) => line.includes('met |'))
      .map((line) => line.split(' | '))
      .map((cells) => [cells[0], cells[2]]);
  const [got, page] = [overClients(lines), overClients(onPage)];
  assert.deepEqual(
    got.map(([name]) => name),
    page.map(([name]) => name),
  );
  for (const [i, [name, mean]] of got.entries()) {
    assert.ok(Math.abs(Number(mean) - Number(page[i][1])) <= NEAR, `${name}: ${mean}, on the page ${page[i][1]}`);
  }
}
