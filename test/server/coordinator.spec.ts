/** What a client that has been let in may say and ask, and what becomes of it: each frame reaches its run, and only that. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { FINISHED_FILE } from '../../server/run/finished.js';
import { readHistory } from '../../server/run/history.js';
import type { Run } from '../../server/run/run.js';
import type { RunEvent } from '../../shared/run/events.js';
import type { TaskKind, UpdateHeader } from '../../shared/run/plan.js';
import { signedBytes } from '../../shared/signing/identity.js';
import { bytesOf } from '../../shared/tensors/bytes.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { identityOf, openWorld, Peer, type World } from '../support/peer.js';
import { toyExpected, toyModel, toySpec } from '../support/toy.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];
const FILE = encode(toyModel());

async function startRun(world: World, id = 'r', overrides = {}): Promise<Run> {
  const directory = join(world.dataDir, 'runs', id);
  return world.coordinator.createRun(toySpec({ rounds: 1, ...overrides }), FILE, { id, directory });
}

interface Small {
  readonly header: UpdateHeader;
  readonly values: Float32Array;
}

/** An update in one frame; `by` signs it. */
function sendSmall(peer: Peer, { header, values }: Small, by = peer.name): void {
  const signed = { header, signature: identityOf(by).sign(signedBytes('update', header)) };
  peer.send({ kind: 'small-update', signed, data: bytesOf(values) });
}

function eventsOf(run: Run): RunEvent[] {
  const events: RunEvent[] = [];
  run.feed.subscribe((event) => events.push(event));
  return events;
}

function memberOf({ state: { stage } }: Run, client: string) {
  assert.ok('cohort' in stage, stage.kind);
  return stage.cohort.members[stage.cohort.names.indexOf(client)];
}

const task = (kind: TaskKind = 'train', run = 'r') => ({ run, kind, round: 1, attempt: 1 });
/** Lets a frame that was sent be carried through. */
const settled = async (run: Run) => {
  await new Promise(setImmediate);
  await run.idle();
};

