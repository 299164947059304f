/**
 * Whole rounds through the coordinator, with clients that are played by hand: whatever one of them sends, the round goes
 * on without it and ends in exactly the model that the others make.
 */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readHistory } from '../../../server/run/history.js';
import type { Run } from '../../../server/run/run.js';
import { FlError } from '../../../shared/errors.js';
import type { RoundPlan, UpdateHeader } from '../../../shared/run/plan.js';
import { decode, encode } from '../../../shared/tensors/safetensors.js';
import { openWorld, Peer, type World } from '../../support/peer.js';
import { toyExpected, toyModel, toySpec } from '../../support/toy.js';

const DEADLINE_MS = 60_000;

async function startRun(world: World, id: string, overrides = {}, seed = 1): Promise<Run> {
  const directory = join(world.dataDir, 'runs', id);
  return world.coordinator.createRun(toySpec(overrides, seed), encode(toyModel()), { id, directory });
}

async function enterAll(world: World, names: readonly string[], run: Run): Promise<Peer[]> {
  const peers = names.map((name) => Peer.enter(world, name));
  await run.idle();
  return peers;
}

async function answerAll(peers: readonly Peer[], run: Run): Promise<void> {
  for (const peer of peers) await peer.answer(peer.plans.findLast((plan) => plan.run === run.id));
  await run.idle();
}

function assertModel(run: Run, names: readonly string[], rounds = 1): void {
  assert.deepEqual([...run.model.params.values], Array(6).fill(toyExpected(names, rounds)));
  assert.equal(run.model.sha256, run.state.modelSha256);
}

type Good = { header: UpdateHeader; values: Float32Array };
interface BadUpload {
  readonly send: (peer: Peer, good: Good, plan: RoundPlan) => Promise<unknown>;
  /** What the call answers: the detail of a rejection, or the code of an error. */
  readonly answered: RegExp;
  /** Dropped at once, or only when time is up. */
  readonly reason: 'invalid-update' | 'deadline';
}

const withValues = (good: Good, peer: Peer, values: Float32Array): Good => ({
  header: peer.headerOf(good.header, values),
  values,
});

const badUploads: Record<string, BadUpload> = {
  'signed by another client': {
    send: (peer, good) => peer.upload(good, { by: 'c1' }),
    answered: /permission-denied.*not by client "c4"/,
    reason: 'deadline',
  },
  'whose hash is another': {
    send: (peer, { header, values }) => peer.upload({ header: { ...header, sha256: 'a'.repeat(64) }, values }),
    answered: /corrupt: update: expected sha256 a/,
    reason: 'deadline',
  },
  'that is too short for its header': {
    send: (peer, { header, values }) => peer.upload({ header, values: values.subarray(1) }),
    answered: /invalid-argument: update: expected 24 bytes as declared, got 20/,
    reason: 'deadline',
  },
  'that is too long for its header': {
    send: (peer, { header, values }) => peer.upload({ header, values: Float32Array.of(...values, 1) }),
    answered: /invalid-argument: update: expected 24 bytes as declared/,
    reason: 'deadline',
  },
  'of a run that is not here': {
    send: (peer, { header, values }) => peer.upload({ header: { ...header, run: 'other' }, values }),
    answered: /not-found/,
    reason: 'deadline',
  },
  'of another shape': {
    send: (peer, good) => peer.upload(withValues(good, peer, Float32Array.of(1, 2, 3))),
    answered: /rejected: sizeBytes: expected 24, got 12/,
    reason: 'invalid-update',
  },
  'of a size that is none': {
    send: (peer, { header, values }) => peer.upload({ header: { ...header, sizeBytes: 2 ** 60 }, values }),
    answered: /rejected: sizeBytes: expected 24/,
    reason: 'invalid-update',
  },
  'with a number that is none': {
    send: (peer, good) => peer.upload(withValues(good, peer, good.values.with(3, Number.NaN))),
    answered: /rejected: .*NaN|rejected: .*finite/,
    reason: 'invalid-update',
  },
  'with a number out of all bounds': {
    send: (peer, good) => peer.upload(withValues(good, peer, good.values.with(3, 3e38))),
    answered: /rejected: /,
    reason: 'invalid-update',
  },
  'with a weight too few': {
    send: (peer, { header, values }) => peer.upload({ header: { ...header, weights: [4] }, values }),
    answered: /rejected: weights: expected 2, got 1/,
    reason: 'invalid-update',
  },
  'with a weight below zero': {
    send: (peer, { header, values }) => peer.upload({ header: { ...header, weights: [4, -4] }, values }),
    answered: /rejected: weights: expected finite numbers >= 0, got -4/,
    reason: 'invalid-update',
  },
  'with metrics that cannot be summed': {
    send: (peer, { header, values }) => {
      return peer.upload({ header: { ...header, metrics: { constructor: { sum: [1], count: 1 } } }, values });
    },
    answered: /rejected: metrics/,
    reason: 'invalid-update',
  },
  'of a round that is not this one': {
    send: (peer, { header, values }) => peer.upload({ header: { ...header, round: 2 }, values }),
    answered: /rejected: stale: expected round 1 attempt 1/,
    reason: 'deadline',
  },
  'of an attempt that is not this one': {
    send: (peer, { header, values }) => peer.upload({ header: { ...header, attempt: 2 }, values }),
    answered: /rejected: stale: expected round 1 attempt 1/,
    reason: 'deadline',
  },
};

