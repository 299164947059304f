/**
 * The trainer pool: what it computes does not depend on its threads, and what goes wrong in one of them stays there.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createTrainerPool, type TrainerPool } from '../../../client/training/pool.js';
import { initialModel, type TrainTask } from '../../../client/training/task.js';
import { loadWorkload } from '../../../client/workloads/index.js';
import { FlError } from '../../../shared/errors.js';
import type { WorkSpec } from '../../../shared/run/spec.js';
import { updateChannel } from '../../../shared/tensors/channels.js';
import { packTensors } from '../../../shared/tensors/params.js';

const EXAMPLE = resolve('docs/examples/my-workload.ts');
const CLIENTS = 4;

/** The example's first round, for each of its clients; `hyper.trap` says how the trapped variant fails. */
async function tasks(workload: string, hyper: WorkSpec['hyper'] = {}): Promise<TrainTask[]> {
  const example = await loadWorkload(EXAMPLE);
  const { scales } = example.manifest;
  const { layout, values } = packTensors(initialModel(example, { hyper: scales.smoke.hyper, seed: 3 }).shared);
  const model = layout.map(({ name, shape }) => ({ name, shape }));
  const work: WorkSpec = {
    workload,
    scale: 'smoke',
    hyper: { ...scales.smoke.hyper, ...hyper },
    training: {
      ...{ momentum: 0, weightDecay: 0, gradientClipNorm: 0, lrSchedule: 'constant', proximalMu: 0 },
      ...scales.smoke.training,
    },
    partition: 'natural',
    seed: 3,
    rounds: 1,
    phases: [{ name: 'train', channels: [updateChannel(model)] }],
    model,
  };
  return Array.from({ length: CLIENTS }, (_, index) => ({
    ...{ kind: 'train', work, client: `client-${index}`, slice: { index, count: CLIENTS } },
    ...{ round: 1, model: values, modelSha256: 'first' },
  }));
}

/** For one suite: opens pools that know the example and its trapped variant, and closes them after each test. */
function usePools(): (workers: number) => Promise<TrainerPool> {
  let folder: string;
  const pools: TrainerPool[] = [];
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-pool-'));
    await writeFile(
      join(folder, 'trapped.ts'),
      `import example from ${JSON.stringify(EXAMPLE)};
       export default { ...example, manifest: { ...example.manifest, name: 'trapped' }, async train(shared, own, data, { hyper }) {
         if (hyper.trap === 'dies') process.exit(7);
         if (hyper.trap === 'throws') throw new RangeError('too hot');
         return { contribution: { values: new Float32Array(3), weights: [1], metrics: {} } };
       } };`,
    );
  });
  afterEach(() => Promise.all(pools.splice(0).map((pool) => pool.close())));
  after(() => rm(folder, { recursive: true, force: true }));
  return async (workers) => {
    const workloadModules = { example: EXAMPLE, trapped: join(folder, 'trapped.ts') };
    const pool = await createTrainerPool({ workers, backend: 'cpu', workloadModules });
    pools.push(pool);
    return pool;
  };
}

describe('a trainer pool', () => {
  const open = usePools();

  it('gives the same bits with one thread and with two, and says which back end it uses', async () => {
    const round = await tasks('example');
    const results = await Promise.all(
      [1, 2].map(async (workers) => {
        const pool = await open(workers);
        assert.equal(pool.backend.name, 'cpu');
        return Promise.all(round.map((task) => pool.run(task)));
      }),
    );
    assert.deepEqual(results[1], results[0]);
    assert.equal(new Set(results[0].map(({ contribution }) => contribution.values.join())).size, CLIENTS);
  });

  it('counts the examples of a client as its site holds them out', async () => {
    const pool = await open(1);
    const [{ work, slice }] = await tasks('example');
    const all = await pool.count({ work, slice });
    const { train, validation } = await pool.count({ work, slice, site: { validationFraction: 0.5 } });
    assert.ok(validation! > 0 && train + validation! === all.train, JSON.stringify({ all, train, validation }));
  });

  it('evaluates, reports progress, and leaves the caller its model', async () => {
    const pool = await open(1);
    const [task] = await tasks('example');
    const copy = task.model.slice();
    const progress: string[] = [];
    const onProgress = (done: number, total: number) => progress.push(`${done}/${total}`);
    const { contribution } = await pool.run(task, { onProgress });
    const steps = Math.ceil(contribution.weights[0] / task.work.training.batchSize);
    assert.equal(progress.at(-1), `${steps}/${steps}`);
    const { metrics } = await pool.run({ ...task, kind: 'evaluate' });
    assert.ok(metrics.error.count > 0 && metrics.error.count < 100); // a quarter of the 100 test examples, or so
    assert.deepEqual(task.model, copy);
  });
});