describe('a client that is in', () => {
  let world: World;
  let run: Run;
  let peers: Peer[];
  beforeEach(async () => {
    world = await openWorld();
    run = await startRun(world);
    peers = NAMES.map((name) => Peer.enter(world, name));
    await run.idle();
  });
  afterEach(async () => {
    await world.coordinator.close();
    assert.deepEqual(world.fatal, []);
  });

  it('may send a small update in one frame, and again, and it counts once', async () => {
    for (const peer of peers) {
      const update = await peer.train(peer.plans[0]);
      sendSmall(peer, update);
      if (peer.name === 'c4') sendSmall(peer, update);
      await settled(run);
    }
    assert.deepEqual([...run.model.params.values], Array(6).fill(toyExpected(NAMES, 1)));
    for (const peer of peers)
      assert.deepEqual(
        peer.receipts.map(({ outcome }) => outcome),
        ['committed'],
      );
    assert.equal(run.traffic.up, 5 * 24, 'what was sent, sent again or not');
  });

  it('is not taken at the word of another, nor with other bytes than it signed', async () => {
    const [peer] = peers;
    const update = await peer.train(peer.plans[0]);
    sendSmall(peer, update, 'c2');
    sendSmall(peer, { ...update, values: update.values.with(0, 9) });
    sendSmall(peer, { ...update, header: { ...update.header, run: 'elsewhere' } });
    await settled(run);
    assert.deepEqual(memberOf(run, 'c1'), { status: 'invited' });
    assert.deepEqual(peer.receipts, []);
    sendSmall(peer, update);
    await settled(run);
    assert.equal(memberOf(run, 'c1').status, 'arrived', 'a good one still counts');
  });

  it('hears by receipt that its small update was not taken', async () => {
    const [peer] = peers;
    const update = await peer.train(peer.plans[0]);
    sendSmall(peer, { ...update, header: { ...update.header, weights: [1] } });
    await settled(run);
    assert.deepEqual(
      peer.receipts.map(({ reason }) => reason),
      ['invalid-update'],
    );
    const detail = 'weights: expected 2, got 1';
    assert.deepEqual(memberOf(run, 'c1'), { status: 'dropped', reason: 'invalid-update', detail });
  });

  it('may decline, and is heard at no more length than is good', async () => {
    peers[0].say({ kind: 'decline', task: task(), reason: 'refused', detail: 'x'.repeat(501) });
    peers[1].say({ kind: 'decline', task: task('evaluate'), reason: 'failed', detail: '' });
    await run.idle();
    assert.deepEqual(memberOf(run, 'c1'), { status: 'dropped', reason: 'refused', detail: 'x'.repeat(500) });
    assert.deepEqual(memberOf(run, 'c2'), { status: 'invited' }, 'that is no task of now');
    assert.deepEqual(Object.keys(run.state.refused), ['c1']);
  });

  it('may say how far it is, on its own run', async () => {
    const other = await startRun(world, 'other', { minClients: 6 });
    const [events, foreign] = [eventsOf(run), eventsOf(other)];
    const before = foreign.length;
    world.clock.advance(5);
    peers[2].send({ kind: 'progress', task: task(), stepsDone: 3, stepsTotal: 7 });
    const atMs = world.clock.nowMs();
    assert.deepEqual(events.at(-1), { kind: 'progress', atMs, round: 1, client: 'c3', stepsDone: 3, stepsTotal: 7 });
    assert.equal(foreign.length, before);
  });

  it('may bring an evaluation, whose numbers are pooled', async () => {
    for (const peer of peers) await peer.answer();
    await run.idle();
    for (const [i, peer] of peers.entries()) {
      peer.say({ kind: 'evaluation', task: task('evaluate'), metrics: { accuracy: { sum: [i], count: 2 } } });
    }
    await run.idle();
    const { summaries, perClient } = await readHistory(run.directory);
    assert.equal(summaries[0].metrics['test.accuracy'], 6 / 8);
    assert.deepEqual(perClient.c4, { accuracy: { sum: [3], count: 2 } });
  });

  it('may send frames of secure aggregation, which count as traffic and go nowhere without it', async () => {
    peers[0].send({ kind: 'secure', task: task(), frame: new Uint8Array(10) });
    peers[0].send({ kind: 'secure', task: task('train', 'elsewhere'), frame: new Uint8Array(10) });
    await run.idle();
    assert.equal(run.traffic.up, 10);
    assert.deepEqual(memberOf(run, 'c1'), { status: 'invited' });
  });

  it('is no longer counted on when it has gone, and once it is back only its new stream is', async () => {
    peers[0].leave();
    await run.idle();
    assert.deepEqual(run.state.online, ['c2', 'c3', 'c4']);
    const back = Peer.enter(world, 'c1');
    await run.idle();
    assert.deepEqual(run.state.online, NAMES);
    peers[0].leave();
    peers[0].say({ kind: 'decline', task: task(), reason: 'failed', detail: '' });
    await run.idle();
    assert.deepEqual(run.state.online, NAMES, 'an old stream ends once');
    assert.equal(back.closed, undefined);
    assert.deepEqual(memberOf(run, 'c1'), { status: 'invited' }, 'and says nothing more');
  });

  it('is not counted on when its stream breaks over what it is told of its updates', async () => {
    const peer = new Peer(world, 'c5', ({ kind }, self) => kind === 'receipt' && self.leave());
    peer.hello();
    peer.prove('c5', [{ run: 'r', round: 9, attempt: 1, sha256: 'f'.repeat(64) }]);
    await run.idle();
    assert.equal(peer.receipts.length, 1);
    assert.deepEqual(run.state.online, NAMES);
  });

  for (const [broken, heard] of [
    ['the welcome', 'welcome'],
    ['what it is told of a run that nobody knows', 'receipt'],
  ] as const) {
    it(`is not counted on when its stream breaks over ${broken}, before any run has heard of it`, async () => {
      const peer = new Peer(world, 'c5', ({ kind }, self) => kind === heard && self.leave());
      peer.hello();
      peer.prove('c5', [{ run: 'nowhere', round: 1, attempt: 1, sha256: 'f'.repeat(64) }]);
      await run.idle();
      assert.notEqual(peer.last(heard), undefined);
      assert.deepEqual(run.state.online, NAMES);
    });
  }

  it('is heard of how far it is only in the cohort that it was drawn for', async () => {
    const events = eventsOf(run);
    const bystander = Peer.enter(world, 'c5');
    bystander.send({ kind: 'progress', task: task(), stepsDone: 1, stepsTotal: 2 });
    peers[0].send({ kind: 'progress', task: task('evaluate'), stepsDone: 1, stepsTotal: 2 });
    peers[0].send({ kind: 'progress', task: { ...task(), round: 7 }, stepsDone: 1, stepsTotal: 2 });
    peers[1].send({ kind: 'progress', task: task(), stepsDone: 1, stepsTotal: 2 });
    assert.deepEqual(
      events.flatMap((event) => (event.kind === 'progress' ? event.client : [])),
      ['c2'],
    );
  });

  it('gets what it asks for of the model, from where it asks', async () => {
    const { sha256 } = run.model;
    const read = async (peer: { session: Uint8Array }, request: { run: string; sha256: string; offset: number }) => {
      const parts: Uint8Array[] = [];
      for await (const part of world.coordinator.download(peer.session, request)) parts.push(part);
      return Buffer.concat(parts);
    };
    const before = run.traffic.down;
    assert.deepEqual(await read(peers[0], { run: 'r', sha256, offset: 0 }), Buffer.from(run.model.file));
    assert.deepEqual(await read(peers[0], { run: 'r', sha256, offset: 20 }), Buffer.from(run.model.file.subarray(20)));
    const { length } = run.model.file;
    assert.equal(run.traffic.down - before, 2 * length - 20);
    assert.equal((await read(peers[0], { run: 'r', sha256, offset: length })).length, 0);
    const wrong = { code: 'invalid-argument', message: `offset: expected at most ${length}, got ${length + 1}` };
    await assert.rejects(read(peers[0], { run: 'r', sha256, offset: length + 1 }), wrong);
    const old = { code: 'not-found', message: `model ${'0'.repeat(64)} is not the one of this round` };
    await assert.rejects(read(peers[0], { run: 'r', sha256: '0'.repeat(64), offset: 0 }), old);
    await assert.rejects(read(peers[0], { run: 'elsewhere', sha256, offset: 0 }), { code: 'not-found' });
    await assert.rejects(read({ session: new Uint8Array(32) }, { run: 'r', sha256, offset: 0 }), {
      code: 'permission-denied',
    });
  });

  it('has its upload counted as it comes, from where it goes on', async () => {
    const [peer] = peers;
    const good = await peer.train(peer.plans[0]);
    await assert.rejects(peer.upload({ ...good, values: good.values.subarray(0, 4) }), { code: 'invalid-argument' });
    assert.equal(run.traffic.up, 16);
    const { run: id, round, attempt, sha256 } = good.header;
    assert.equal(await world.coordinator.uploadStatus(peer.session, { run: id, round, attempt, sha256 }), 16);
    assert.equal(await world.coordinator.uploadStatus(peers[1].session, { run: id, round, attempt, sha256 }), 0);
    assert.deepEqual(await peer.upload(good, { offset: 16 }), { outcome: 'accepted', detail: '' });
    assert.equal(run.traffic.up, 24);
    assert.deepEqual(await peer.upload(good), { outcome: 'accepted', detail: '' });
    assert.equal(run.traffic.up, 24, 'no byte was read again');
  });

  it('is told of each update that it kept by the run that it is of', async () => {
    await startRun(world, 'other', { minClients: 6 });
    const { header } = await peers[0].train(peers[0].plans[0]);
    peers[0].leave();
    const { round, attempt, sha256 } = header;
    const pending = ['r', 'other', 'nowhere'].map((name) => ({ run: name, round, attempt, sha256 }));
    const back = Peer.enter(world, 'c1', pending);
    await run.idle();
    assert.deepEqual(
      back.receipts.map((receipt) => `${receipt.run} ${receipt.reason ?? receipt.outcome}`),
      ['nowhere unknown', 'other round-aborted'],
    );
    assert.deepEqual(
      back.plans.map((plan) => plan.run),
      ['r'],
      'and gets its plan again',
    );
  });
});

