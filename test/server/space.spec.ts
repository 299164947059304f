/** A disk that fills up: no round begins that might not end on it, what goes on ends, and the model is the same in the end. */
import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silent } from '../../server/log.js';
import type { Run } from '../../server/run/run.js';
import { type Space, shortage } from '../../server/space.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { openWorld, Peer, type World } from '../support/peer.js';
import { toyModel, toySpec } from '../support/toy.js';

const FILE = encode(toyModel());
const MIB = 2 ** 20;

class Disk implements Space {
  readonly directory = '/data';
  readonly reserveBytes = 64 * MIB;
  free = 1024 * MIB;
  freeBytes = async () => this.free;
}

/** Lets timers of the disk's watch fire, and what they begin come to its end. */
async function pass(world: World, run: Run): Promise<void> {
  world.clock.advance(2_000);
  for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve));
  await run.idle();
}

async function answerRound(run: Run, peers: readonly Peer[], round: number): Promise<void> {
  for (const kind of ['train', 'evaluate']) {
    for (const peer of peers) {
      const plan = peer.plans.findLast((plan) => plan.kind === kind && plan.round === round);
      if (plan !== undefined) await peer.answer(plan);
    }
    await run.idle();
  }
}

describe('a disk with little space', () => {
  it('pauses a run after the round that goes on, says why, and lets it go on to the same model', async () => {
    const models: string[] = [];
    for (const fills of [false, true]) {
      const disk = new Disk();
      const warned: object[] = [];
      const world = await openWorld(undefined, {
        space: disk,
        log: { ...silent, warn: (fields) => void warned.push(fields) },
      });
      const where = { id: 'r', directory: join(world.dataDir, 'runs', 'r') };
      const run = await world.coordinator.createRun(toySpec({ rounds: 3, evaluateEvery: 0 }), FILE, where);
      const peers = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(world, name));
      await run.idle();
      const reason =
        'disk of /data: expected 65 MiB free for a round and the reserve, got 64 MiB; next: free space, then it goes on by itself';
      if (fills) {
        disk.free = 64 * MIB; // a round of this model needs some bytes more
        await pass(world, run);
        assert.equal(run.state.stage.kind, 'training', 'it has room to end');
      }
      await answerRound(run, peers, 1);
      if (fills) {
        assert.deepEqual([run.state.stage.kind, run.state.round], ['waiting', 2]);
        const [info] = await world.coordinator.admin.listRuns();
        assert.equal(info.activity, `paused: ${reason}`);
        assert.deepEqual(warned, [{ run: 'r', reason }]);
        const { running, paused, why } = world.coordinator.state;
        assert.deepEqual({ running, paused, why }, { running: 1, paused: ['r'], why: reason });
        const other = { id: 'other', directory: join(world.dataDir, 'runs', 'other') };
        await assert.rejects(world.coordinator.createRun(toySpec(), FILE, other), {
          code: 'resource-exhausted',
          message: /^run not started: disk of \/data: expected 65 MiB .*, got 64 MiB; next: free space$/,
        });
        await pass(world, run);
        assert.equal(warned.length, 1, 'and says so once');
        disk.free += MIB;
        await pass(world, run);
      }
      for (const round of [2, 3]) await answerRound(run, peers, round);
      assert.equal(run.state.status, 'completed');
      models.push(run.state.modelSha256);
      await world.coordinator.close();
      assert.equal(world.clock.waiting, 0, 'no timer is left');
      assert.deepEqual(world.fatal, []);
      await rm(world.dataDir, { recursive: true });
    }
    assert.equal(models[0], models[1]);
  });

  it('pauses a run before its first plan when a coordinator starts on it, and its operator may still stop it', async () => {
    const disk = new Disk();
    const first = await openWorld(undefined, { space: disk });
    await first.coordinator.createRun(toySpec({ rounds: 3 }), FILE, {
      id: 'r',
      directory: join(first.dataDir, 'runs', 'r'),
    });
    await first.coordinator.close();
    disk.free = 0;
    const world = await openWorld(first.dataDir, { space: disk });
    const peers = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(world, name));
    await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(
      peers.flatMap(({ plans }) => plans),
      [],
    );
    await world.coordinator.admin.stopRun('r', 'no disk');
    assert.equal((await world.coordinator.admin.getRun('r')).info.status, 'stopped');
    await world.coordinator.close();
    await rm(first.dataDir, { recursive: true });
  });

  it('is short below the reserve and four models, not at it', () => {
    const of = (freeBytes: number) => shortage({ directory: '/d', reserveBytes: 1000 }, { freeBytes, modelBytes: 10 });
    assert.equal(of(1040), '');
    assert.match(of(1039), /^disk of \/d: /);
  });
});
