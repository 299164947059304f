/**
 * A run that stops when its figure has not improved, and keeps its best model. The workload's training target is 1 and its
 * test target 0.3: each round takes w to w + 0.1 (1 - w), so w = 1 - 0.9^t, and (w - 0.3)^2 is least in round 3, at
 * (0.271 - 0.3)^2 = 0.000841.
 */
import assert from 'node:assert/strict';
import { cpSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { checkConfig, loadWorkload, type Report, resolve, simulate } from 'starling-fl';
import { createTrainerPool, type TrainerPool } from 'starling-fl/client';
import { resultLines } from '../../cli/terminal/result.js';
import type { TaskRunner } from '../../client/training/task.js';
import { parseJournal } from '../../server/journal/journal.js';
import type { RunRecord } from '../../server/journal/records.js';
import { restore } from '../../server/round/restore.js';
import { checkRun } from '../../server/run/check.js';
import { sha256Of } from '../../shared/tensors/bytes.js';
import { decode } from '../../shared/tensors/safetensors.js';

const PEAK = fileURLToPath(new URL('../../../test/fixtures/workloads/peak.ts', import.meta.url));
const STOP = { 'stop-when': { metric: 'test.loss', patience: 3 } };
const REASON = 'test.loss has not improved in the last 3 evaluations; its best was 0.000841 in round 3';

describe('a run with stop-when', function () {
  this.timeout(60_000);
  let trainer: TrainerPool;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'starling-stop-'));
    trainer = await createTrainerPool({ workers: 1, backend: 'cpu', workloadModules: { peak: PEAK } });
  });

  after(async () => {
    await trainer.close();
    await rm(folder, { recursive: true, force: true });
  });

  it('ends three evaluations after its best, keeps that model, and says that the choice has spent the test data', async () => {
    const directory = join(folder, 'peak');
    const report = await run(STOP, directory);
    assert.deepEqual([report.status, report.reason, report.rounds.length], ['completed', REASON, 6]);
    assert.deepEqual(await best(directory, report), { round: 3, value: 0.000841, w: 0.271 });
    assert.ok(Object.keys(report.final.perClient).length > 0, 'the last evaluation is kept client by client');
    const checked = await checkRun(directory);
    assert.ok(checked.ok, JSON.stringify(checked));
    const line = resultLines(report).find((text) => text.startsWith('best '));
    assert.match(
      line!,
      /models\/best\.safetensors, of round 3: 0\.000841 .*chosen by these test data, which are spent/,
    );
    assert.match(await readFile(join(directory, 'report.html'), 'utf8'), /Best model.*best\.safetensors.*of round 3/s);
  });

  it('decides alike whenever its process ends, and after any of its records', async () => {
    const directory = join(folder, 'restarts');
    const killed: string[] = [];
    const expected = await run(STOP, directory, (kind, round, nth) => {
      if (nth !== 2) return;
      killed.push(join(folder, `${kind} ${round}`));
      cpSync(directory, killed.at(-1)!, { recursive: true });
    });
    assert.equal(killed.length, 12);
    for (const copy of killed) {
      const again = await run(STOP, copy);
      assert.deepEqual([again.reason, again.best, again.modelSha256], [REASON, expected.best, expected.modelSha256]);
      assert.deepEqual(await best(copy, again), { round: 3, value: 0.000841, w: 0.271 });
    }
    const records = parseJournal(await readFile(join(directory, 'journal.log'))).records as RunRecord[];
    const last = records.findLastIndex(({ kind }) => kind === 'round-ended');
    const [state, effects] = restore(records.slice(0, last + 1), 0);
    assert.deepEqual([state.status, state.reason], ['completed', REASON]);
    assert.ok(effects.some((effect) => effect.kind === 'record' && effect.record.kind === 'ended'));
    for (let at = 1; at < last; at++) assert.equal(restore(records.slice(0, at), 0)[0].status, 'running');
  });

  it('makes the best model again that a crash has left unwritten', async () => {
    const [directory, copy] = [join(folder, 'unwritten'), join(folder, 'rewritten')];
    await run(STOP, directory, (kind, round, nth) => {
      if (kind === 'train' && round === 5 && nth === 1) cpSync(directory, copy, { recursive: true });
    });
    await writeFile(join(copy, 'models', 'best.safetensors'), 'an older one');
    assert.deepEqual(await best(copy, await run(STOP, copy)), { round: 3, value: 0.000841, w: 0.271 });
  });

  it('goes on while the gain is more than min-delta, and to its end without patience', async () => {
    // gains: 0.0279 in round 2, 0.0113 in round 3
    const choosy = await run({ 'stop-when': 'test.loss:patience=2,min-delta=0.02' }, join(folder, 'choosy'));
    assert.deepEqual([choosy.rounds.length, choosy.best?.round], [4, 2]);
    const patient = await run({ 'stop-when': 'test.loss' }, join(folder, 'patient'));
    assert.deepEqual([patient.rounds.length, patient.best?.round, patient.reason], [20, 3, null]);
  });

  it('says at its end that no evaluation has had the metric, and is refused where that is known before', async () => {
    const other = { 'stop-when': 'test.f1:patience=2,better=higher' };
    const report = await run(other, join(folder, 'no such metric'));
    assert.equal(report.reason, 'stop-when: test.f1 was not in the last 2 evaluations; name one of the test figures');
    await assert.rejects(
      run({ 'stop-when': 'test.f1' }, join(folder, 'x')),
      /stop-when.better: expected higher or lower/,
    );
    const cnn = checkConfig({ workload: 'cnn', scale: 'smoke', ...other }, 'test');
    const workload = await loadWorkload('cnn');
    assert.throws(() => resolve(cnn, workload), /stop-when.metric: expected one of test.accuracy, .*got "test.f1"/);
    const never = { ...cnn, ...STOP, 'evaluate-every': 0 };
    assert.throws(() => resolve(never, workload), /evaluate-every: expected at least 1 with stop-when, got 0/);
  });

  async function run(
    options: Readonly<Record<string, unknown>>,
    directory: string,
    onTask: (kind: string, round: number, nth: number) => void = () => {},
  ): Promise<Report> {
    const config = checkConfig({ workload: PEAK, scale: 'smoke', ...options }, 'test');
    const workload = await loadWorkload(PEAK);
    const seen = new Map<string, number>();
    const watched: TaskRunner = {
      run(task, taskOptions) {
        const name = `${task.kind} ${task.round}`;
        seen.set(name, (seen.get(name) ?? 0) + 1);
        onTask(task.kind, task.round, seen.get(name)!);
        return trainer.run(task, taskOptions);
      },
    };
    const about = { workload, trainer: watched, backend: 'cpu', workers: 1, transport: 'memory', dropout: 0 } as const;
    return (await simulate({ ...resolve(config, workload), ...about, baselines: 'none', directory, resume: true }))
      .report;
  }
});

async function best(directory: string, { best }: Report) {
  const { params } = decode(await readFile(join(directory, best!.path)));
  assert.equal(sha256Of(params), best!.modelSha256);
  const digits = (value: number) => Number(value.toPrecision(5));
  return { round: best!.round, value: digits(best!.value), w: digits(params.values[0]) };
}