async function answerOf(call: Promise<unknown>): Promise<string> {
  try {
    const { outcome, detail } = (await call) as { outcome: string; detail: string };
    return `${outcome}: ${detail}`;
  } catch (error) {
    const { code, message } = FlError.from(error);
    return `${code}: ${message}`;
  }
}

describe('a round of the coordinator', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
  });
  afterEach(async () => {
    await world.coordinator.close();
    assert.deepEqual(world.fatal, []);
  });

  it('ends in the mean of its clients', async () => {
    const run = await startRun(world, 'r', { rounds: 2, evaluateEvery: 0 });
    const peers = await enterAll(world, ['c1', 'c2', 'c3', 'c4'], run);
    await answerAll(peers, run);
    assertModel(run, ['c1', 'c2', 'c3', 'c4']);
    await answerAll(peers, run);
    await answerAll(peers, run);
    assert.equal(run.state.status, 'completed');
    assertModel(run, ['c1', 'c2', 'c3', 'c4'], 2);
    for (const peer of peers)
      assert.deepEqual(
        peer.receipts.map(({ round, outcome }) => `${round} ${outcome}`),
        ['1 committed', '2 committed'],
      );
  });

  for (const [what, { send, answered, reason }] of Object.entries(badUploads)) {
    it(`goes on without a client that sends an update ${what}`, async () => {
      const run = await startRun(world, 'r', { rounds: 1 });
      const peers = await enterAll(world, ['c1', 'c2', 'c3', 'c4'], run);
      const bad = peers[3];
      const [plan] = bad.plans;
      assert.match(await answerOf(send(bad, await bad.train(plan), plan)), answered);
      await answerAll(peers.slice(0, 3), run);
      if (reason === 'deadline') {
        assert.equal(run.state.stage.kind, 'training');
        world.clock.advance(DEADLINE_MS);
        await run.idle();
      }
      assertModel(run, ['c1', 'c2', 'c3']);
      await answerAll(peers, run);
      const [summary] = (await readHistory(run.directory)).summaries;
      assert.deepEqual(
        summary.dropped.map(({ client, reason: why }) => `${client} ${why}`),
        [`c4 ${reason}`],
      );
      assert.equal(summary.survivors, 3);
    });
  }

  it('still takes a client whose first upload went wrong on the way', async () => {
    const run = await startRun(world, 'r', { rounds: 1 });
    const peers = await enterAll(world, ['c1', 'c2', 'c3', 'c4'], run);
    const good = await peers[3].train(peers[3].plans[0]);
    await assert.rejects(peers[3].upload({ ...good, values: good.values.subarray(2) }));
    const { run: id, round, attempt, sha256 } = good.header;
    assert.equal(await world.coordinator.uploadStatus(peers[3].session, { run: id, round, attempt, sha256 }), 16);
    await answerAll(peers, run);
    assertModel(run, ['c1', 'c2', 'c3', 'c4']);
  });

  it('counts an update once that comes twice, at once or later, and says accepted each time', async () => {
    const run = await startRun(world, 'r', { rounds: 1 });
    const peers = await enterAll(world, ['c1', 'c2', 'c3', 'c4'], run);
    const good = await peers[3].train(peers[3].plans[0]);
    assert.equal((await peers[3].upload(good)).outcome, 'accepted');
    assert.equal((await peers[3].upload(good)).outcome, 'accepted');
    await answerAll(peers.slice(0, 3), run);
    assertModel(run, ['c1', 'c2', 'c3', 'c4']);
    assert.equal((await peers[3].upload(good)).outcome, 'accepted', 'after the commit');
    assert.deepEqual(new Set(peers[3].receipts.map(({ outcome }) => outcome)), new Set(['committed']));
  });

  it('tells a client that comes back with its update what became of it', async () => {
    const run = await startRun(world, 'r', { rounds: 1 });
    const peers = await enterAll(world, ['c1', 'c2', 'c3', 'c4'], run);
    const { header } = await peers[3].train(peers[3].plans[0]);
    const { round, attempt, sha256 } = header;
    await peers[3].answer();
    peers[3].leave();
    await answerAll(peers.slice(0, 3), run);
    assert.deepEqual(peers[3].receipts, []);
    const pending = { run: 'r', round, attempt, sha256 };
    const back = Peer.enter(world, 'c4', [pending, { ...pending, sha256: 'b'.repeat(64) }, { ...pending, round: 9 }]);
    await run.idle();
    assert.deepEqual(
      back.receipts.map(({ outcome, reason }) => reason ?? outcome),
      ['committed', 'deadline', 'round-aborted'],
    );
  });

  it('gives its plan again to a client that comes back, and takes the update that it kept', async () => {
    const run = await startRun(world, 'r', { rounds: 1 });
    const peers = await enterAll(world, ['c1', 'c2', 'c3', 'c4'], run);
    const good = await peers[3].train(peers[3].plans[0]);
    peers[3].leave();
    await answerAll(peers.slice(0, 3), run);
    world.clock.advance(1000);
    const { round, attempt, sha256 } = good.header;
    const back = Peer.enter(world, 'c4', [{ run: 'r', round, attempt, sha256 }]);
    await run.idle();
    assert.deepEqual(back.receipts, [], 'it is still wanted');
    assert.deepEqual(back.plans, [{ ...peers[3].plans[0], deadlineMs: DEADLINE_MS - 1000 }]);
    await back.upload(good);
    await run.idle();
    assertModel(run, ['c1', 'c2', 'c3', 'c4']);
  });

  it('is stopped while its model is made, and resumed from the model before', async () => {
    const run = await startRun(world, 'r', { rounds: 1 });
    const peers = await enterAll(world, ['c1', 'c2', 'c3', 'c4'], run);
    for (const peer of peers) await peer.answer();
    assert.equal(run.state.stage.kind, 'committing');
    await world.coordinator.admin.stopRun('r', 'lunch');
    assert.equal(run.state.status, 'stopped');
    assertModel(run, [], 0);
    const { admin } = world.coordinator;
    await admin.resumeRun('r');
    for (const peer of peers) await peer.answer();
    await admin.resumeRun('r'); // goes on already: waits until all is carried out
    const { modelSha256 } = JSON.parse((await admin.getRun('r')).report);
    const { params } = decode(await readFile(join(run.directory, 'models', `${modelSha256}.safetensors`)));
    assert.deepEqual([...params.values], Array(6).fill(toyExpected(['c1', 'c2', 'c3', 'c4'], 1)));
  });

  it('holds no more bytes than it may, and every upload gets its turn', async () => {
    await world.coordinator.close();
    world = await openWorld(undefined, { inFlightBytes: 30 }); // one update of 24 bytes at a time
    const run = await startRun(world, 'r', { rounds: 1 });
    const peers = await enterAll(world, ['c1', 'c2', 'c3', 'c4'], run);
    await Promise.all(peers.map((peer) => peer.answer()));
    await run.idle();
    assertModel(run, ['c1', 'c2', 'c3', 'c4']);
  });
});

