/**
 * A coordinator starts again whatever is in its data directory: what was cut short is no run and no fault, what is damaged
 * is named and set aside, and the other runs are what they were.
 */
import assert from 'node:assert/strict';
import { appendFile, cp, mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openJournal } from '../../../server/journal/journal.js';
import { silent } from '../../../server/log.js';
import { isOfMachine } from '../../../server/run/damaged.js';
import { createRun } from '../../../server/run/directory.js';

import { storedRuns } from '../../../server/run/stored.js';
import { diskError } from '../../../shared/disk/files.js';
import type { FlError } from '../../../shared/errors.js';
import { rngFromSeed } from '../../../shared/rng.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { DyingFiles } from '../../support/dying-files.js';
import { FakeClock } from '../../support/fake-clock.js';
import { coordinatorIdentity, openWorld, Peer, type World } from '../../support/peer.js';
import { toyModel, toySpec } from '../../support/toy.js';

const FILE = encode(toyModel());

describe('the runs in a data directory', () => {
  let runs: string;

  beforeEach(async () => {
    runs = await mkdtemp(join(tmpdir(), 'starling-runs-'));
  });
  afterEach(() => rm(runs, { recursive: true }));

  it('are none when there is no folder', async () => {
    assert.deepEqual(await storedRuns(join(runs, 'nowhere'), silent), []);
  });

  it('are not none when the folder cannot be read', async () => {
    await writeFile(join(runs, 'file'), '');
    await assert.rejects(storedRuns(join(runs, 'file'), silent), { code: 'ENOTDIR' });
  });

  it('are those whose first record is on the disk, however much of another version 0.1 had written', async () => {
    await mkdir(join(runs, 'whole'));
    const path = join(runs, 'whole', 'journal.log');
    const { journal } = await openJournal(path);
    await journal.append({ kind: 'created' });
    await journal.close();
    const bytes = await readFile(path);
    await mkdir(join(runs, 'no-journal'));
    const header = 8;
    for (let size = header; size < bytes.length; size++) {
      await mkdir(join(runs, `cut-${size}`));
      await writeFile(join(runs, `cut-${size}`, 'journal.log'), bytes.subarray(0, size)); // the header comes whole, by a rename
    }
    assert.deepEqual(await storedRuns(runs, silent), [join(runs, 'whole')]);
  });

  it('that are damaged are not passed over, nor is one that began and has lost its journal', async () => {
    await mkdir(join(runs, 'damaged'));
    await writeFile(join(runs, 'damaged', 'journal.log'), 'nothing of ours');
    await mkdir(join(runs, 'lost'));
    await writeFile(join(runs, 'lost', 'ledger.jsonl'), '{}\n');
    assert.deepEqual(await storedRuns(runs, silent), [join(runs, 'damaged'), join(runs, 'lost')]);
  });
});

describe('a run that says which model it starts from', () => {
  it('is not made with another', async () => {
    const { work, engine } = toySpec({ rounds: 1 });
    const world = await openWorld();
    try {
      const spec = { engine, work: { ...work, initialModel: 'd'.repeat(64) } };
      const made = world.coordinator.createRun(spec, FILE, { id: 'r', directory: join(world.dataDir, 'runs', 'r') });
      await assert.rejects(made, { code: 'invalid-argument', message: /^initialModel: expected d{64}, got / });
    } finally {
      await world.coordinator.close();
      await rm(world.dataDir, { recursive: true });
    }
  });
});

