/**
 * What the channels of a phase come to, in the clear, in one masked sum and in masked sums of groups: a plain sum, a mean
 * that counts each client once, a mean of those who hold a tensor, and nothing where nobody does.
 *
 * Client ci, with i examples, answers with the value i everywhere. Of six clients, c1, c3 and c5 hold `odd`, with the
 * weight i, and nobody holds `nobodys`. The model is 1 everywhere before the only round.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Task, TaskRunner, TrainResult } from '../../client/training/task.js';
import { checkAggregator } from '../../server/updates/check-aggregator.js';
import type { RunSpec, SecureSpec } from '../../shared/run/spec.js';
import { type ChannelSpec, contributionLayout, phaseOfRound } from '../../shared/tensors/channels.js';
import { layoutOf, sizeOf } from '../../shared/tensors/params.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { simulate } from '../../simulations/simulate.js';
import { quantizationStep } from '../support/quantization.js';
import { toyExamples, toySpec, toyWorkload } from '../support/toy.js';
import { SECURE } from './hostile-coordinator.js';

const CLIENTS = 6;
const SPEC: SecureSpec = {
  ...SECURE,
  valueRange: 8,
  weightCap: 8,
  trainMetrics: [],
  testMetrics: [{ name: 'loss', size: 1, max: 1 }],
};

const tensor = (name: string, ...shape: number[]) => ({ name, shape });
const CHANNELS: readonly ChannelSpec[] = [
  { name: 'update', tensors: [tensor('odd', 2), tensor('nobodys', 1)], reduce: 'mean', weight: 'per-tensor' },
  { name: 'totals', tensors: [tensor('all', 2)], reduce: 'sum', weight: 'examples' },
  { name: 'votes', tensors: [tensor('all', 1)], reduce: 'mean', weight: 'clients' },
  { name: 'means', tensors: [tensor('all', 1)], reduce: 'mean', weight: 'examples' },
  { name: 'rare', tensors: [tensor('nobodys', 2)], reduce: 'mean', weight: 'per-tensor' },
];
const MODEL = ['odd 2', 'nobodys 1', 'totals/all 2', 'votes/all 1', 'means/all 1', 'rare/nobodys 2'].map((line) => {
  const [name, size] = line.split(' ');
  return tensor(name, Number(size));
});
const EXPECTED = {
  odd: 1 + (1 + 9 + 25) / (1 + 3 + 5), // an update: added to the model's 1
  nobodys: 1,
  'totals/all': 1 + 2 + 3 + 4 + 5 + 6,
  'votes/all': 21 / 6,
  'means/all': (1 + 4 + 9 + 16 + 25 + 36) / 21,
  'rare/nobodys': 1,
};

const trainer: TaskRunner = {
  run: (async (task: Task) => {
    const examples = toyExamples(task.client);
    if (task.kind === 'evaluate') return { kind: 'evaluate', metrics: { loss: { sum: [0], count: examples } } };
    const layout = contributionLayout(phaseOfRound(task.work.phases, task.round));
    const weights = layout.map(({ name }) => {
      if (name.endsWith('/nobodys')) return 0;
      return name.endsWith('/odd') && examples % 2 === 0 ? 0 : examples;
    });
    const values = new Float32Array(sizeOf(layout)).fill(examples);
    return { kind: 'train', contribution: { values, weights, metrics: {} } } satisfies TrainResult;
  }) as TaskRunner['run'],
};

function specOf(secure: SecureSpec | undefined, channels = CHANNELS): RunSpec {
  const { work, engine } = toySpec({ rounds: 1, cohort: CLIENTS, minClients: CLIENTS });
  return { engine, work: { ...work, model: MODEL, phases: [{ name: 'train', channels }], ...(secure && { secure }) } };
}

describe('what channels come to', () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-channels-'));
  });
  after(() => rm(directory, { recursive: true }));

  async function run(name: string, secure?: SecureSpec) {
    const layout = layoutOf(MODEL);
    const model = { layout, values: new Float32Array(sizeOf(layout)).fill(1) };
    const { report } = await simulate({
      ...{ spec: specOf(secure), model, clients: CLIENTS, workload: toyWorkload, trainer },
      ...({ backend: 'none', workers: 2, transport: 'memory', dropout: 0, baselines: 'none' } as const),
      directory: join(directory, name),
    });
    assert.equal(report.status, 'completed');
    const { params } = decode(await readFile(join(directory, name, 'models', `${report.modelSha256}.safetensors`)));
    return params;
  }

  it('is exact in the clear', async () => {
    const { layout, values } = await run('plain');
    for (const { name, offset, size } of layout) {
      const expected = Math.fround(EXPECTED[name as keyof typeof EXPECTED]);
      assert.deepEqual([...values.subarray(offset, offset + size)], Array(size).fill(expected), name);
    }
  });

  for (const [name, secure] of [
    ['one masked sum', SPEC],
    ['masked sums of two groups', { ...SPEC, groupSize: 3 }],
  ] as const) {
    it(`is the same in ${name}, up to the grid`, async () => {
      const { layout, values } = await run(name.replaceAll(' ', '-'), secure);
      const step = quantizationStep(SPEC, CLIENTS);
      for (const { name, offset, size } of layout) {
        // One step for each client in a sum, one in all for a mean; float32 adds a unit in the last place of at most 21.
        const bound = (name === 'totals/all' ? CLIENTS : 1) * step + 2 ** -18;
        for (const value of values.subarray(offset, offset + size)) {
          const error = Math.abs(value - EXPECTED[name as keyof typeof EXPECTED]);
          assert.ok(error <= bound, `${name}: ${value}, off by ${error} of at most ${bound}`);
        }
        if (name.endsWith('nobodys'))
          assert.deepEqual([...values.subarray(offset, offset + size)], Array(size).fill(1));
      }
    });
  }

  it('is no order statistic where a sum is asked for', () => {
    const spec = specOf(undefined, [CHANNELS[2], CHANNELS[1]]);
    const median = { ...spec, engine: { ...spec.engine, aggregator: 'median', minSurvivors: 3 } };
    assert.throws(() => checkAggregator(median), /median is no sum, which channel "totals" asks for/);
  });
});