describe('a trainer pool in trouble', () => {
  const open = usePools();

  it('fails the task of a thread that dies, and goes on with a new thread', async () => {
    const pool = await open(1);
    const [deadly] = await tasks('trapped', { trap: 'dies' });
    const [, sound] = await tasks('example');
    const outcomes = await Promise.allSettled([pool.run(deadly), pool.run(sound)]);
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['rejected', 'fulfilled'],
    );
    const { reason } = outcomes[0] as PromiseRejectedResult;
    assert.ok(reason instanceof FlError && reason.code === 'internal');
    assert.match(reason.message, /a training thread ended \(exit code 7\)/);
  });

  it('passes on what a task threw, and refuses a contribution that was not declared', async () => {
    const pool = await open(1);
    const [throws] = await tasks('trapped', { trap: 'throws' });
    await assert.rejects(pool.run(throws), new FlError('invalid-argument', 'trapped.ts:4:45: RangeError: too hot'));
    const [lies] = await tasks('trapped', { trap: 'lies' });
    const message = 'contribution of trapped in phase train: expected 97 values, got 3';
    await assert.rejects(pool.run(lies), new FlError('invalid-argument', message));
    const [unknown] = await tasks('unheard-of');
    await assert.rejects(pool.run(unknown), (error) => error instanceof FlError && error.code === 'not-found');
    const [path] = await tasks(EXAMPLE);
    await assert.rejects(pool.run(path), (error) => error instanceof FlError && error.code === 'permission-denied');
  });

  it('cancels a queued and a running task, and computes the next', async () => {
    const pool = await open(1);
    const [long, queued, next] = await tasks('example');
    const endless = { ...long, work: { ...long.work, training: { ...long.work.training, localEpochs: 1e6 } } };
    const [first, second] = [new AbortController(), new AbortController()];
    const running = pool.run(endless, { signal: first.signal, onProgress: () => first.abort() });
    const waiting = pool.run(queued, { signal: second.signal });
    const last = pool.run(next);
    second.abort();
    const aborted = (error: unknown) => error instanceof FlError && error.code === 'aborted';
    await assert.rejects(waiting, aborted);
    await assert.rejects(running, aborted);
    assert.ok((await last).contribution.weights[0] > 0);
    await assert.rejects(pool.run(queued, { signal: first.signal }), aborted);
  });

  it('rejects what is under way when it is closed, and everything after that', async () => {
    const pool = await open(1);
    const round = await tasks('example');
    const outcomes = Promise.allSettled(round.map((task) => pool.run(task)));
    await pool.close();
    for (const outcome of await outcomes) assert.match(String((outcome as PromiseRejectedResult).reason), /closed/);
    await assert.rejects(pool.run(round[0]), /the trainer pool was closed/);
    await pool.close(); // twice does no harm
  });

  it('does not open without a back end or without a thread', async () => {
    const started: unknown[] = [];
    const onWorker = (worker: unknown) => started.push(worker);
    process.on('worker', onWorker);
    try {
      await assert.rejects(createTrainerPool({ workers: 1, backend: 'abacus' }), FlError);
      assert.equal(started.length, 0, 'before a thread is started');
    } finally {
      process.off('worker', onWorker);
    }
    await assert.rejects(createTrainerPool({ workers: 0 }), /workers: expected an integer from 1 to 256, got 0/);
  });
});
