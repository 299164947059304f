/**
 * A run with validation examples chooses its model by them, and says so. Training target 1, validation target 0.5, test
 * target 0.3: each round takes w to w + 0.1 (1 - w), so w = 1 - 0.9^t. (w - 0.5)^2 is least in round 7, where w = 0.5217031,
 * at 0.00047103, and (w - 0.3)^2 is 0.04915227 there; by test examples round 3 would be chosen, at 0.000841.
 */
import assert from 'node:assert/strict';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkConfig, loadWorkload, type Report, resolve, simulate } from 'starling-fl';
import { createTrainerPool, type TrainerPool } from 'starling-fl/client';
import { resultLines } from '../../cli/terminal/result.js';
import { checkRun } from '../../server/run/check.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { notesOn } from '../../simulations/config/notes.js';

const FIXTURES = fileURLToPath(new URL('../../../test/fixtures/workloads/', import.meta.url));
const PEAK = join(FIXTURES, 'peak-validation.ts');
const OLD = join(FIXTURES, 'peak.ts');

describe('a run with validation examples', function () {
  this.timeout(90_000);
  let trainer: TrainerPool;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-validation-'));
    const workloadModules = { 'peak-validation': PEAK, peak: OLD };
    trainer = await createTrainerPool({ workers: 1, backend: 'cpu', workloadModules });
  });

  after(async () => {
    await trainer.close();
    await rm(folder, { recursive: true, force: true });
  });

  const digits = (value: number | undefined) => Number(value?.toPrecision(5));

  for (const [name, options, within] of [
    ['in the clear', { 'stop-when': 'loss:patience=3' }, 0],
    ['in the clear, asked for by the test figure', { 'stop-when': { metric: 'test.loss', patience: 3 } }, 0],
    ['under secure aggregation', { 'stop-when': 'validation.loss:patience=3', 'secure-aggregation': true }, 1e-6],
  ] as const) {
    it(`chooses by validation, stops by it, and tells the test figure of what it chose: ${name}`, async () => {
      const directory = join(folder, name.replaceAll(' ', '-'));
      const report = await run(PEAK, options, directory);
      const { best } = report;
      const close = (got: number | undefined, expected: number) =>
        assert.ok(Math.abs(got! - expected) <= within + 1e-7, `expected ${expected}, got ${got}`);
      assert.deepEqual([best?.round, best?.metric, best?.split], [7, 'validation.loss', 'validation']);
      close(best?.value, 0.00047103);
      assert.deepEqual(Object.keys(best!.test!), ['test.loss']);
      close(best?.test?.['test.loss'], 0.04915227);
      assert.equal(report.rounds.length, 10);
      assert.ok((await checkRun(directory)).ok, 'its ledger and its models are as they say');
      const { params } = decode(await readFile(join(directory, best!.path)));
      close(params.values[0], 0.5217031);
      const line = resultLines(report).find((text) => text.startsWith('best '));
      assert.match(
        line!,
        /of round 7: 0\.000471 validation loss. It was chosen by these validation data; on test data, which the choice has not seen, it has 0\.04915 test loss/,
      );
      const masked = 'secure-aggregation' in options;
      assert.deepEqual(report.evaluated?.validation, { examples: 9, ...(!masked && { clients: 3 }) });
      const html = await readFile(join(directory, 'report.html'), 'utf8');
      assert.match(html, /chosen by these validation data/);
    });
  }

  it('is told before it begins by what its model will be chosen', async () => {
    const notes = async (file: string, options: object) => notesOn(await resolved(file, options));
    assert.deepEqual(await notes(PEAK, { 'stop-when': 'test.loss' }), [
      'note: stop-when chooses by validation.loss; the test figures of the model that it chooses are told beside it',
    ]);
    assert.deepEqual(await notes(OLD, { 'stop-when': 'loss' }), [
      'note: stop-when chooses by test.loss, which spends the test examples; validation-fraction: 0.1 holds out others to choose by',
    ]);
  });

  it('holds out training examples where the workload has no validation split: they train nothing, and weigh nothing', async () => {
    // of 8 examples of a split a half is 4; the two clients hold what iid gives them
    const report = await run(OLD, { 'validation-fraction': 0.5, rounds: 1, 'batch-size': 8 }, join(folder, 'held out'));
    assert.equal(report.evaluated?.validation?.examples, 4);
    // all of 4 examples in one batch: w = 0.1 after a step, and the target of held out training examples is 1, not 0.3
    assert.equal(digits(report.final.metrics['validation.loss']), 0.81);
    assert.equal(digits(report.final.metrics['test.loss']), 0.04);
    const spec = (await resolved(OLD, { 'validation-fraction': 0.5 })).spec;
    for (const index of [0, 1]) {
      const { train, validation } = await trainer.count({ work: spec.work, slice: { index, count: 2 } });
      assert.equal(train + validation!, 4);
    }
  });

  it('is refused where it cannot be meant, in words', async () => {
    await assert.rejects(
      resolved(PEAK, { 'validation-fraction': 0.1 }),
      /validation-fraction: expected none, for peak-validation has a validation split of its own, got 0.1/,
    );
    await assert.rejects(resolved(OLD, { 'validation-fraction': 0.9 }), /validation-fraction.*0\.5/);
    await assert.rejects(
      resolved(OLD, { 'stop-when': 'validation.loss' }),
      /stop-when.metric: expected test.loss, for the run has no validation examples \(validation-fraction: 0.1 holds some out\), got "validation.loss"/,
    );
  });

  async function resolved(file: string, options: object) {
    return resolve(checkConfig({ workload: file, scale: 'smoke', ...options }, 'test'), await loadWorkload(file));
  }

  async function run(file: string, options: object, directory: string): Promise<Report> {
    const workload = await loadWorkload(file);
    const about = { workload, trainer, backend: 'cpu', workers: 1, transport: 'memory', dropout: 0 } as const;
    return (await simulate({ ...(await resolved(file, options)), ...about, baselines: 'none', directory })).report;
  }
});
