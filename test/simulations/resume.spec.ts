/** A simulation that was ended at any moment goes on, and ends in the model and the figures of one that never was. */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkConfig, loadWorkload, type Report, resolve, simulate } from 'starling-fl';
import { createTrainerPool, type TrainerPool } from 'starling-fl/client';
import type { Task, TaskRunner } from '../../client/training/task.js';
import { checkRun } from '../../server/run/check.js';
import type { Params } from '../../shared/tensors/params.js';

const BASE = { workload: 'cnn', scale: 'smoke', rounds: 3, 'local-epochs': 1, seed: 3, backend: 'wasm' };
const SIX = { ...BASE, clients: 6, cohort: 6, 'min-survivors': 2 };
const SECURE = { 'secure-aggregation': true, 'adversary-fraction': 0 };

/** What a run is drawn from differs in each: cohorts, drop-outs, attempts, masks, noise, moments, private tensors. */
const KINDS: Readonly<Record<string, Readonly<Record<string, unknown>>>> = {
  'some of the clients in each round': { ...BASE, clients: 6, cohort: 3, strategy: 'fedadam:lr=0.01' },
  'drop-outs that make rounds repeat': { ...SIX, dropout: 0.5, 'min-survivors': 4, 'max-attempts': 50 },
  'secure aggregation with drop-outs': { ...SIX, ...SECURE, dropout: 0.3 },
  'distributed noise, and drop-outs': { ...SIX, ...SECURE, dropout: 0.2, privacy: 'distributed' },
  'noise of the coordinator, in a tree': {
    ...SIX,
    rounds: 4,
    cohort: 2,
    privacy: 'central',
    noise: 'tree',
    separation: 2,
  },
  'tensors that never leave their client': { ...BASE, workload: 'misa', clients: undefined, 'local-epochs': 1 },
};

describe('a simulation that is resumed', function () {
  this.timeout(120_000);
  let trainer: TrainerPool;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-resume-'));
    trainer = await createTrainerPool({ workers: 1, backend: 'wasm' });
  });

  after(async () => {
    await trainer.close();
    await rm(folder, { recursive: true, force: true });
  });

  for (const [kind, options] of Object.entries(KINDS)) {
    it(`ends as if it had never been interrupted: ${kind}`, async () => {
      const killed: string[] = [];
      const expected = await run(options, join(folder, kind), {
        onTask(task, nth) {
          // what a kill leaves: in the middle of training, and of the evaluation of a model that is committed
          if (task.round !== 2 || nth !== 2) return;
          const copy = join(folder, `${kind} ${task.kind}`);
          killed.push(copy);
          cpSync(join(folder, kind), copy, { recursive: true });
        },
      });
      assert.equal(expected.status, 'completed', expected.reason ?? '');
      assert.equal(killed.length, 2);
      for (const { metrics } of expected.rounds) assert.ok('central.first' in metrics);
      assert.equal(expected.final.metrics['central.first'], expected.rounds.at(-1)!.metrics['central.first']);
      for (const directory of killed) {
        let first = 0;
        const resumed = await run(options, directory, { onTask: ({ round }) => (first ||= round) });
        assertSame(resumed, expected);
        assert.equal(first, 2, 'it went on, and did not begin again');
        const checked = await checkRun(directory);
        assert.ok(checked.ok, JSON.stringify(checked));
      }
    });
  }

  it('goes on after it was stopped in the middle of an evaluation, which is done again', async () => {
    const options = { ...SIX, rounds: 2 };
    const expected = await run(options, join(folder, 'not stopped'));
    for (const round of [1, 2]) {
      const [directory, abort] = [join(folder, `stopped ${round}`), new AbortController()];
      await run(options, directory, {
        onTask: (task, nth) => void (task.kind === 'evaluate' && task.round === round && nth === 2 && abort.abort()),
        signal: abort.signal,
      });
      assertSame(await run(options, directory), expected);
    }
  });

  it('that is complete stays as it is', async () => {
    const directory = join(folder, 'complete');
    const expected = await run(BASE, directory);
    assertSame(await run(BASE, directory, { onTask: ({ kind, round }) => assert.fail(`${kind} ${round}`) }), expected);
  });

  /** What `starling simulate` does; `onTask` is told of each task, and the how many-th of its kind and round it is. */
  async function run(
    options: Readonly<Record<string, unknown>>,
    directory: string,
    { onTask, signal }: { onTask?: (task: Task, nth: number) => void; signal?: AbortSignal } = {},
  ): Promise<Report> {
    const config = checkConfig(options, 'test');
    const workload = await loadWorkload(config.workload);
    const clients = Number(config.clients ?? workload.manifest.scales.smoke.clients);
    const resolved = resolve({ 'min-clients': clients, ...config }, workload);
    const { transport, dropout } = config;
    const seen = new Map<string, number>();
    const watched: TaskRunner = {
      run(task, taskOptions) {
        const name = `${task.kind} ${task.round}`;
        seen.set(name, (seen.get(name) ?? 0) + 1);
        onTask?.(task, seen.get(name)!);
        return trainer.run(task, taskOptions);
      },
    };
    const about = { ...resolved, workload, trainer: watched, backend: 'wasm', workers: 1, transport, dropout, signal };
    return (await simulate({ ...about, baselines: 'none', directory, resume: true, judge })).report;
  }
});

/** A central test set, as far as a simulation knows of it. */
async function judge({ values }: Params) {
  return { metrics: { 'central.first': values[0] }, examples: 1 };
}

function assertSame(report: Report, expected: Report): void {
  const figures = ({ status, rounds, modelSha256, final }: Report) => ({
    ...{ status, modelSha256, final },
    rounds: rounds.map(({ durationMs: _, overheadMs: __, ...round }) => round),
  });
  assert.deepEqual(figures(report), figures(expected));
}
