/** What a trainer is handed for a task, and what is taken from it. */
import assert from 'node:assert/strict';
import { tasksOf } from '../../../client/round/tasks.js';
import { memoryReleases } from '../../../client/store/releases.js';
import { memoryStore } from '../../../client/store/updates.js';
import type { Task, TaskRunner } from '../../../client/training/task.js';
import { rngFromEntropy } from '../../../shared/rng.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { sha256Of } from '../../../shared/tensors/bytes.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { turns } from '../../support/hand-fed.js';
import { enterOne, planOf } from '../../support/one-client.js';
import { toyModel, toySpec, toyTrainer } from '../../support/toy.js';

describe('a task', () => {
  const head = (value: number) => ({ head: { shape: [1], data: Float32Array.of(value) } });

  function given(size = 6) {
    const asked: Task[] = [];
    const toy = toyTrainer();
    const run = (async (task: Task) => {
      asked.push(task);
      if (task.kind === 'evaluate') return toy.run(task);
      const { contribution, ...rest } = await toy.run(task);
      return { ...rest, contribution: { ...contribution, values: new Float32Array(size) } };
    }) as TaskRunner['run'];
    const store = memoryStore();
    const privacy = { noiseOf: rngFromEntropy, releases: memoryReleases() };
    const tasks = tasksOf({ store, trainer: { run }, client: 'c1', privacy }, async () => toyModel().values);
    return { asked, store, tasks };
  }

  it('of training begins with the private tensors of before its round, and its evaluation has those of after', async () => {
    const { asked, store, tasks } = given();
    for (const round of [1, 2]) await store.keepPrivateTensors('r', round, head(round));
    await tasks.train(planOf({ round: 2 }), {});
    await tasks.evaluate(planOf({ round: 2, kind: 'evaluate' }), {});
    await tasks.train(planOf({ round: 3 }), {});
    await tasks.evaluate(planOf({ round: 1, kind: 'evaluate' }), {});
    assert.deepEqual(
      asked.map(({ privateTensors }) => privateTensors?.head.data[0]),
      [1, 2, 2, 1],
    );
  });

  it('has a key for noise where noise is the trainer’s, and nowhere else', async () => {
    const { asked, tasks } = given();
    const common = { clippingBound: 1, noiseMultiplier: 1, delta: 1e-5 };
    const tests = { noiseMultiplier: 1, evaluations: 1, metrics: [{ name: 'loss', size: 1, max: 1 }] };
    const modes: (PrivacySpec | undefined)[] = [
      undefined,
      { mode: 'local', ...common, cohortMax: 4 },
      { mode: 'example', ...common, samplingRate: 1 },
      { mode: 'example', ...common, samplingRate: 1, tests },
    ];
    for (const [i, privacy] of modes.entries()) {
      const work = { ...toySpec().work, privacy };
      await tasks.train(planOf({ run: `r${i}`, work }), {});
      await tasks.evaluate(planOf({ run: `r${i}`, kind: 'evaluate', work }), {});
    }
    assert.deepEqual(
      asked.map(({ noiseKey }) => noiseKey?.length),
      [undefined, undefined, undefined, undefined, 32, undefined, 32, 32],
    );
  });

  it('gives as many numbers as its phase has, or fails', async () => {
    for (const size of [5, 7]) {
      await assert.rejects(given(size).tasks.train(planOf(), {}), {
        code: 'internal',
        message: `contribution: expected 6 numbers, got ${size}`,
      });
    }
  });
});

describe('a model that came with a plan', () => {
  it('is not taken for that of another plan which waits to begin', async () => {
    const other = toyModel();
    other.values[0] = 1;
    const first = { sha256: sha256Of(toyModel()), file: encode(toyModel()) };
    let go = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const seen: number[] = [];
    const trainer = toyTrainer(({ model }) => void seen.push(model[0]));
    const { coordinator } = await enterOne({ trainer, limit: (task) => held.then(task) });
    coordinator.download = async function* () {
      yield first.file;
    };
    coordinator.plan(planOf());
    const file = encode(other);
    coordinator.plan(planOf({ run: 's', modelSha256: sha256Of(other), modelSizeBytes: file.length }), { model: file });
    go();
    await turns();
    await turns();
    assert.deepEqual([seen, coordinator.all('decline')], [[0, 1], []]);
  });
});