describe('a coordinator that is killed while it makes a run', () => {
  /** Central privacy: the run has a secret of its own, too. */
  const { work, engine } = toySpec({ rounds: 1 });
  const privacy = { mode: 'central', clippingBound: 1, noiseMultiplier: 1, delta: 1e-5, cohortMax: 4 } as const;
  const spec = { engine, work: { ...work, privacy } };

  /** Kills the creation before its n-th change of the disk; false: it had no so many. */
  async function killedAt(changes: number, directory: string): Promise<boolean> {
    const files = new DyingFiles(changes);
    const deps = {
      ...{ clock: new FakeClock(), identity: coordinatorIdentity, rng: rngFromSeed(1), files },
      ...{ keysOf: () => ({}), send: () => {}, unmasking: { unmask: () => assert.fail() } },
      fatal: (error: FlError) => assert.fail(error),
    };
    const made = createRun(directory, 'r', spec, FILE, deps).then(async (run) => {
      await run.close();
      return false;
    });
    return Promise.race([made, files.died.then(() => true)]);
  }

  it('starts again after a kill at every single change of the disk, and has the run whole or not at all', async () => {
    let kills = 0;
    let whole = 0;
    for (let isKilled = true; isKilled; kills++) {
      const dataDir = await mkdtemp(join(tmpdir(), 'starling-killed-'));
      isKilled = await killedAt(kills, join(dataDir, 'runs', 'r'));
      const world = await openWorld(dataDir);
      const listed = await world.coordinator.admin.listRuns();
      if (listed.length > 0) {
        whole++;
        assert.deepEqual(
          listed.map(({ run, status, round }) => [run, status, round]),
          [['r', 'running', 1]],
        );
        assert.equal((await readFile(join(dataDir, 'runs', 'r', 'ledger.jsonl'), 'utf8')).split('\n').length, 2);
      } else assert.deepEqual(await readdir(join(dataDir, 'runs')).catch(() => []), [], 'and nothing is left of it');
      const again = { id: 'again', directory: join(dataDir, 'runs', 'again') };
      await world.coordinator.createRun(spec, FILE, again);
      await world.coordinator.close();
      assert.deepEqual(world.fatal, []);
      await rm(dataDir, { recursive: true });
    }
    assert.ok(kills > 15, `${kills} kills`);
    assert.ok(whole >= 2 && whole < kills, `${whole} of ${kills} whole: those after the rename`);
  });

  it('makes it in a folder that has other things, or what an earlier kill left there, too', async () => {
    for (let changes = 0, isKilled = true; isKilled; changes++) {
      const directory = await mkdtemp(join(tmpdir(), 'starling-out-'));
      await mkdir(join(directory, 'models'));
      await writeFile(join(directory, 'models', 'mine'), 'kept');
      isKilled = await killedAt(changes, directory);
      const isRun = (await readdir(directory)).includes('journal.log');
      if (!isRun) assert.equal(await killedAt(Number.POSITIVE_INFINITY, directory), false);
      assert.equal(await readFile(join(directory, 'models', 'mine'), 'utf8'), 'kept');
      const world = await openWorld();
      const id = await rename(directory, join(world.dataDir, 'r')).then(() => join(world.dataDir, 'r'));
      assert.equal((await world.coordinator.openRun(id)).state.status, 'running');
      await world.coordinator.close();
      await rm(world.dataDir, { recursive: true });
    }
  });
});

