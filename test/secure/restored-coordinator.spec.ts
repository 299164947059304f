/**
 * A coordinator whose data were restored from a backup asks for what its clients have answered. Nobody lied; still no noise
 * is drawn twice and no round is made twice. What it had signed, its clients show it: attempts that it has forgotten it
 * passes over, and a run of which it has forgotten a round ends, in words that say what to do.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PrivacySpec } from '../../shared/run/spec.js';
import { toySpec } from '../support/toy.js';
import { SECURE } from './hostile-coordinator.js';
import { Lab, type Passing } from './lab.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];
const FORGOTTEN =
  /^round 3 is in a model, by this coordinator's own signature, which c\d has shown; these data know of 1: .* older backup.*initial-model: models\/[0-9a-f]{64}\.safetensors of this run's folder, the model of round 1$/;

describe('a coordinator that was restored from a backup', () => {
  let directory: string;
  let lab: Lab;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-restored-'));
  });
  afterEach(async () => {
    await lab.close();
    await rm(directory, { recursive: true });
  });

  /** When the first frame of this type comes up in round 2. */
  const passing = (type: Passing['type'], attempt: number) =>
    new Promise<void>((resolve) => {
      lab.tap = ({ way, type: of, task }) => {
        if (way !== 'up' || of !== type || task.kind !== 'train' || task.round !== 2 || task.attempt !== attempt)
          return;
        lab.tap = () => {};
        if (attempt === 1) lab.backUpCoordinator();
        resolve();
      };
    });

  for (const mode of ['none', 'local', 'distributed'] as const) {
    describe(`of a run in mode ${mode}`, () => {
      beforeEach(async () => {
        const { work, engine } = toySpec({ rounds: 3 });
        const privacy: PrivacySpec | undefined =
          mode === 'none' ? undefined : { mode, clippingBound: 5, noiseMultiplier: 0.01, delta: 1e-5, cohortMax: 4 };
        const secure = mode === 'none' ? SECURE : { ...SECURE, weightCap: 1, trainMetrics: [] };
        lab = await Lab.open(directory, NAMES, { engine, work: { ...work, ...(privacy && { privacy }), secure } });
      });

      it('ends it where a round is forgotten, in words that say what to do, and asks nobody', async () => {
        await passing('advertise', 1);
        assert.equal((await lab.finish()).status, 'completed');
        await lab.restoreCoordinator();
        const before = lab.passed.length;
        const { status, reason } = await lab.finish();
        assert.equal(status, 'failed');
        assert.match(reason, FORGOTTEN);
        assert.deepEqual(lab.passed.slice(before), []);
        await assert.rejects(lab.resume(), { message: FORGOTTEN });
      });

      it('goes on above the attempts that are forgotten', async () => {
        await passing('masked', 1);
        for (const attempt of [2, 3]) {
          lab.killCoordinator();
          const next = passing('masked', attempt);
          await lab.startCoordinator();
          await next;
        }
        await lab.restoreCoordinator();
        const { status, reason, rounds } = await lab.finish();
        assert.deepEqual([status, reason], ['completed', '']);
        assert.deepEqual(
          rounds.map(({ round, attempt, survivors }) => [round, attempt, survivors]),
          [
            [1, 1, 4],
            [2, 4, 4],
            [3, 1, 4],
          ],
        );
      });
    });
  }
});
