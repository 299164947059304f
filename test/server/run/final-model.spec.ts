/** The files of a run's models: what each says of itself, and the one that a person takes when the run has ended. */
import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { checkRun } from '../../../server/run/check.js';
import { decode, encode } from '../../../shared/tensors/safetensors.js';
import { VERSION } from '../../../shared/version.js';
import { openWorld, Peer, type World } from '../../support/peer.js';
import { toyModel, toySpec } from '../../support/toy.js';

describe('the model files of a run', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
  });
  afterEach(() => world.coordinator.close());

  async function startRun() {
    const directory = join(world.dataDir, 'runs', 'r');
    const run = await world.coordinator.createRun(toySpec({ rounds: 2, evaluateEvery: 0 }), encode(toyModel()), {
      id: 'r',
      directory,
    });
    const peers = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(world, name));
    await run.idle();
    const round = async () => {
      for (const peer of peers) await peer.answer(peer.plans.at(-1));
      await run.idle();
    };
    return { run, round, models: join(directory, 'models'), directory };
  }

  const metadataIn = async (path: string) => decode(await readFile(path)).metadata;
  const about = { workload: 'toy', hyper: '{}', run: 'r', version: VERSION };

  it('say workload, settings, run, round and version, under the hash of their parameters alone', async () => {
    const { run, round, models } = await startRun();
    assert.deepEqual(await metadataIn(join(models, `${run.model.sha256}.safetensors`)), { ...about, round: '0' });
    await round();
    assert.deepEqual(await metadataIn(join(models, `${run.model.sha256}.safetensors`)), { ...about, round: '1' });
    assert.deepEqual(decode(run.model.file).metadata, {}, 'what clients load has the same bytes after a restart');
  });

  it('have the last one under a name that people find, once the run has ended', async () => {
    const { run, round, models, directory } = await startRun();
    await round();
    assert.ok(!(await readdir(models)).includes('final.safetensors'));
    await round();
    world.clock.advance(60_000); // nobody judges it
    await run.idle();
    assert.equal(run.state.status, 'completed');
    const final = join(models, 'final.safetensors');
    assert.deepEqual(await readFile(final), await readFile(join(models, `${run.model.sha256}.safetensors`)));
    assert.deepEqual(await metadataIn(final), { ...about, round: '2' });
    assert.equal((await checkRun(directory)).ok, true);
    await writeFile(final, encode(toyModel()));
    const check = await checkRun(directory);
    assert.deepEqual(check.ok ? {} : { file: check.file }, { file: 'models/final.safetensors' });
  });

  it('have none of a run that was stopped and goes on', async () => {
    const { run, round, models } = await startRun();
    await round();
    await world.coordinator.admin.stopRun('r', 'lunch');
    assert.equal((await metadataIn(join(models, 'final.safetensors'))).round, '1');
    await world.coordinator.admin.resumeRun('r');
    await run.idle();
    assert.ok(!(await readdir(models)).includes('final.safetensors'));
  });
});