describe('a coordinator with a damaged run', () => {
  let healthy: string;

  async function finish(world: World, id: string): Promise<void> {
    const directory = join(world.dataDir, 'runs', id);
    const run = await world.coordinator.createRun(toySpec({ rounds: 1, evaluateEvery: 0 }), FILE, { id, directory });
    const peers = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(world, name));
    await run.idle();
    for (const kind of ['train', 'evaluate']) {
      for (const peer of peers) {
        const plan = peer.plans.findLast((plan) => plan.run === id && plan.kind === kind);
        if (plan !== undefined) await peer.answer(plan);
      }
      await run.idle();
    }
    for (const peer of peers) peer.leave();
    assert.equal(run.state.status, 'completed');
  }

  before(async () => {
    const world = await openWorld();
    for (const id of ['bad', 'good']) await finish(world, id);
    await world.coordinator.close();
    healthy = world.dataDir;
  });
  after(() => rm(healthy, { recursive: true }));

  const flip = async (path: string, at?: number) => {
    const bytes = await readFile(path);
    bytes[at ?? bytes.length >> 1] ^= 0xff;
    await writeFile(path, bytes);
  };
  const half = async (path: string) => truncate(path, (await readFile(path)).length >> 1);
  const model = async (run: string) => {
    const ledger = (await readFile(join(run, 'ledger.jsonl'), 'utf8')).trimEnd().split('\n');
    return join(run, 'models', `${JSON.parse(ledger.at(-1)!).entry.modelAfter}.safetensors`);
  };

  const damages: Record<string, { do: (run: string) => Promise<unknown>; says?: RegExp }> = {
    'whose journal is flipped': { do: (run) => flip(join(run, 'journal.log')), says: /^journal\.log: / },
    'whose journal is cut': { do: (run) => half(join(run, 'journal.log')), says: /^ledger\.jsonl, line 2: / },
    'whose journal is empty': { do: (run) => truncate(join(run, 'journal.log'), 0), says: /^journal\.log: / },
    'whose journal is its header': { do: (run) => truncate(join(run, 'journal.log'), 8), says: /^journal\.log: / },
    'whose journal is gone': { do: (run) => rm(join(run, 'journal.log')), says: /^journal\.log: .*there is none/ },
    'whose ledger is flipped': { do: (run) => flip(join(run, 'ledger.jsonl'), 20), says: /^ledger\.jsonl, line 1: / },
    'whose ledger is flipped in its last line': { do: (run) => flip(join(run, 'ledger.jsonl')) }, // as if torn
    'whose ledger is cut': { do: (run) => half(join(run, 'ledger.jsonl')) }, // written again from the journal
    'whose ledger is gone': { do: (run) => rm(join(run, 'ledger.jsonl')) },
    'whose model is flipped': { do: async (run) => flip(await model(run)), says: /^models\/[0-9a-f]{64}\.safetensors/ },
    'whose model is cut': { do: async (run) => half(await model(run)), says: /^models\/[0-9a-f]{64}\.safetensors/ },
    'whose model is gone': { do: async (run) => rm(await model(run)), says: /^models\/[0-9a-f]{64}\.safetensors/ },
    'whose run.json is flipped': { do: (run) => flip(join(run, 'run.json')) },
    'whose run.json is gone': { do: (run) => rm(join(run, 'run.json')) },
  };

  for (const [name, damage] of Object.entries(damages)) {
    it(`${name} has the other unharmed${damage.says === undefined ? ', and that one, too' : ' and names that one'}`, async () => {
      const dataDir = await mkdtemp(join(tmpdir(), 'starling-damaged-'));
      await cp(healthy, dataDir, { recursive: true });
      await damage.do(join(dataDir, 'runs', 'bad'));
      const warned: object[] = [];
      const log = { ...silent, warn: (fields: object) => void warned.push(fields) };
      const world = await openWorld(dataDir, { log });
      const { admin } = world.coordinator;
      const statuses = Object.fromEntries((await admin.listRuns()).map(({ run, status }) => [run, status]));
      assert.deepEqual(statuses, { bad: damage.says === undefined ? 'completed' : 'damaged', good: 'completed' });
      const { info, report } = await admin.getRun('bad');
      if (damage.says !== undefined) {
        assert.match(info.reason, damage.says);
        assert.match(
          info.reason,
          /next: starling run repair bad; if that cannot mend it, put the file back from a backup/,
        );
        assert.equal(report, 'null');
        assert.deepEqual(warned, [{ run: 'bad', directory: join(dataDir, 'runs', 'bad'), reason: info.reason }]);
        await assert.rejects(admin.resumeRun('bad'), { code: 'failed-precondition', message: /bad is damaged: / });
      } else assert.deepEqual(warned, []);
      await finish(world, 'next');
      await world.coordinator.close();
      assert.deepEqual(world.fatal, []);
      await rm(dataDir, { recursive: true });
    });
  }

  it('is told apart from one whose whole disk is full or read-only: then no run is damaged', () => {
    const failed = (code: string) => diskError('journal.log', Object.assign(new Error(code), { code }));
    for (const code of ['ENOSPC', 'EROFS', 'EMFILE']) assert.ok(isOfMachine(failed(code)), code);
    for (const error of [failed('EIO'), new TypeError('x'), 'x']) assert.ok(!isOfMachine(error), String(error));
  });

  it('and stray folders goes on, names each, and tells no client that such a run is unknown', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'starling-stray-'));
    await cp(healthy, dataDir, { recursive: true });
    const runs = join(dataDir, 'runs');
    await cp(join(runs, 'good'), join(runs, 'good-copy'), { recursive: true });
    await mkdir(join(runs, 'My Notes!'));
    await writeFile(join(runs, 'My Notes!', 'todo.txt'), 'x');
    await appendFile(join(runs, 'a-file'), 'x');
    const world = await openWorld(dataDir);
    const listed = await world.coordinator.admin.listRuns();
    const rows = listed.map(({ run, status, reason }) => [
      run.replace(/[0-9a-f]{8}$/, '#'),
      status,
      reason.split(';')[0],
    ]);
    assert.deepEqual(rows.sort(), [
      ['bad', 'completed', ''],
      ['good', 'completed', ''],
      ['good-copy', 'damaged', 'journal.log: expected run good-copy, got good: is this folder a copy?'],
      ['my-notes--#', 'damaged', 'journal.log: expected the journal of a run, there is none'],
    ]);
    const pending = ['good-copy', 'never'].map((run) => ({ run, round: 1, attempt: 1, sha256: 'a'.repeat(64) }));
    const peer = Peer.enter(world, 'c1', pending);
    const receipts = peer.frames.flatMap((frame) => (frame.kind === 'receipt' ? [frame.receipt.run] : []));
    assert.deepEqual(receipts, ['never']);
    await world.coordinator.close();
    await rm(dataDir, { recursive: true });
  });
});
