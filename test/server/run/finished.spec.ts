/** A run that has ended is a row in memory and files on the disk: all that could be asked of it still can. */
import assert from 'node:assert/strict';
import { mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FINISHED_FILE } from '../../../server/run/finished.js';
import type { PendingUpdate } from '../../../shared/service.js';
import { encode } from '../../../shared/tensors/safetensors.js';
import { playRun } from '../../support/answering.js';
import { openWorld, Peer, type World } from '../../support/peer.js';
import { toyModel, toySpec } from '../../support/toy.js';

/** More than are at hand of a run at work: the first rounds are long past. */
const ROUNDS = 20;

async function linesOf(events: AsyncIterable<string>): Promise<string[]> {
  const lines: string[] = [];
  for await (const line of events) lines.push(line);
  return lines;
}

describe('a run that has ended', () => {
  let dataDir: string;
  let world: World;
  const file = (...names: string[]) => join(dataDir, 'runs', 'r', ...names);
  const restart = async () => {
    await world.coordinator.close();
    world = await openWorld(dataDir);
  };

  beforeEach(async () => {
    dataDir = await mkdtemp(join(tmpdir(), 'starling-finished-'));
    world = await playRun(dataDir, { rounds: ROUNDS });
  });
  afterEach(async () => {
    await world.coordinator.close();
    assert.deepEqual(world.fatal, []);
    await rm(dataDir, { recursive: true });
  });

  it('is listed, shown and told as before, by this process and the next', async () => {
    const seen = async () => {
      const { admin } = world.coordinator;
      return [await admin.listRuns(), await admin.getRun('r'), (await linesOf(admin.watchRun('r'))).slice(-1)];
    };
    const before = await seen();
    assert.match(JSON.stringify(before), /"status":"completed"/);
    await restart();
    assert.deepEqual(await seen(), before);
    await assert.rejects(world.coordinator.admin.resumeRun('r'), { code: 'failed-precondition', message: /completed/ });
    await world.coordinator.admin.stopRun('r', 'too late');
    assert.deepEqual(await seen(), before);
  });

  it('is not read at the next start while its files are what they were, and is when one is not', async () => {
    await restart(); // whatever the end was about to write is written
    const row = JSON.parse(await readFile(file(FINISHED_FILE), 'utf8'));
    const journal = await readFile(file('journal.log'));
    await writeFile(
      file('journal.log'),
      journal.map((byte) => byte ^ 0xff),
    ); // of the same size: only the time tells
    await restart();
    const statusNow = async () => (await world.coordinator.admin.listRuns())[0].status;
    assert.equal(await statusNow(), 'damaged');
    const { size, mtimeNs } = await stat(file('journal.log'), { bigint: true });
    row.files['journal.log'] = `${size} ${mtimeNs}`;
    await writeFile(file(FINISHED_FILE), JSON.stringify(row));
    await restart();
    assert.equal(await statusNow(), 'completed', 'it was not looked at');
    await assert.rejects(world.coordinator.admin.getRun('r'), { code: 'corrupt', message: /journal/ });
    await writeFile(file('journal.log'), journal);
  });

  it('gets its row again when that is damaged, gone, or of another run', async () => {
    await restart();
    const whole = JSON.parse(await readFile(file(FINISHED_FILE), 'utf8'));
    const spoilt = ['', '{}', 'x'.repeat(100), JSON.stringify({ ...whole, run: 'other' })];
    for (const text of [...spoilt, undefined]) {
      await (text === undefined ? rm(file(FINISHED_FILE)) : writeFile(file(FINISHED_FILE), text));
      await restart();
      assert.equal((await world.coordinator.admin.listRuns())[0].status, 'completed');
      assert.equal(JSON.parse(await readFile(file(FINISHED_FILE), 'utf8')).run, 'r');
    }
  });

  for (const where of ['in the process that ran it', 'after a restart']) {
    it(`gives a client that comes back the last word on its updates, ${where}`, async () => {
      if (where === 'after a restart') await restart();
      await assertLastWords(world, 'dropped');
    });
  }

  async function assertLastWords(of: World, unknown: string): Promise<void> {
    const lines = (await readFile(file('ledger.jsonl'), 'utf8')).trimEnd().split('\n');
    const shaOf = (round: number): string => JSON.parse(lines[round]).entry.survivors[0].updateSha256;
    const pending = (round: number, sha256: string, attempt = 1): PendingUpdate => ({
      run: 'r',
      round,
      attempt,
      sha256,
    });
    const kept = [pending(1, shaOf(1)), pending(ROUNDS - 1, shaOf(ROUNDS - 1)), pending(1, 'f'.repeat(64))];
    const peer = Peer.enter(of, 'c1', [...kept, pending(2, shaOf(2), 2), pending(ROUNDS + 5, shaOf(1))]);
    for (let i = 0; i < 100_000 && peer.receipts.length < kept.length + 2; i++) await new Promise(setImmediate);
    const words = peer.receipts.map(({ round, attempt, outcome }) => `${round}/${attempt} ${outcome}`);
    assert.deepEqual(
      words.sort(),
      [`1/1 committed`, `1/1 dropped`, `${ROUNDS - 1}/1 committed`, '2/2 dropped', `${ROUNDS + 5}/1 ${unknown}`].sort(),
    );
    peer.leave();
  }

  it('calls no update dropped of which its files do not tell, as while they are moved away', async () => {
    const peer = Peer.enter(world, 'c1');
    await rename(file('ledger.jsonl'), file('away'));
    await assert.rejects(peer.upload(firstOf(peer)), { code: 'not-found', message: /^ledger.jsonl: / });
    assert.deepEqual(peer.receipts, []);
    await rename(file('away'), file('ledger.jsonl'));
    assert.deepEqual(await peer.upload(firstOf(peer)), { outcome: 'accepted', detail: '' });
  });

  /** What c1 has trained in round 1: (1 - 0) / 2. */
  function firstOf(peer: Peer) {
    const values = new Float32Array(6).fill(0.5);
    return { header: peer.headerOf({ run: 'r', round: 1, attempt: 1 }, values), values };
  }

  it('answers an upload that comes after it', async () => {
    const peer = Peer.enter(world, 'c1');
    const { header, values } = firstOf(peer);
    assert.deepEqual(await peer.upload({ header, values }), { outcome: 'accepted', detail: '' });
    const other = { header: peer.headerOf({ run: 'r', round: 1, attempt: 1 }, values.fill(2)), values };
    assert.deepEqual(await peer.upload(other), { outcome: 'rejected', detail: 'stale: the run has ended' });
    assert.deepEqual(
      peer.receipts.map(({ outcome }) => outcome),
      ['committed', 'dropped'],
    );
  });
});

