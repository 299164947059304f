/**
 * `starling evaluate`: the model of a run on examples of the operator's own. The workload is docs' own, y = slope · x + noise;
 * the figure is computed here again, from the model file and nothing else of ours.
 */
import assert from 'node:assert/strict';
import { copyFile, mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Report } from '../../shared/run/report.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { ROOT, starling, succeed, withFolder } from './support.js';

/** A table of two columns: half of the lines train, half are tested, in a file whose name is a setting. */
const TABLE = `
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { defineWorkload } from 'starling-fl/workloads';
const scale = { clients: 2, cohort: 2, rounds: 3, partition: 'iid', training: { localEpochs: 1, batchSize: 2, clientLr: 0.1 }, hyper: { file: 'labs.csv' } };
const errors = ({ w }, { x, y }) => tf.squaredDifference(tf.mul(w, x), y);
export default defineWorkload({
  manifest: { name: 'table', topic: 't', paper: 'none', data: 'own', privacyUnits: ['client'], headline: { metric: 'test.error', better: 'lower' }, scales: { smoke: scale, demo: scale, full: scale } },
  init: () => ({ shared: { w: { shape: [1], data: new Float32Array(1) } } }),
  load: async ({ hyper, dataDir }) => readFileSync(join(dataDir ?? process.env.STARLING_DATA_DIR, hyper.file), 'utf8').trim().split('\\n').map((line) => line.split(',').map(Number)),
  examples: (rows) => ({ train: { count: rows.length }, test: { count: rows.length } }),
  batch: (rows, indices) => ({ x: tf.tensor1d(Array.from(indices, (i) => rows[i][0])), y: tf.tensor1d(Array.from(indices, (i) => rows[i][1])) }),
  loss: (params, batch) => tf.mean(errors(params, batch)),
  metrics: (params, batch) => ({ error: { sum: tf.sum(errors(params, batch)), count: batch.x.shape[0] } }),
});
`;
const CENTRAL = [
  [1, 3],
  [2, 5],
  [-1, 0.5],
] as const;

describe('starling evaluate', function () {
  this.timeout(120_000);

  it('judges the last or the best model on the examples of a folder, and its figures stand beside those of the labs', () =>
    withFolder(async (cwd) => {
      const env = { STARLING_DATA_DIR: '.' };
      await writeFile(join(cwd, 'table.ts'), TABLE);
      await writeFile(join(cwd, 'labs.csv'), Array.from({ length: 8 }, (_, i) => `${i - 3},${2 * (i - 3)}`).join('\n'));
      await mkdir(join(cwd, 'central'));
      await writeFile(join(cwd, 'central', 'own.csv'), CENTRAL.map((row) => row.join(',')).join('\n'));
      await copyFile(join(cwd, 'central', 'own.csv'), join(cwd, 'central', 'labs.csv'));
      const simulation = [
        'simulate',
        '--workload',
        './table.ts',
        '--out',
        'out',
        '--stop-when',
        'test.error',
        '--evaluate-on',
        'central',
      ];
      assert.match(await succeed(simulation, { cwd, env }), /^round 1 on central: central\.error [0-9.]+$/m);
      const before = JSON.parse(await readFile(join(cwd, 'out', 'report.json'), 'utf8')) as Report;

      const evaluate = ['evaluate', 'out', '--workload', './table.ts', '--data', 'central', '--hyper', 'file=own.csv'];
      for (const [model, path] of [
        ['last', `models/${before.modelSha256}.safetensors`],
        ['best', 'models/best.safetensors'],
      ]) {
        const said = JSON.parse(await succeed([...evaluate, '--model', model, '--json'], { cwd }));
        const [w] = decode(await readFile(join(cwd, 'out', path))).params.values;
        const expected = CENTRAL.reduce((sum, [x, y]) => sum + (w * x - y) ** 2, 0) / CENTRAL.length;
        assert.deepEqual([said.model, said.examples, Object.keys(said.metrics)], [model, 3, ['central.error']]);
        assert.ok(
          Math.abs(said.metrics['central.error'] - expected) < 1e-5,
          `${said.metrics['central.error']} ${expected}`,
        );
      }
      const after = JSON.parse(await readFile(join(cwd, 'out', 'report.json'), 'utf8')) as Report;
      assert.deepEqual(Object.keys(after.final.metrics), ['test.error', 'central.error']);
      assert.deepEqual(after, before, 'the figures that it had of this folder');
      assert.equal(after.rounds[2].metrics['central.error'], after.final.metrics['central.error']);
      assert.equal(new Set(after.rounds.map(({ metrics }) => metrics['central.error'])).size, 3);
      assert.match(await readFile(join(cwd, 'out', 'report.html'), 'utf8'), /central\.error/);
      assert.ok((await readdir(join(cwd, 'out', 'models'))).includes('best.safetensors'));

      const nowhere = await starling([...simulation.slice(0, 3), '--out', 'x', '--evaluate-on', 'gone'], { cwd, env });
      assert.ok(nowhere.code !== 0 && !(await readdir(cwd)).includes('x'), 'found out before anything ran');

      await copyFile(join(ROOT, 'docs', 'examples', 'my-workload.ts'), join(cwd, 'other.ts'));
      const other = await starling(['evaluate', 'out', '--workload', './other.ts', '--data', 'central'], { cwd });
      assert.equal(other.code, 2);
      assert.match(other.stderr, /--workload: expected table, which the run has trained, got "?my-workload/);
      const none = await starling(['evaluate', 'central', '--data', 'central'], { cwd });
      assert.deepEqual([none.code, /central is no run directory/.test(none.stderr)], [2, true]);
    }));
});
