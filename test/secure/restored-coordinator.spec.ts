/**
 * A coordinator whose data were restored from a backup asks for rounds that its clients have answered. Nobody lied; still
 * no noise is drawn twice, and both sides are told what to do.
 */
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { PrivacySpec } from '../../shared/run/spec.js';
import { toySpec } from '../support/toy.js';
import { SECURE } from './hostile-coordinator.js';
import { Lab } from './lab.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];
const WORDS =
  /round 2 attempt \d is asked for after round 3 attempt 1 .*backup, stop this run there and start a new one/;

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

  for (const mode of ['local', 'distributed'] as const) {
    describe(`of a run in mode ${mode}`, () =>
      it('is declined in words that say what to do, at both sides', async () => {
        const { work, engine } = toySpec({ rounds: 3 });
        const privacy: PrivacySpec = { mode, clippingBound: 5, noiseMultiplier: 0.01, delta: 1e-5, cohortMax: 4 };
        const secure = { ...SECURE, weightCap: 1, trainMetrics: [] };
        lab = await Lab.open(directory, NAMES, { engine, work: { ...work, privacy, secure } });
        await new Promise<void>((resolve) => {
          lab.tap = ({ way, type, task }) => {
            if (way !== 'up' || type !== 'advertise' || task.kind !== 'train' || task.round !== 2) return;
            lab.tap = () => {};
            lab.backUpCoordinator();
            resolve();
          };
        });
        assert.equal((await lab.finish()).status, 'completed');

        await lab.restoreCoordinator();
        const { reason } = await lab.hear('round-aborted', /attempt 2/);
        assert.match(reason, /^0 of at least 2 updates \(c1, c2, c3, c4 refused: run r: /);
        assert.match(reason, WORDS);
        const { online, need } = await lab.hear('waiting', /"online":0/);
        assert.deepEqual([online, need], [0, 4], 'nobody is asked again');
        for (const name of NAMES) {
          const said = lab.notices.filter(({ client, message }) => client === name && message === 'plan declined');
          assert.match(JSON.stringify(said.at(-1)), WORDS, name);
        }
      }));
  }
});