describe('a coordinator that closes', () => {
  it('waits for what is written of a run that ends meanwhile', async () => {
    let write = () => {};
    const written = new Promise<void>((resolve) => {
      write = resolve;
    });
    const world = await openWorld(undefined, { onRunEnded: () => written });
    const run = await startRun(world);
    const peers = NAMES.map((name) => Peer.enter(world, name));
    await run.idle();
    for (const peer of peers) await peer.answer();
    await run.idle();
    for (const peer of peers) await peer.answer(); // the last answers of the last round wait for their turn
    let isClosed = false;
    const closed = world.coordinator.close().then(() => {
      isClosed = true;
    });
    const row = join(run.directory, FINISHED_FILE);
    while (run.state.status === 'running') await new Promise(setImmediate);
    for (let i = 0; i < 100; i++) await new Promise(setImmediate);
    assert.ok(!isClosed);
    write();
    await closed;
    assert.equal(JSON.parse(await readFile(row, 'utf8')).status, 'completed');
    assert.deepEqual(world.fatal, []);
  });
});

describe('who wants to be a client', () => {
  const secretOf = (token: string): string => {
    return JSON.parse(Buffer.from(token.slice('starling1.'.length), 'base64url').toString()).secret;
  };
  const requestOf = (name: string, token: string) => {
    const { publicKey, sign } = identityOf(name);
    return { token, publicKey, signature: sign(signedBytes('enrolment', token)) };
  };

  it('is enrolled by token, and learns who it is and whom to believe', async () => {
    const world = await openWorld();
    const { coordinator } = world;
    const token = await coordinator.admin.createToken({ name: 'site', uses: 1, expiresMs: 1000 });
    const { publicKey } = identityOf('site');
    world.clock.advance(10);
    const reply = await coordinator.enrol(requestOf('site', secretOf(token)));
    assert.deepEqual(reply, { client: 'site', coordinatorKey: identityOf('coordinator').publicKey });
    const enrolled = (await coordinator.admin.listClients()).find(({ name }) => name === 'site');
    assert.deepEqual(enrolled, {
      name: 'site',
      enrolledAtMs: world.clock.nowMs(),
      publicKey,
      online: false,
      standing: 'approved',
    });
    assert.notEqual(Peer.enter(world, 'site').last('welcome'), undefined);
    const late = await coordinator.admin.createToken({ name: 'late', uses: 1, expiresMs: 1000 });
    world.clock.advance(1001);
    await assert.rejects(coordinator.enrol(requestOf('late', secretOf(late))), {
      code: 'permission-denied',
    });
    await coordinator.close();
    assert.deepEqual(world.fatal, []);
  });
});
