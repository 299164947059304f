/**
 * Sites that take fewer steps than a round asks for: what becomes of the model, and what anybody else hears of it. Real
 * coordinator, real clients, real training.
 *
 * A site's loss is (w - c)^2, so one step at rate 1/8 takes w to w + (c - w)/4, and t steps from 0 to c (1 - 0.75^t). Site 1
 * has c = 1 and 8 examples, site 2 has c = 2 and 4, site 3 has c = 0 and 4; in batches of 2 an epoch is 4, 2 and 2 steps.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../client/backends/index.js';
import { parsePolicy, siteRulesOf } from '../../client/round/policy.js';
import { createTaskRunner } from '../../client/training/task.js';
import { defineWorkload } from '../../client/workload.js';
import { openModels } from '../../server/journal/models.js';
import type { RunSpec, TrainingSpec } from '../../shared/run/spec.js';
import { updateChannel } from '../../shared/tensors/channels.js';
import { packTensors } from '../../shared/tensors/params.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { toySpec } from '../support/toy.js';
import { SECURE } from './hostile-coordinator.js';
import { Lab } from './lab.js';

const ONE_STEP = siteRulesOf(parsePolicy('local-work: fewer\nmax-local-steps: 1', 'policy.yaml'));
const ONE_EPOCH = siteRulesOf(parsePolicy('local-work: fewer\nmax-local-epochs: 1', 'policy.yaml'));
const SITES: Readonly<Record<string, { c: number; n: number }>> = {
  c1: { c: 1, n: 8 },
  c2: { c: 2, n: 4 },
  c3: { c: 0, n: 4 },
};
const moved = (c: number, steps: number) => c * (1 - 0.75 ** steps);

const quadratic = (client: string) =>
  defineWorkload<number>({
    manifest: {
      ...{ name: 'toy', topic: 'test', paper: 'none', data: 'none', privacyUnits: ['client'] },
      ...{ headline: { metric: 'test.loss', better: 'lower' }, scales: {} as never },
    },
    init: () => ({ shared: { w: { shape: [1], data: new Float32Array(1) } } }),
    load: async () => SITES[client].n,
    examples: (n) => ({ train: { count: n }, test: { count: n } }),
    batch: (_, indices) => ({ c: tf.fill([indices.length], SITES[client].c) }),
    loss: ({ w }, { c }) => tf.mean(tf.squaredDifference(w, c)),
    metrics: ({ w }, { c }) => ({ loss: { sum: tf.sum(tf.squaredDifference(w, c)), count: c.shape[0] } }),
  });

describe('a site that takes fewer steps than it is asked for', function () {
  this.timeout(60_000);
  let directory: string;
  let count = 0;
  let lab: Lab | undefined;

  before(async () => {
    await selectBackend('cpu');
    directory = await mkdtemp(join(tmpdir(), 'starling-fewer-'));
  });
  afterEach(async () => {
    await lab?.close();
    lab = undefined;
  });
  after(() => rm(directory, { recursive: true }));

  async function run(
    clients: readonly string[],
    {
      training = {},
      strategy = 'fedavg',
      secure = false,
    }: { training?: Partial<TrainingSpec>; strategy?: string; secure?: boolean },
    site: (client: string) => ReturnType<typeof siteRulesOf> = () => ({}),
  ) {
    const place = join(directory, `${count++}`);
    const base = toySpec({ rounds: 1, cohort: clients.length, minClients: clients.length, strategy });
    const { localSteps: _, ...rest } = base.work.training;
    const model = packTensors({ w: { shape: [1], data: new Float32Array(1) } });
    const tensors = [{ name: 'w', shape: [1] }];
    const work: RunSpec['work'] = {
      ...base.work,
      training: { ...rest, localEpochs: 1, batchSize: 2, clientLr: 0.125, ...training },
      phases: [{ name: 'train', channels: [updateChannel(tensors)] }],
      model: tensors,
      ...(secure && {
        secure: { ...SECURE, valueRange: 4, survivorsMin: 3, testMetrics: [{ name: 'loss', size: 1, max: 16 }] },
      }),
    };
    const trainer = (client: string) => createTaskRunner({ loadWorkload: async () => quadratic(client) });
    lab = await Lab.open(place, clients, { work, engine: base.engine }, { trainer, model, site });
    const ended = await lab.finish();
    assert.equal(ended.status, 'completed', ended.reason);
    const { modelSha256 } = await lab.report();
    const models = await openModels(join(place, 'coordinator', 'runs', 'r', 'models'));
    const w = decode(await models.get(modelSha256)).params.values[0];
    return { w, rounds: ended.rounds, passed: lab.passed, notices: lab.notices };
  }

  const near = (got: number, expected: number, within = 1e-6) =>
    assert.ok(Math.abs(got - expected) < within, `expected ${expected}, got ${got}`);

  it('sends an update of the length that was asked for, with its weight: the model is the one computed by hand', async () => {
    // site 1 takes its 4 steps, site 2 takes 1 of 2 and doubles it; weights 8 and 4
    const { w, notices } = await run(['c1', 'c2'], {}, (client) => (client === 'c2' ? ONE_STEP : {}));
    near(w, (8 * moved(1, 4) + 4 * 2 * moved(2, 1)) / 12);
    assert.ok(Math.abs(w - (8 * moved(1, 4) + 4 * moved(2, 1)) / 12) > 0.1, 'and not the mean of unlike lengths');
    const told = notices.filter(({ message }) => message === 'fewer steps');
    assert.deepEqual(told, [
      { client: 'c2', message: 'fewer steps', fields: { run: 'r', round: 1, taken: 1, asked: 2 } },
    ]);
  });

  it('counts what momentum carries on, as FedNova does', async () => {
    // two steps at momentum 1/2 hold 2.5 gradients, one holds 1: the first whole, and half of it again, and the second
    const training = { localEpochs: 1, momentum: 0.5 };
    const { w } = await run(['c2', 'c3'], { training }, (client) => (client === 'c2' ? ONE_STEP : {}));
    near(w, (4 * 2.5 * moved(2, 1)) / 8);
  });

  it('cuts epochs by epochs, and steps by steps', async () => {
    const epochs = await run(['c2', 'c3'], { training: { localEpochs: 3 } }, () => ONE_EPOCH);
    near(epochs.w, (4 * 3 * moved(2, 2)) / 8); // 2 of 6 steps
    const steps = await run(['c2', 'c3'], { training: { localEpochs: undefined, localSteps: 5 } }, () => ONE_STEP);
    near(steps.w, (4 * 5 * moved(2, 1)) / 8);
  });

  it('gives partial work as it is under fedprox, whose proximal term holds unlike work together', async () => {
    const training = { proximalMu: 1 };
    const { w } = await run(['c2', 'c3'], { training, strategy: 'fedprox:mu=1' }, (client) =>
      client === 'c2' ? ONE_STEP : {},
    );
    near(w, (4 * moved(2, 1)) / 8); // the first step starts at the anchor, which pulls nothing there
  });

  it('tells nobody of it under secure aggregation: frames are of the kinds and sizes that they are of anyhow', async () => {
    const clients = ['c1', 'c2', 'c3'];
    const seen = ({ passed }: Awaited<ReturnType<typeof run>>) =>
      passed.map(({ way, client, task, type, body }) => `${way} ${client} ${task.kind} ${type} ${body.length}`).sort();
    const all = await run(clients, { secure: true });
    near(all.w, (8 * moved(1, 4) + 4 * moved(2, 2)) / 16, 1e-4);
    await lab?.close();
    const fewer = await run(clients, { secure: true }, (client) => (client === 'c2' ? ONE_STEP : {}));
    near(fewer.w, (8 * moved(1, 4) + 4 * 2 * moved(2, 1)) / 16, 1e-4);
    assert.deepEqual(seen(fewer), seen(all));
    const keys = (rounds: typeof all.rounds) => Object.keys(rounds[0]).sort();
    assert.deepEqual(keys(fewer.rounds), keys(all.rounds));
    const { dropped, survivors, lossy } = fewer.rounds[0];
    assert.deepEqual([dropped, survivors, lossy], [[], 3, all.rounds[0].lossy]);
  });
});