describe('several runs on one coordinator', () => {
  it('do not touch one another, and each goes on after a restart', async () => {
    const world = await openWorld();
    const a = await startRun(world, 'a', { rounds: 1, evaluateEvery: 0 });
    const b = await startRun(world, 'b', { rounds: 2, cohort: 3, minClients: 3, evaluateEvery: 0 }, 5);
    const peers = await enterAll(world, ['c1', 'c2', 'c3'], b);
    assert.equal(a.state.stage.kind, 'waiting', 'a needs four');
    await answerAll(peers, b);
    assertModel(b, ['c1', 'c2', 'c3']);
    const fourth = Peer.enter(world, 'c4');
    await a.idle();
    const all = [...peers, fourth];
    await answerAll(all, a);
    assertModel(a, ['c1', 'c2', 'c3', 'c4']);
    assertModel(b, ['c1', 'c2', 'c3']);
    await world.coordinator.admin.stopRun('a', 'enough');
    assert.deepEqual(
      (await world.coordinator.admin.listRuns()).map(({ run, status }) => `${run} ${status}`),
      ['a completed', 'b running'],
    );
    await world.coordinator.close();
    assert.deepEqual(world.fatal, []);

    const next = await openWorld(world.dataDir);
    const infos = await next.coordinator.admin.listRuns();
    assert.deepEqual(
      infos.map(({ run, status, round }) => `${run} ${status} ${round}`),
      ['a completed 1', 'b running 2'],
    );
    await next.coordinator.close();
    assert.deepEqual(next.fatal, []);
  });
});

