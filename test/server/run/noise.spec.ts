/** The coordinator's noise: which plans have the same, and that an erased secret draws none. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createNoise, openNoise, seededNoise } from '../../../server/run/noise.js';
import { systemFiles } from '../../../shared/disk/files.js';
import type { RoundPlan } from '../../../shared/run/plan.js';
import type { PrivacySpec } from '../../../shared/run/spec.js';
import { planOf } from '../../support/one-client.js';
import { identityOf } from '../../support/peer.js';
import { toySpec } from '../../support/toy.js';

const CENTRAL: PrivacySpec = { mode: 'central', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, cohortMax: 4 };
const workWith = (privacy: PrivacySpec) => ({ ...toySpec().work, privacy });
const plan = (change: Partial<RoundPlan> = {}) => planOf({ work: workWith(CENTRAL), ...change });
const tree = (change: Partial<RoundPlan> = {}) =>
  plan({ ...change, work: workWith({ ...CENTRAL, tree: { separation: 2 } }) });

describe('the noise of a run', () => {
  let directory: string;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-noise-'));
  });
  afterEach(() => rm(directory, { recursive: true, force: true }));

  const kinds = {
    'from a secret of its own': async () => {
      await createNoise(directory, workWith(CENTRAL), systemFiles);
      return openNoise(directory, identityOf('coordinator'), false);
    },
    'that follows from a key': async () => seededNoise(identityOf('coordinator')),
  };
  for (const [what, open] of Object.entries(kinds)) {
    it(`${what} is fresh in each attempt, round and run, equal when it is asked for again, and one for a tree`, async () => {
      const noise = await open();
      const of = (asked: RoundPlan) => Buffer.from(noise.noiseOf(asked).bytes(16)).toString('hex');
      const others = [
        { attempt: 2 },
        { round: 2 },
        { run: 's' },
        { modelSha256: 'f'.repeat(64) },
        { kind: 'evaluate' },
      ];
      const drawn = [{}, ...others].map((change) => of(plan(change as Partial<RoundPlan>)));
      assert.equal(new Set(drawn).size, drawn.length);
      assert.deepEqual([of(plan()), of(plan({ deadlineMs: 7 }))], [drawn[0], drawn[0]]);
      const spans = [{}, { round: 2 }, { round: 3, attempt: 2, modelSha256: 'f'.repeat(64) }].map((at) => of(tree(at)));
      assert.equal(new Set(spans).size, 1, 'the nodes of a tree are of no round');
      assert.notEqual(of(tree({ run: 's' })), spans[0]);
    });
  }

  it('is over once its secret is erased, here and at the next start', async () => {
    await createNoise(directory, workWith(CENTRAL), systemFiles);
    const noise = await openNoise(directory, identityOf('coordinator'), false);
    noise.noiseOf(plan());
    await noise.erase();
    assert.throws(() => noise.noiseOf(plan()), { code: 'failed-precondition', message: 'run r: its noise is over' });
    assert.deepEqual(await readdir(directory), []);
    await noise.erase(); // twice is no error
    await createNoise(directory, workWith(CENTRAL), systemFiles);
    const over = await openNoise(directory, identityOf('coordinator'), true);
    assert.throws(() => over.noiseOf(plan()), /its noise is over/);
    assert.deepEqual(await readdir(directory), []);
  });
});
