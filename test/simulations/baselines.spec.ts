/**
 * Rows beside a run, over a workload that uses all of the contract and whose numbers can be done by hand: two phases, a
 * channel that replaces tensors, weights by tensor, a private tensor, a training of its own.
 *
 * Client ci holds the number i, twice. In phase `exchange` it sends its mean, which becomes the model's `means/x`; in phase
 * `train` it sends that again and moves w half of the way to its mean in each local step; its private `rounds` counts.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { selectBackend } from '../../client/backends/index.js';
import { heldOut } from '../../client/data/hold-out.js';
import { createTaskRunner, type Task, type TaskRunner } from '../../client/training/task.js';
import { defineWorkload, type Floor, type Workload } from '../../client/workload.js';
import { FlError } from '../../shared/errors.js';
import { meansOf } from '../../shared/run/metrics.js';
import type { Report } from '../../shared/run/report.js';
import type { SecureSpec } from '../../shared/run/spec.js';
import { federations, federationsOf } from '../../simulations/baselines/federations.js';
import { evenlyBySize } from '../../simulations/baselines/local.js';
import { type BaselineInput, baselines } from '../../simulations/baselines.js';
import { checkConfig, resolve } from '../../simulations/config/resolve.js';
import { type SimulationOptions, simulate } from '../../simulations/simulate.js';

const scalar = (value: number) => ({ shape: [1], data: Float32Array.of(value) });

const numbers = defineWorkload<Float32Array>({
  manifest: {
    name: 'numbers',
    topic: 'test',
    paper: 'none',
    data: 'none',
    privacyUnits: ['client'],
    headline: { metric: 'test.error', better: 'lower' },
    maskedMetrics: () => [],
    phases: (_, [w, x]) => {
      const means = { name: 'means', tensors: [{ ...x, name: 'x' }], reduce: 'mean', weight: 'per-tensor' } as const;
      const update = { name: 'update', tensors: [w], reduce: 'mean', weight: 'examples' } as const;
      return [
        { name: 'exchange', rounds: 1, channels: [means] },
        { name: 'train', channels: [update, means] },
      ];
    },
    scales: {
      smoke: {
        clients: 4,
        cohort: 4,
        rounds: 3,
        partition: 'natural',
        training: { localSteps: 1, batchSize: 2, clientLr: 0.5 },
        hyper: { clients: 4 },
      },
    } as unknown as Workload['manifest']['scales'],
  },
  init: () => ({ shared: { w: scalar(0), 'means/x': scalar(0) }, private: { rounds: scalar(0) } }),
  load: async ({ hyper }) => Float32Array.from({ length: 2 * Number(hyper.clients) }, (_, i) => 1 + Math.floor(i / 2)),
  examples: (data) => ({
    train: { count: data.length, groups: data },
    test: { count: data.length, groups: data },
  }),
  batch: (data, indices) => ({ x: tf.tensor1d(Array.from(indices, (i) => data[i])) }),
  async train(shared, own, data, { phase, shard, training }) {
    const mean = shard.train.reduce((sum, i) => sum + data[i], 0) / shard.train.length;
    const weight = shard.train.length;
    const start = shared.w.data[0];
    const update = (mean - start) * (1 - 0.5 ** training.localSteps!);
    const values = phase.name === 'exchange' ? [mean] : [update, mean];
    const contribution = { values: Float32Array.from(values), weights: values.map(() => weight), metrics: {} };
    return { contribution, private: { rounds: scalar(own.rounds.data[0] + 1) } };
  },
  metrics(params, { x }) {
    const count = x.shape[0]!;
    return {
      error: { sum: tf.sum(tf.squaredDifference(params.w, x)), count },
      exchanged: { sum: tf.mul(params['means/x'], count), count },
      rounds: { sum: tf.mul(params.rounds, count), count },
    };
  },
});

const plain = createTaskRunner({ loadWorkload: async () => numbers });
const directories: string[] = [];

async function run(
  config: Record<string, unknown> = {},
  options: Partial<SimulationOptions> = {},
  status: Report['status'] = 'completed',
) {
  const directory = await mkdtemp(join(tmpdir(), 'starling-baselines-'));
  directories.push(directory);
  const { workload = numbers } = options;
  const resolved = resolve(checkConfig({ workload: 'numbers', scale: 'smoke', ...config }, 'test'), workload);
  const { report } = await simulate({
    ...resolved,
    workload: numbers,
    trainer: plain,
    backend: 'cpu',
    workers: 2,
    transport: 'memory',
    dropout: 0,
    baselines: 'all',
    directory,
    ...options,
  });
  assert.equal(report.status, status, report.reason ?? '');
  return report;
}

const spied = (seen: Task[], fault: () => void = () => {}): TaskRunner => ({
  run(task, options) {
    seen.push(task);
    fault();
    return plain.run(task, options);
  },
});

describe('what a run is set beside', () => {
  before(() => selectBackend('cpu'));
  after(() => Promise.all(directories.map((directory) => rm(directory, { recursive: true }))));

  it('is each client alone: its own rounds, channels and private tensors, judged on all data and on its own', async () => {
    const { local } = (await run()).baselines;
    // Two training rounds: w of ci = 0.75 i. On its own: (i/4)^2. On all: mean over j of (0.75 i - j)^2.
    const on = (i: number) => [1, 2, 3, 4].reduce((sum, j) => sum + (0.75 * i - j) ** 2, 0) / 4;
    const figures = (error: number, exchanged: number) => ({
      'test.error': error,
      'test.exchanged': exchanged,
      'test.rounds': 3,
    });
    const clients = [1, 2, 3, 4];
    assert.deepEqual(local, {
      metrics: figures((on(1) + on(2) + on(3) + on(4)) / 4, 2.5),
      perClient: Object.fromEntries(clients.map((i) => [`c${i}`, figures((i / 4) ** 2, i)])),
      pooled: Object.fromEntries(clients.map((i) => [`c${i}`, figures(on(i), i)])),
      // on(i) = (0.75 i - 2.5)^2 + 1.25: least for i = 3
      best: { client: 'c3', metrics: figures(on(3), 3) },
      clients: 4,
      work: { rounds: 3, localSteps: 1 },
    });
  });

  it('is all data in one place, with the steps of a whole cohort in each round', async () => {
    const { centralised } = (await run({ cohort: 3 })).baselines;
    // 3 steps a round, 2 training rounds: w = 2.5 (1 - 2^-6)
    const w = 2.5 * (1 - 2 ** -6);
    const figures = (error: number) => ({ 'test.error': error, 'test.exchanged': 2.5, 'test.rounds': 3 });
    assert.deepEqual(centralised, {
      metrics: figures([1, 2, 3, 4].reduce((sum, j) => sum + (w - j) ** 2, 0) / 4),
      perClient: Object.fromEntries([1, 2, 3, 4].map((j) => [`c${j}`, figures((w - j) ** 2)])),
      work: { rounds: 3, localSteps: 3 },
    });
  });

  for (const strategy of ['fedavg', 'fedavgm:lr=0.7', 'fedadam:lr=0.1']) {
    it(`is the run itself where one client holds everything: ${strategy}`, async () => {
      const { final, baselines } = await run({ clients: 1, strategy, hyper: { clients: 1 } });
      for (const row of [baselines.local!, baselines.centralised!]) {
        assert.deepEqual(row.metrics, final.metrics);
        assert.deepEqual(row.perClient, final.perClient);
      }
    });
  }

  it('trains as many rounds alone as the run has, also where a cohort is a part of the clients', async () => {
    const seen: Task[] = [];
    const { local } = (await run({ cohort: 2 }, { trainer: spied(seen) })).baselines;
    assert.deepEqual(local!.work, { rounds: 3, localSteps: 1 });
    const trained = seen.filter(({ kind, client }) => kind === 'train' && client !== 'centralised');
    assert.equal(trained.length, 2 * 3 + 4 * 3); // the run's, then those alone
  });

  it('costs no more than ten clients, evenly spread', async () => {
    const seen: Task[] = [];
    const settings = { clients: 25, cohort: 5, hyper: { clients: 25 } };
    const { local } = (await run(settings, { trainer: spied(seen) })).baselines;
    assert.deepEqual(Object.keys(local!.perClient), 'c1 c3 c6 c8 c11 c13 c16 c18 c21 c23'.split(' '));
    assert.equal(local!.clients, 25);
    assert.equal(seen.filter(({ kind }) => kind === 'train').length, 5 * 3 + 10 * 3 + 3);
  });

  it('is the same to the bit with any number of workers', async () => {
    const one = await run({}, { workers: 1 });
    const four = await run({}, { workers: 4 });
    assert.deepEqual(four.baselines, one.baselines);
  });

  it('hides nothing from anyone: no masks and no noise', async () => {
    const seen: Task[] = [];
    const { spec, model } = resolve(checkConfig({ workload: 'numbers', scale: 'smoke' }, 'test'), numbers);
    const secure = {} as SecureSpec;
    const privacy = { mode: 'distributed', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5 } as const;
    const rows = await baselines({
      spec: { ...spec, work: { ...spec.work, secure, privacy } },
      model,
      clients: ['c1', 'c2', 'c3', 'c4'],
      trainer: spied(seen),
      trainExamples: [2, 2, 2, 2],
      floors: { workload: numbers, data: undefined, shards: [], backend: 'cpu' },
      headline: numbers.manifest.headline,
      limit: (task) => task(),
      figures: (sums) => meansOf(sums, 'test'),
      federations: [],
      runAgain: () => assert.fail('nothing is to be run again'),
    });
    const trained = seen.filter(({ kind }) => kind === 'train');
    assert.equal(trained.length, 4 * 3 + 3);
    assert.ok(trained.every(({ work }) => work.secure === undefined && work.privacy === undefined));
    const { population, ...others } = (await run()).baselines;
    assert.deepEqual(rows, others);
    // by the examples of the test: eight, two of each group, without labels
    const text = JSON.stringify([8, [], [1, 1, 2, 2, 3, 3, 4, 4]]);
    assert.deepEqual(population, { examples: 8, sha256: createHash('sha256').update(text).digest('hex') });
  });

  it('leaves out a client that diverges, and says so', async () => {
    const seen: Task[] = [];
    const fault = () => {
      const { kind, client, round } = seen.at(-1)!;
      const isThis = (task: Task) => task.kind === kind && task.client === client && task.round === round;
      const isAlone = seen.filter(isThis).length > 1; // the run itself has trained it before
      if (kind === 'train' && client === 'c3' && round === 2 && isAlone) {
        throw new FlError('failed-precondition', 'loss is not finite');
      }
    };
    const { local } = (await run({}, { trainer: spied(seen, fault) })).baselines;
    assert.deepEqual(local!.failures, { c3: 'loss is not finite' });
    assert.deepEqual(Object.keys(local!.pooled!), ['c1', 'c2', 'c4']);
    assert.equal(local!.best!.client, 'c4'); // 0.5^2 + 1.25 is below 1^2 + 1.25 of c2
  });

  it('keeps the rows that were finished when it is interrupted, and its report says that it was stopped', async () => {
    const abort = new AbortController();
    const beside = resolve(checkConfig({ workload: 'numbers', scale: 'smoke', rounds: 2 }, 'test'), numbers);
    const unhurried: TaskRunner = {
      async run(task, options) {
        const other = task.client === 'centralised' && !abort.signal.aborted;
        if (other) await new Promise((resolve) => abort.signal.addEventListener('abort', resolve));
        return plain.run(task, options);
      },
    };
    const report = await run(
      {},
      {
        ...{ signal: abort.signal, trainer: unhurried, workers: 8 },
        federations: ['first', 'second'].map((name) => ({ name, label: name, resolved: beside })),
        onBaseline: (who) => who === 'federated, first' && abort.abort(),
      },
      'stopped',
    );
    assert.equal(report.reason, 'interrupted while the rows beside it were made; the run itself is complete');
    assert.equal(report.rounds.length, 3);
    assert.deepEqual(Object.keys(report.baselines.federated ?? {}), ['first']);
    assert.equal(report.baselines.federated!.first.work!.rounds, 2);
  });
});

describe('floors', () => {
  before(() => selectBackend('cpu'));

  /** Says the mean of all training examples, and for client 2 of 4 that nothing is known. */
  const mean: Floor<Float32Array> = {
    name: 'mean',
    label: 'the mean',
    kind: 'trivial',
    fit({ data, shards }) {
      const all = shards.flatMap(({ train }) => Array.from(train, (i) => data[i]));
      const said = all.reduce((sum, x) => sum + x, 0) / all.length;
      return ({ test }) => {
        const sum = test.reduce((total, i) => total + (said - data[i]) ** 2, 0);
        return { error: { sum: [sum], count: test.length } };
      };
    },
  };
  const broken: Floor<Float32Array> = {
    ...{ name: 'broken', label: 'none', kind: 'classical' },
    fit() {
      throw new FlError('failed-precondition', 'no such rule');
    },
  };

  it('learn from all training examples, are judged as models are, and one that fails is named', async () => {
    const workload = { ...numbers, floors: [mean, broken] };
    const { floors } = (await run({}, { workload })).baselines;
    // mean 2.5: (1.5² + 0.5² + 0.5² + 1.5²) / 4 = 1.25; untrained w = 0: (1 + 4 + 9 + 16) / 4 = 7.5
    assert.deepEqual(floors!.mean, {
      ...{ label: 'the mean', kind: 'trivial', metrics: { 'test.error': 1.25 } },
      perClient: Object.fromEntries([2.25, 0.25, 0.25, 2.25].map((e, i) => [`c${i + 1}`, { 'test.error': e }])),
    });
    assert.equal(floors!.untrained.metrics['test.error'], 7.5);
    assert.equal(floors!.untrained.kind, 'untrained');
    assert.deepEqual(floors!.broken.failures, { 'floor/broken': 'no such rule' });
    assert.deepEqual(floors!.broken.metrics, {});
  });

  it('learn nothing from what is held out for validation', async () => {
    const workload = { ...numbers, floors: [mean] };
    const held = { 'validation-fraction': 0.25, partition: 'iid', clients: 2, 'min-clients': 2, cohort: 2 };
    const { floors } = (await run(held, { workload })).baselines;
    const data = [1, 1, 2, 2, 3, 3, 4, 4];
    const isHeldOut = heldOut(8, 0.25);
    const left = data.filter((_, i) => !isHeldOut(i));
    const said = left.reduce((sum, x) => sum + x, 0) / left.length;
    const error = data.reduce((sum, x) => sum + (said - x) ** 2, 0) / 8;
    assert.notEqual(said, 2.5); // or it would not be seen
    assert.ok(Math.abs(floors!.mean.metrics['test.error'] - error) < 1e-12);
  });
});

