/** A lab without training examples: the same in the clear, under secure aggregation and under privacy of examples. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Task, TaskRunner } from '../../client/training/task.js';
import type { PrivacySpec, RunSpec, WorkSpec } from '../../shared/run/spec.js';
import { toySpec, toyTrainer } from '../support/toy.js';
import { SECURE } from './hostile-coordinator.js';
import { Lab } from './lab.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];
const EMPTY = 'c4';
const ROUNDS = 3;
const privacy: PrivacySpec = {
  ...{ mode: 'example', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, samplingRate: 0.5 },
};
const MODES: Readonly<Record<string, Pick<WorkSpec, 'secure' | 'privacy'>>> = {
  'in the clear': {},
  'with secure aggregation': { secure: SECURE },
  'with privacy of examples': { privacy },
  'with both': { secure: SECURE, privacy },
};

function specOf(mode: string): RunSpec {
  const spec = toySpec({ rounds: ROUNDS, cohort: 4, minClients: 4, minSurvivors: 3, maxAttempts: 1 });
  return { ...spec, work: { ...spec.work, ...MODES[mode] } };
}

describe('a lab without training examples', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-empty-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  for (const mode of Object.keys(MODES)) {
    it(`says so once ${mode}, evaluates, releases nothing, and the others go on without it`, async () => {
      const done: Task[] = [];
      const trainer = (client: string): TaskRunner => ({
        ...toyTrainer((task) => void done.push(task)),
        count: async () => ({ train: client === EMPTY ? 0 : 5, test: 5 }),
      });
      const lab = await Lab.open(directory, NAMES, specOf(mode), { trainer });
      try {
        const { status, reason, rounds } = await lab.finish();
        assert.equal(status, 'completed', reason);
        const expected = { client: EMPTY, reason: 'dropout', detail: 'no training examples here' };
        assert.deepEqual(
          rounds.map(({ cohort, survivors, dropped }) => ({ cohort, survivors, dropped })),
          [
            { cohort: 4, survivors: 3, dropped: [expected] },
            { cohort: 3, survivors: 3, dropped: [] },
            { cohort: 3, survivors: 3, dropped: [] },
          ],
        );
        const own = done.filter(({ client }) => client === EMPTY).map(({ kind, round }) => `${kind} ${round}`);
        assert.deepEqual(own, ['evaluate 1', 'evaluate 2', 'evaluate 3']);
        const said = lab.notices.filter(({ client }) => client === EMPTY).map(({ message }) => message);
        assert.deepEqual(
          said.filter((message) => message !== 'connected' && message !== 'plan followed'),
          ['no training examples here'],
        );
        assert.deepEqual(await readdir(join(directory, EMPTY, 'releases')), []);
        const frames = lab.passed.filter(
          ({ client, way, task }) => client === EMPTY && way === 'up' && task.kind === 'train',
        );
        assert.deepEqual(frames, []); // it exchanged no keys, so its going costs no aggregation anything
      } finally {
        await lab.close();
      }
    });
  }

  it('leaves a run waiting for labs that can train, when the others are too few, and says for how many', async () => {
    const trainer = (client: string): TaskRunner => ({
      ...toyTrainer(),
      count: async () => ({ train: client === 'c1' ? 5 : 0, test: 5 }),
    });
    const spec = specOf('in the clear');
    const patient = { ...spec, engine: { ...spec.engine, maxAttempts: 2 } };
    const lab = await Lab.open(directory, NAMES, patient, { trainer });
    try {
      const { online, need } = await lab.hear('waiting', /"online":1,"need":3/);
      assert.deepEqual([online, need], [1, 3]);
    } finally {
      await lab.close();
    }
  });

  it('is found out before it is charged: what it is asked with costs nothing when it has no test example either', async () => {
    const tests = { noiseMultiplier: 1, evaluations: ROUNDS, metrics: [{ name: 'loss', size: 1, max: 1 }] };
    const spec = specOf('with privacy of examples');
    const noised = { ...spec, work: { ...spec.work, privacy: { ...privacy, tests } } };
    const trainer = (client: string): TaskRunner => ({
      ...toyTrainer(),
      count: async () => (client === EMPTY ? { train: 0, test: 0 } : { train: 5, test: 5 }),
    });
    const lab = await Lab.open(directory, NAMES, noised, { trainer });
    try {
      const { status, reason } = await lab.finish();
      assert.equal(status, 'completed', reason);
      assert.deepEqual(await readdir(join(directory, EMPTY, 'releases')), []);
      const said = lab.notices.filter(({ client, message }) => client === EMPTY && message !== 'connected');
      assert.deepEqual(
        said.map(({ message }) => message),
        ['no training examples here', 'no test examples here'],
      );
    } finally {
      await lab.close();
    }
  });
});
