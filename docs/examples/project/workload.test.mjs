/** `npm test`: the workload loads its table, and a small federation learns. */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { checkConfig, loadWorkload, resolve, rngFromSeed, simulate } from 'starling-fl';
import { createTrainerPool } from 'starling-fl/client';

const path = (name) => fileURLToPath(new URL(name, import.meta.url));
const file = path('workload.ts');
const workload = await loadWorkload(file);
const { hyper } = workload.manifest.scales.smoke;

test('the table of this lab is read: four rows of five train, the fifth is tested', async () => {
  const data = await workload.load({ hyper, rng: rngFromSeed(1), dataDir: path('data') });
  const { train, test } = workload.examples(data, hyper);
  assert.ok(
    train.count > 0 && test.count === Math.ceil((train.count + test.count) / 5),
    `${train.count}, ${test.count}`,
  );
});

test('three labs together are better after the last round than after the first', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'run-'));
  const trainer = await createTrainerPool({ workers: 1, workloadModules: { [workload.manifest.name]: file } });
  try {
    const config = checkConfig({ workload: file, scale: 'smoke' }, 'test');
    const { report } = await simulate({
      ...resolve(config, workload),
      ...{ workload, trainer, backend: trainer.backend.name, workers: 1 },
      ...{ transport: 'memory', dropout: 0, baselines: 'none', directory: join(directory, 'run') },
    });
    const { metric, better } = workload.manifest.headline;
    const figures = report.rounds.map(({ metrics }) => metrics[metric]);
    const gain = (figures.at(-1) - figures[0]) * (better === 'lower' ? -1 : 1);
    assert.ok(gain > 0, report.reason ?? `${metric} from round to round: ${figures}`);
  } finally {
    await trainer.close();
    await rm(directory, { recursive: true });
  }
});