describe('a run that is closed', () => {
  /** What four clients say in the very moment in which the coordinator closes. */
  async function closedWith(last: (peers: readonly Peer[], run: Run) => Promise<void> | void, overrides = {}) {
    const world = await openWorld();
    const run = await startRun(world, 'r', { rounds: 2, ...overrides });
    const peers = await enterAll(world, ['c1', 'c2', 'c3', 'c4'], run);
    assert.equal(world.clock.waiting, 1, 'the deadline of the round');
    await last(peers, run);
    await world.coordinator.close();
    assert.equal(world.clock.waiting, 0, 'a timer would keep the process for as long as it is set');
    return { world, run, peers };
  }

  it('arms no timer, though what came before the end is still handled', async () => {
    const { world, run } = await closedWith((_, run) => {
      // in the queue when all is closed: time is up, nobody has answered, and the next attempt has a deadline of its own
      run.post({ kind: 'timer', id: 'training/1/1' });
    });
    assert.equal(run.state.attempt, 2, 'it was handled');
    assert.deepEqual(world.fatal, []);
  });

  it('handles no event any more: nothing changes, nothing is armed, and no journal is written to', async () => {
    const { world, run, peers } = await closedWith(() => {});
    const { state } = run;
    run.post({ kind: 'offline', client: 'c1' });
    run.post({ kind: 'online', client: 'c5' });
    run.post({ kind: 'stop', status: 'stopped', reason: 'late' });
    run.receiveSecure('c1', { run: 'r', kind: 'train', round: 1, attempt: 1 }, new Uint8Array(8));
    peers[1].leave();
    Peer.enter(world, 'c6').leave();
    await run.idle();
    assert.equal(run.state, state);
    assert.equal(world.clock.waiting, 0);
    assert.deepEqual(world.fatal, []);
  });
});
