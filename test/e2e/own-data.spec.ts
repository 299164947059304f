/**
 * Labs with tables of their own, of which one has a header and no row, in a run with privacy whose budget is each lab's own
 * limit: what their logs say, beside what the coordinator says.
 */
import assert from 'node:assert/strict';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { costOf, epsilonAfter } from '../../shared/run/privacy-cost.js';
import { resolveForLabs } from '../../simulations/config/for-labs.js';
import { Deployment } from './support.js';

const WORKLOAD = `
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { defineWorkload } from 'starling-fl/workloads';
const error = (p: any, b: any) => tf.square(tf.sub(tf.add(tf.mul(b.x, p.slope), p.shift), b.y));
const scale = { clients: 3, cohort: 3, rounds: 9, partition: 'iid', training: { localEpochs: 1, batchSize: 8, clientLr: 0.1 }, hyper: { file: 'table.csv' } };
const one = () => ({ shape: [1], data: new Float32Array(1) });
export default defineWorkload<{ x: Float32Array; y: Float32Array }>({
  manifest: {
    name: 'line', topic: 'a line', paper: 'none', data: 'own', privacyUnits: ['client', 'example'],
    headline: { metric: 'test.error', better: 'lower' }, scales: { smoke: scale, demo: scale, full: scale },
  },
  init: () => ({ shared: { slope: one(), shift: one() } }),
  load: async ({ hyper, dataDir }) => {
    const rows = readFileSync(join(dataDir!, String(hyper.file)), 'utf8').trim().split('\\n').slice(1).map((row) => row.split(',').map(Number));
    return { x: Float32Array.from(rows, ([x]) => x), y: Float32Array.from(rows, ([, y]) => y) };
  },
  examples: ({ x }) => ({ train: { count: x.length }, test: { count: x.length } }),
  batch: ({ x, y }, indices) => ({ x: tf.tensor1d(Float32Array.from(indices, (i) => x[i])), y: tf.tensor1d(Float32Array.from(indices, (i) => y[i])) }),
  loss: (p, b) => tf.mean(error(p, b)),
  perExampleLoss: (p, b) => error(p, b) as any,
  metrics: (p, b) => ({ error: { sum: tf.sum(error(p, b)), count: b.x.shape[0] } }),
});
`;
const TABLES = {
  north: ['0.1,0.3', '0.5,1.1', '0.9,1.9'],
  south: ['0.2,0.5', '0.4,0.9'],
  empty: [],
};

describe('labs with tables of their own', function () {
  this.timeout(120_000);
  let site: Deployment;
  before(async () => {
    site = await Deployment.open();
  });
  after(() => site?.close());

  it('read in their logs what the coordinator says, to the end of a budget that is their limit; who has no row says so once', async () => {
    const workload = join(site.folder, 'line.ts');
    await writeFile(workload, WORKLOAD);
    const config = {
      workload,
      'secure-aggregation': false,
      privacy: 'example',
      'sampling-rate': 0.5,
      'min-survivors': 2,
    };
    const cost = costOf((await resolveForLabs(config, 'test')).spec.work)!;
    const budget = Number(((epsilonAfter(cost, 2) + epsilonAfter(cost, 3)) / 2).toPrecision(4));
    const labs = new Map(
      await Promise.all(
        Object.entries(TABLES).map(async ([name, rows]) => {
          const data = join(site.folder, `data-${name}`);
          await mkdir(data);
          await writeFile(join(data, 'table.csv'), `${['x,y', ...rows].join('\n')}\n`);
          const policy = await site.openPolicy(`max-epsilon: ${budget}\n`);
          return [name, await site.lab(name, '--workload', workload, '--data', data, '--policy', policy)] as const;
        }),
      ),
    );
    const file = join(site.folder, 'budget.yaml');
    await writeFile(file, JSON.stringify({ ...config, 'epsilon-budget': budget }));
    const started = await site.operator('run', 'start', file);
    const run = started.split(':')[0];
    assert.equal(started, `${run}: now starling run watch ${run} --data-dir ${site.dataDir}\n`);
    await site.follow(run);

    const { status, report } = await site.show(run);
    assert.equal(status, 'budget-exhausted');
    const [first, second, ...others] = report.rounds;
    assert.deepEqual(others, []);
    assert.deepEqual(first.dropped, [{ client: 'empty', reason: 'dropout', detail: 'no training examples here' }]);
    assert.deepEqual([first.survivors, second.cohort, second.survivors], [2, 2, 2]);

    const epsilon = (round: typeof first) => Number(round.epsilon!.toPrecision(4));
    for (const name of ['north', 'south']) {
      const said = labs.get(name)!.lines.filter((line) => line.includes('trained'));
      const line = (round: number, spent: number) =>
        `${name}: round ${round} of 9 of ${run}: trained, and gave its update in the clear; epsilon ${spent} of at most ${budget} at delta 0.00001 so far`;
      assert.deepEqual(said, [line(1, epsilon(first)), line(2, epsilon(second))]);
    }
    const own = labs.get('empty')!.lines;
    assert.deepEqual(
      own.filter((line) => /examples here|declined|failed|invalid/.test(line)),
      [`empty: no training examples here {"run":"${run}"}`],
    );
    assert.equal(
      own.find((line) => /epsilon|charged/.test(line)),
      undefined,
    );
  });
});