describe('a reference row that is tuned', () => {
  before(() => selectBackend('cpu'));

  /** Of a model w that began at 0 and moves to the mean of 8 numbers, all of them 1, by the rate: validation error (w - 1)². */
  const rated: Workload<Float32Array> = {
    ...numbers,
    load: async () => new Float32Array(8).fill(1),
    async train(shared, own, _data, context) {
      const start = shared.w.data[0];
      const values = Float32Array.of((1 - start) * context.training.clientLr, 1);
      const weights = [context.shard.train.length, context.shard.train.length];
      return { contribution: { values, weights, metrics: {} }, private: own };
    },
    manifest: {
      ...numbers.manifest,
      phases: (_, [w, x]) => {
        const means = { name: 'means', tensors: [{ ...x, name: 'x' }], reduce: 'mean', weight: 'per-tensor' } as const;
        const update = { name: 'update', tensors: [w], reduce: 'mean', weight: 'examples' } as const;
        return [{ name: 'train', channels: [update, means] }];
      },
      scales: {
        ...numbers.manifest.scales,
        smoke: { ...numbers.manifest.scales.smoke, referenceRates: [0.5, 1.5, 3] },
      },
    },
    examples: (data) => ({ train: { count: data.length }, test: { count: data.length } }),
  };

  it('has the rate and the round that are best on validation examples, with a seed that reports nothing', async () => {
    const seen: Task[] = [];
    const workload = rated;
    const runner = createTaskRunner({ loadWorkload: async () => workload });
    const trainer: TaskRunner = {
      run(task, options) {
        seen.push(task);
        return runner.run(task, options);
      },
    };
    const config = {
      partition: 'iid',
      clients: 2,
      cohort: 2,
      'min-clients': 2,
      rounds: 2,
      'validation-fraction': 0.25,
    };
    const { baselines: rows } = await run({ ...config, baselines: 'tuned' }, { workload, trainer, baselines: 'tuned' });
    // 1 - w shrinks by 0.5, -0.5 or -2 a round: errors of w after two rounds 1/16, 1/16, 16; of 3 the first round is best, 4
    const { tuned } = rows.centralised!;
    assert.deepEqual(tuned, {
      ...{ grid: [0.5, 1.5, 3], seed: 1_000_003, metric: 'validation.error', scores: [0.0625, 0.0625, 4] },
      ...{ clientLr: 0.5, stoppedAt: { centralised: 2 }, budgetRounds: 3 * 2 + 2 },
    });
    assert.equal(rows.centralised!.metrics['test.error'], 0.0625);
    // three rates with two clients, and both again
    assert.deepEqual(
      [rows.local!.tuned!.budgetRounds, rows.local!.tuned!.stoppedAt],
      [3 * 2 * 2 + 2 * 2, { c1: 2, c2: 2 }],
    );
    const trials = seen.filter(({ work }) => work.seed === 1_000_003);
    assert.equal(trials.filter(({ kind }) => kind === 'train').length, 3 * 2 + 3 * 2 * 2);
    assert.ok(seen.every(({ work: { seed } }) => seed === 1 || seed === 1_000_003));
  });

  it('needs validation examples', () => {
    assert.throws(() => resolve(checkConfig({ ...settings(), baselines: 'tuned' }, 'test'), numbers), {
      message:
        'baselines: expected validation-fraction beside tuned, for rates are chosen on validation examples, got "none"',
    });
  });
});

