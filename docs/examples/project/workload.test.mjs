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
  assert.deepEqual([train.count, test.count], [24, 6]);
});

test('three labs together get better from round to round', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'run-'));
  const trainer = await createTrainerPool({ workers: 1, workloadModules: { [workload.manifest.name]: file } });
  try {
    const config = checkConfig({ workload: file, scale: 'smoke' }, 'test');
    const { report } = await simulate({
      ...resolve(config, workload),
      ...{ workload, trainer, backend: trainer.backend.name, workers: 1 },
      ...{ transport: 'memory', dropout: 0, baselines: 'none', directory: join(directory, 'run') },
    });
    const errors = report.rounds.map(({ metrics }) => metrics['test.error']);
    assert.ok(errors.length === 3 && errors[1] < errors[0] && errors[2] < errors[1], report.reason ?? `${errors}`);
  } finally {
    await trainer.close();
    await rm(directory, { recursive: true });
  }
});
