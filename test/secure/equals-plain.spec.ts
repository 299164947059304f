/**
 * A secure run and a plain one of the same clients end alike, up to the grid on which vectors are rounded; a secure run
 * and another secure one end alike to the bit, whatever carries them.
 *
 * The bound. One element of one client's update is rounded by less than one step, so their weighted mean is, too: q < step.
 * A toy client answers the model m with (i - m)/2, so an error e of the model becomes e - e/2 + q after the next round:
 * e_R < step (1 + 1/2 + 1/4 + ...) < 2 step. Float32 adds half a unit in the last place of numbers below 4, 2^-23 each,
 * for the mean and for the sum of a round: another 2 (2 x 2^-23) in all.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TaskRunner } from '../../client/training/task.js';
import type { MaskedMetric, RunSpec, SecureSpec } from '../../shared/run/spec.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { type SimulationOptions, simulate } from '../../simulations/simulate.js';
import { quantizationStep } from '../support/quantization.js';
import { toyModel, toySpec, toyTrainer, toyWorkload } from '../support/toy.js';
import { SECURE } from './hostile-coordinator.js';

const ROUNDS = 4;
const CLIENTS = 6;
const COHORT = 5;
const FLOAT = 2 ** -21;

const SPEC: SecureSpec = { ...SECURE, testMetrics: [{ name: 'loss', size: 1, max: 10 }] };
const STEP = quantizationStep(SPEC, COHORT);

describe('a secure run', () => {
  let directory: string;
  let count = 0;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-equals-'));
  });
  after(() => rm(directory, { recursive: true }));

  async function run(
    secure: boolean,
    { engine = {}, ...overrides }: Partial<SimulationOptions> & { engine?: Parameters<typeof toySpec>[0] } = {},
    spec: SecureSpec = SPEC,
  ) {
    const plain = toySpec({ rounds: ROUNDS, cohort: COHORT, minClients: CLIENTS, ...engine });
    const work: RunSpec['work'] = { ...plain.work, ...(secure && { secure: spec }) };
    const result = await simulate({
      ...{
        spec: { ...plain, work },
        model: toyModel(),
        clients: CLIENTS,
        workload: toyWorkload,
        trainer: toyTrainer(),
      },
      ...({ backend: 'none', workers: 2, transport: 'memory', dropout: 0, baselines: 'none' } as const),
      directory: join(directory, `${count++}`),
      ...overrides,
    });
    const { report } = result;
    const file = await readFile(join(result.directory, 'models', `${report.modelSha256}.safetensors`));
    const who = report.rounds.map(({ survivors, dropped }) => [
      survivors,
      dropped.map(({ client, reason }) => `${client} ${reason}`),
    ]);
    return { report, values: decode(file).params.values, who };
  }

  for (const dropout of [0, 0.2]) {
    it(`ends in the model of the plain run within two steps, at a drop-out of ${dropout}`, async () => {
      const plain = await run(false, { dropout });
      const secure = await run(true, { dropout });
      assert.equal(secure.report.status, 'completed');
      assert.deepEqual(secure.who, plain.who, 'the same survivors, and the same words about the others');
      if (dropout > 0)
        assert.ok(
          secure.who.some(([survivors]) => Number(survivors) < COHORT),
          'somebody did drop out',
        );
      for (const [i, value] of secure.values.entries()) {
        const error = Math.abs(value - plain.values[i]);
        assert.ok(error <= 2 * STEP + FLOAT, `element ${i}: ${error} beyond ${2 * STEP}`);
      }
    });

    it(`reports the pooled metrics of the plain run within the grid, at a drop-out of ${dropout}`, async () => {
      const plain = await run(false, { dropout });
      const secure = await run(true, { dropout });
      for (const [r, { metrics, survivors }] of secure.report.rounds.entries()) {
        const expected = plain.report.rounds[r].metrics;
        assert.deepEqual(Object.keys(metrics).sort(), Object.keys(expected).sort());
        // Training: steps of 2^23 - 1 in 256 (16 examples of at most 16); the model's own error halves into the loss.
        assertMean(metrics['train.loss'], expected['train.loss'], {
          survivors,
          sumStep: 256 / MAX,
          countStep: 16 / MAX,
          count: survivors,
          modelError: 2 * STEP,
        });
        // Evaluation counts up to 2^20 examples, so its steps are coarse: a hundred or so examples do not fill it.
        assertMean(metrics['test.loss'], expected['test.loss'], {
          survivors: CLIENTS,
          sumStep: (10 * 2 ** 20) / MAX,
          countStep: 2 ** 20 / MAX,
          count: 21,
          modelError: 6 * 7 * 2 * 2 * STEP,
        });
      }
    });
  }

  it('is the same to the bit over memory and over gRPC, and with one worker', async () => {
    const first = await run(true, { dropout: 0.2 });
    for (const other of [{ transport: 'grpc' }, { workers: 1 }] as const) {
      const { report } = await run(true, { dropout: 0.2, ...other });
      assert.equal(report.modelSha256, first.report.modelSha256);
      assert.deepEqual(report.final, first.report.final);
    }
  });

  for (const transport of ['memory', 'grpc'] as const) {
    it(`evaluates with sums too many for the control stream, over ${transport}`, async () => {
      const histogram: MaskedMetric = { name: 'histogram', size: 20_000, max: 1 }; // 80 KB
      const { report } = await run(
        true,
        { transport, trainer: withHistogram(histogram.size) },
        { ...SPEC, testMetrics: [...SPEC.testMetrics, histogram] },
      );
      assert.equal(report.status, 'completed');
      for (const { metrics } of report.rounds) assert.ok('test.loss' in metrics);
    });
  }

  it('goes on, unevaluated, when its evaluations ask too few for any sum', async () => {
    const { report } = await run(true, { engine: { evaluateClients: 2 } });
    assert.equal(report.status, 'completed');
    assert.deepEqual(
      report.rounds.map(({ metrics }) => Object.keys(metrics)),
      Array(ROUNDS).fill(['train.loss']),
    );
  });
});

/** Steps of the finest grid: 24 bits, one of them the sign. */
const MAX = 2 ** 23 - 1;

/**
 * |s'/n' - s/n| for s', n' that are off by at most one step for each survivor, and s by what the model's error makes of it:
 * (|ds| + (s/n) |dn|) / (n - |dn|).
 */
function assertMean(
  got: number,
  expected: number,
  {
    survivors,
    sumStep,
    countStep,
    count,
    modelError,
  }: { survivors: number; sumStep: number; countStep: number; count: number; modelError: number },
): void {
  const [sumError, countError] = [survivors * sumStep + count * modelError, survivors * countStep];
  const bound = (sumError + Math.abs(expected) * countError) / (count - countError);
  assert.ok(Math.abs(got - expected) <= bound, `${got} for ${expected}: beyond ${bound}`);
}

function withHistogram(size: number): TaskRunner {
  const toy = toyTrainer();
  const run: TaskRunner['run'] = async (task, options) => {
    const result = await toy.run(task, options);
    if (result.kind !== 'evaluate') return result;
    return { ...result, metrics: { ...result.metrics, histogram: { sum: Array<number>(size).fill(1), count: 1 } } };
  };
  return { run } as TaskRunner;
}