describe('clients that train alone', () => {
  it('are all where they are few; where they are many, some of each size, and the one with the most examples', () => {
    assert.deepEqual(evenlyBySize([5, 9, 7], 10), [0, 1, 2]);
    // by size: 3 1 4 0 2 5, of which every second
    assert.deepEqual(evenlyBySize([4, 8, 3, 9, 5, 1], 3), [2, 3, 4]);
    assert.deepEqual(evenlyBySize([1, 1, 1, 1], 2), [0, 2]);
    assert.deepEqual(evenlyBySize([], 10), []);
  });
});

const settings = (config: Record<string, unknown> = {}) =>
  checkConfig({ workload: 'numbers', scale: 'smoke', baselines: 'all', ...config }, 'test');

const withManifest = (manifest: Partial<Workload['manifest']>): Workload<Float32Array> => {
  return { ...numbers, manifest: { ...numbers.manifest, ...manifest } };
};

describe('the private row', () => {
  const masked = withManifest({ phases: undefined });

  it('is the run with secure aggregation and the noise that the manifest asks for', () => {
    const { smoke } = masked.manifest.scales;
    const how = { privacy: 'distributed', 'noise-multiplier': 0.5, 'client-lr': 0.1 } as const;
    const scales = { ...masked.manifest.scales, smoke: { ...smoke, private: how } };
    const planned = federationsOf(settings(), withManifest({ phases: undefined, scales }));
    assert.deepEqual(planned.missing, []);
    assert.deepEqual(
      planned.federations.map(({ name, label }) => [name, label]),
      [['private', undefined]],
    );
    const { work } = planned.federations[0].resolved.spec;
    assert.deepEqual(
      [work.secure?.survivorsMin, work.privacy?.mode, work.privacy?.noiseMultiplier],
      [2, 'distributed', 0.5],
    );
    assert.equal(work.training.clientLr, 0.1);
    assert.equal(work.training.localSteps, resolve(settings(), masked).spec.work.training.localSteps);
  });

  for (const [why, config, manifest] of [
    ['the run itself is', { privacy: 'central' }, {}],
    [
      'secure-aggregation: expected numbers to say in its manifest how large each metric can be, got nothing; add "maskedMetrics: () => [{ name: \'METRIC\', size: 1, max: MOST_OF_ONE_EXAMPLE }]" (docs/workloads.md), or set secure-aggregation: false',
      {},
      { maskedMetrics: undefined },
    ],
    ['cohort: expected at least 3 with secure-aggregation, got 2', { cohort: 2 }, {}],
    ['privacy: expected example, which workload numbers is made for, got "distributed"', {}, { privacyUnits: [] }],
  ] as const) {
    it(`is left out, with the reason: ${why}`, () => {
      const workload = { ...masked, manifest: { ...masked.manifest, ...manifest } };
      const missing = [`no row "private": ${why}`];
      assert.deepEqual(federationsOf(settings(config), workload), { federations: [], missing });
    });
  }

  it('has the figures and the ε of that run, or says why there are none', async () => {
    const privacy = { mode: 'distributed', epsilon: 3, delta: 1e-5, accountant: 'pld', budget: null };
    const final = { metrics: { 'test.error': 2 }, perClient: {} };
    const ended = { status: 'completed', reason: null, final, rounds: [], privacy } as const;
    const row = (report: Omit<typeof ended, 'status' | 'reason'> & Pick<Report, 'status' | 'reason'>) => {
      const planned = { federations: [{ name: 'private' }], runAgain: async () => report };
      return federations(planned as unknown as BaselineInput);
    };
    assert.deepEqual(await row(ended), { private: { ...final, privacy, work: { rounds: 0 }, curve: [] } });
    assert.deepEqual(await row({ ...ended, status: 'failed', reason: 'too few' }), {
      private: { metrics: {}, perClient: {}, privacy, work: { rounds: 0 }, failures: { private: 'too few' } },
    });
  });
});

