/**
 * A thief of the coordinator's data, after a run under central privacy: what can be drawn again from its keys is taken off
 * the model, to see what is left of the noise.
 */
import assert from 'node:assert/strict';
import { copyFileSync, existsSync, readFileSync, statSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openNoise, seededNoise } from '../../server/run/noise.js';
import { type Rng, rngFromKey } from '../../shared/rng.js';
import { decodePrivately, latticeFor } from '../../shared/run/client-level-privacy.js';
import type { RoundPlan } from '../../shared/run/plan.js';
import type { RunSpec } from '../../shared/run/spec.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { decode } from '../../shared/tensors/safetensors.js';
import { planOf } from '../support/one-client.js';
import { toySpec } from '../support/toy.js';
import { coordinator, SECURE } from './hostile-coordinator.js';
import { Lab } from './lab.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];
/** Nobody is clipped: client i gives i / 2 in each of six elements. */
const PRIVACY = { mode: 'central', clippingBound: 5, noiseMultiplier: 2, delta: 1e-5, cohortMax: 4 } as const;
const MEAN = (0.5 + 1 + 1.5 + 2) / 4;

describe('a thief of a coordinator', () => {
  let directory: string;
  let lab: Lab;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'starling-central-'));
  });
  afterEach(async () => {
    await lab.close();
    await rm(directory, { recursive: true });
  });

  const run = () => join(directory, 'coordinator', 'runs', 'r');
  const noiseFile = () => join(run(), 'noise.key');

  function spec(rounds: number): RunSpec {
    const { work, engine } = toySpec({ rounds, evaluateEvery: 0 });
    return { engine, work: { ...work, privacy: PRIVACY, secure: { ...SECURE, weightCap: 1, trainMetrics: [] } } };
  }

  /** In the sum of the round, in model units: what the noise of this generator is. */
  function drawn(plan: RoundPlan, noise: Rng): number[] {
    const nothing = new Int32Array(latticeFor(plan.work, plan.round).length);
    return [...decodePrivately(plan, nothing, noise).sums];
  }

  it('cannot take the noise off a model: the secret that it was drawn from is gone with the run', async () => {
    const { work, ...rest } = spec(1);
    lab = await Lab.open(directory, NAMES, { work, ...rest });
    let stolen = new Uint8Array(0);
    lab.tap = ({ type }) => {
      if (type !== 'unmask' || stolen.length > 0) return;
      stolen = new Uint8Array(readFileSync(noiseFile()));
      assert.equal(statSync(noiseFile()).mode & 0o777, 0o600);
    };
    assert.equal((await lab.finish()).status, 'completed');
    const { modelSha256 } = await lab.report();
    const values = [...decode(await readFile(join(run(), 'models', `${modelSha256}.safetensors`))).params.values];
    const noise = values.map((value) => (value - MEAN) * NAMES.length);
    const plan = planOf({ work });
    const leftBy = (guess: readonly number[]) =>
      Math.hypot(...noise.map((value, i) => value - guess[i])) / Math.hypot(...noise);
    const byKey = leftBy(drawn(plan, seededNoise(coordinator).noiseOf(plan).split('group/0')));
    assert.ok(byKey > 0.3, `by the coordinator's key all but ${(100 * byKey).toFixed(2)} % of the noise comes off`);
    assert.equal(existsSync(noiseFile()), false);
    const label = canonicalJson({ run: 'r', kind: 'train', round: 1, attempt: 1, modelSha256: plan.modelSha256 });
    const bySecret = leftBy(drawn(plan, rngFromKey(stolen, `coordinator noise/${label}`).split('group/0')));
    assert.ok(bySecret < 0.01, `the secret that was there while the run went on: ${bySecret}`);
  });

  it('finds no secret of a run that was killed between its end and the erasure, once it is opened again', async () => {
    lab = await Lab.open(directory, NAMES, spec(2));
    const copy = join(directory, 'noise.copy');
    lab.tap = ({ type }) => {
      if (type === 'advertise' && existsSync(noiseFile())) copyFileSync(noiseFile(), copy);
    };
    await lab.finish();
    assert.equal(existsSync(noiseFile()), false);
    copyFileSync(copy, noiseFile());
    lab.killCoordinator();
    await lab.startCoordinator();
    assert.equal(existsSync(noiseFile()), false);
  });

  it('of version 0.1 finds what it found: a run without a secret goes on with the noise that it began with', async () => {
    lab = await Lab.open(directory, NAMES, spec(1));
    await lab.finish();
    const plan = planOf({ work: spec(1).work });
    const gone = await openNoise(run(), coordinator, false);
    assert.deepEqual(gone.noiseOf(plan).bytes(32), seededNoise(coordinator).noiseOf(plan).bytes(32));
  });
});