describe('a run that has just ended', () => {
  it('is put away when all is written of it', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'starling-finished-'));
    const { coordinator, fatal } = await playRun(dataDir, { rounds: 2 });
    const { admin } = coordinator;
    const directory = await admin.archiveRun('r');
    await coordinator.close();
    assert.deepEqual(fatal, []);
    assert.equal(JSON.parse(await readFile(join(directory, FINISHED_FILE), 'utf8')).status, 'completed');
    assert.deepEqual(
      (await readdir(directory)).filter((name) => name.endsWith('.tmp')),
      [],
    );
    await rm(dataDir, { recursive: true });
  });
});

describe('a run that was stopped', () => {
  it('goes on when it is resumed, at once and twice, and after a restart', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'starling-stopped-'));
    let world = await openWorld(dataDir);
    const where = { id: 'r', directory: join(dataDir, 'runs', 'r') };
    await world.coordinator.createRun(toySpec({ rounds: 2 }), encode(toyModel()), where);
    const statusOf = async () => (await world.coordinator.admin.listRuns())[0].status;
    for (const isRestarted of [false, true]) {
      const { admin } = world.coordinator;
      await admin.stopRun('r', 'lunch');
      assert.equal(await statusOf(), 'stopped');
      if (isRestarted) {
        await world.coordinator.close();
        world = await openWorld(dataDir);
        assert.equal(await statusOf(), 'stopped');
      }
      await Promise.all([world.coordinator.admin.resumeRun('r'), world.coordinator.admin.resumeRun('r')]);
      assert.equal(await statusOf(), 'running');
    }
    await world.coordinator.close();
    assert.deepEqual(world.fatal, []);
    const { coordinator } = await playRun(dataDir, { rounds: 2 });
    assert.equal((await coordinator.admin.listRuns())[0].status, 'completed');
    await coordinator.close();
    await rm(dataDir, { recursive: true });
  });
});

describe('a run at work', () => {
  it('gives a client the last word on an update of a round long past, and takes it for what it is', async () => {
    const world = await openWorld();
    const where = { id: 'r', directory: join(world.dataDir, 'runs', 'r') };
    const spec = toySpec({ rounds: 2 * ROUNDS, evaluateEvery: 0 });
    const run = await world.coordinator.createRun(spec, encode(toyModel()), where);
    const peers = ['c1', 'c2', 'c3', 'c4'].map((name) => Peer.enter(world, name));
    await run.idle();
    const first = await peers[0].train(peers[0].plans[0]);
    for (let round = 1; round <= ROUNDS; round++) {
      for (const peer of peers) await peer.answer();
      await run.idle();
    }
    assert.equal(run.state.round, ROUNDS + 1);
    peers[0].leave();
    const { round, attempt, sha256 } = first.header;
    const kept = { run: 'r', round, attempt, sha256 };
    const back = Peer.enter(world, 'c1', [kept, { ...kept, sha256: 'f'.repeat(64) }]);
    for (let i = 0; i < 100_000 && back.receipts.length < 2; i++) await new Promise(setImmediate);
    assert.deepEqual(
      back.receipts.map((receipt) => [receipt.round, receipt.outcome]),
      [
        [1, 'committed'],
        [1, 'dropped'],
      ],
    );
    assert.deepEqual(await back.upload(first), { outcome: 'accepted', detail: '' });
    assert.equal(run.state.round, ROUNDS + 1);
    await world.coordinator.close();
    assert.deepEqual(world.fatal, []);
    await rm(world.dataDir, { recursive: true });
  });
});