describe('a federation that a workload compares itself with', () => {
  const comparisons = [
    { name: 'two', label: 'two clients', settings: { clients: 2, hyper: { clients: 2 } } },
    { name: 'slow', label: 'for longer', settings: { rounds: 4 } },
  ];
  const workload = withManifest({ comparisons });

  before(() => selectBackend('cpu'));

  it('is the run again with those settings, and in everything else as the user said', async () => {
    const planned = federationsOf(settings({ cohort: 4, 'min-clients': 4 }), workload);
    assert.deepEqual(
      planned.missing.map((why) => why.split(':')[0]),
      ['no row "private"'],
    );
    const report = await run({ baselines: 'all' }, { federations: planned.federations });
    assert.deepEqual(Object.keys(report.baselines).sort(), [
      'centralised',
      'federated',
      'floors',
      'local',
      'population',
    ]);
    const { two, slow } = report.baselines.federated!;
    // Two training rounds towards the mean m of 1, 2 or of 1 .. 4: w = 3/4 m; with a third 7/8 m.
    const error = (w: number, clients: number[]) => clients.reduce((sum, j) => sum + (w - j) ** 2, 0) / clients.length;
    assert.equal(two.metrics['test.error'], error(0.75 * 1.5, [1, 2]));
    assert.deepEqual(Object.keys(two.perClient), ['c1', 'c2']);
    assert.equal(slow.metrics['test.error'], error(0.875 * 2.5, [1, 2, 3, 4]));
    assert.deepEqual([two.label, two.work, slow.work], ['two clients', { rounds: 3 }, { rounds: 4 }]);
    const alone = await run({ clients: 2, hyper: { clients: 2 } }, { baselines: 'none' });
    assert.deepEqual(two.metrics, alone.final.metrics);
  });

  it('is left out, with the reason, where the settings do not go together', () => {
    const one = [{ name: 'x', label: 'by no scheme', settings: { hyper: { nobody: 1 } } }];
    const { federations: none, missing } = federationsOf(settings(), withManifest({ comparisons: one }));
    assert.deepEqual(none, []);
    const why =
      'no row "federated, by no scheme": hyper.nobody: expected a key of numbers: clients, got "an unknown key"';
    assert.equal(missing.at(-1), why);
  });
});
