/** The coordinator's handshake: who is let in, who is not, and what is said to them. */
import assert from 'node:assert/strict';
import type { PendingUpdate } from '../../shared/service.js';
import { isChallenge, signProof } from '../../shared/signing/login.js';
import { receiptCheck } from '../../shared/signing/receipts.js';
import { MAX_PENDING_UPDATES } from '../../shared/wire/limits.js';
import { coordinatorIdentity, identityOf, openWorld, Peer, type World } from '../support/peer.js';

const UPDATE: PendingUpdate = { run: 'nowhere', round: 3, attempt: 1, sha256: 'f'.repeat(64) };

async function onlineOf({ coordinator }: World): Promise<string[]> {
  return (await coordinator.listClients()).filter(({ online }) => online).map(({ name }) => name);
}

const denied = { code: 'permission-denied' };

describe('the handshake', () => {
  let world: World;
  beforeEach(async () => {
    world = await openWorld();
  });
  afterEach(async () => {
    await world.coordinator.close();
    assert.deepEqual(world.fatal, []);
  });

  const goodbye = (peer: Peer) => {
    const { reason, retry } = peer.last('goodbye')!;
    assert.equal(peer.closed, reason, 'said and done');
    assert.equal(peer.last('welcome'), undefined);
    return { reason, retry };
  };

  it('lets in who proves to be an enrolled client', async () => {
    const peer = new Peer(world, 'c1');
    assert.deepEqual(peer.frames, []);
    peer.hello();
    assert.deepEqual(
      peer.frames.map(({ kind }) => kind),
      ['challenge'],
    );
    assert.deepEqual(await onlineOf(world), []);
    peer.prove();
    assert.deepEqual(
      peer.frames.map(({ kind }) => kind),
      ['challenge', 'welcome'],
    );
    assert.deepEqual(await onlineOf(world), ['c1']);
    assert.equal(await world.coordinator.uploadStatus(peer.session, UPDATE), 0);
    assert.equal(peer.closed, undefined);
  });

  it('asks each time for another proof', () => {
    const [one, two] = [new Peer(world, 'c1'), new Peer(world, 'c1')];
    for (const peer of [one, two]) peer.hello();
    assert.notDeepEqual(one.last('challenge')!.nonce, two.last('challenge')!.nonce);
    assert.equal(one.last('challenge')!.nonce.length, 32);
  });

  it('sends away who signs with another key', () => {
    const peer = new Peer(world, 'c1');
    peer.hello();
    peer.prove('c2');
    assert.deepEqual(goodbye(peer), { reason: 'the proof is not by the key of client "c1"', retry: false });
  });

  it('sends away who replays an older proof', () => {
    const old = new Peer(world, 'c1');
    old.hello();
    const peer = new Peer(world, 'c1');
    peer.hello();
    peer.frames.push(old.last('challenge')!); // signs this one
    peer.prove();
    assert.match(goodbye(peer).reason, /proof/);
  });

  it('sends away who is not enrolled', () => {
    const peer = new Peer(world, 'mallory');
    peer.hello();
    peer.prove('c1');
    assert.deepEqual(goodbye(peer), { reason: 'client "mallory" is not enrolled here', retry: false });
  });

  it('sends away who does not keep the order', () => {
    const twice = new Peer(world, 'c1');
    twice.hello();
    twice.hello();
    assert.equal(goodbye(twice).reason, 'expected proof, got hello');
    const early = new Peer(world, 'c2');
    early.prove();
    assert.equal(goodbye(early).reason, 'expected hello, got proof');
    const rude = new Peer(world, 'c3');
    const task = { run: 'r', kind: 'train', round: 1, attempt: 1 } as const;
    rude.send({ kind: 'progress', task, stepsDone: 1, stepsTotal: 2 });
    assert.equal(goodbye(rude).reason, 'expected hello, got progress');
  });

  it('sends away who has been sent away and goes on talking', () => {
    const peer = new Peer(world, 'c1');
    peer.hello();
    peer.prove('c2');
    const { length } = peer.frames;
    peer.prove('c1');
    assert.equal(peer.last('welcome'), undefined);
    assert.ok(peer.frames.slice(length).every(({ kind }) => kind === 'goodbye'));
  });

  it('gives ten seconds', async () => {
    const silent = new Peer(world, 'c1');
    const slow = new Peer(world, 'c2');
    slow.hello();
    const quick = Peer.enter(world, 'c3');
    const gone = new Peer(world, 'c4');
    gone.leave();
    world.clock.advance(9_999);
    assert.equal(silent.closed, undefined);
    world.clock.advance(1);
    for (const peer of [silent, slow])
      assert.deepEqual(goodbye(peer), { reason: 'no proof of identity in time', retry: true });
    assert.deepEqual([quick.closed, gone.last('goodbye')], [undefined, undefined]);
    assert.equal(world.clock.waiting, 0, 'no timer is left behind');
    slow.prove();
    assert.deepEqual(await onlineOf(world), ['c3']);
  });

  it('does not let two processes use one identity, and lets the second in when the first has gone', async () => {
    const first = Peer.enter(world, 'c1');
    const second = Peer.enter(world, 'c1');
    const { reason, retry } = goodbye(second);
    assert.match(reason, /"c1" is connected already/);
    assert.equal(retry, true);
    second.leave();
    assert.deepEqual(await onlineOf(world), ['c1'], 'the first is not disturbed');
    assert.equal(await world.coordinator.uploadStatus(first.session, UPDATE), 0);
    first.leave();
    assert.deepEqual(await onlineOf(world), []);
    assert.notEqual(Peer.enter(world, 'c1').last('welcome'), undefined);
  });

  it('lets only one in of two that were asked at the same time', () => {
    const [one, two] = [new Peer(world, 'c1'), new Peer(world, 'c1')];
    for (const peer of [one, two]) peer.hello();
    for (const peer of [one, two]) peer.prove();
    assert.notEqual(one.last('welcome'), undefined);
    assert.match(goodbye(two).reason, /connected already/);
  });

  it('ends a session with its stream', async () => {
    const peer = Peer.enter(world, 'c1');
    peer.leave();
    peer.leave();
    await assert.rejects(world.coordinator.uploadStatus(peer.session, UPDATE), denied);
    await assert.rejects(world.coordinator.uploadStatus(new Uint8Array(32), UPDATE), denied);
    const again = Peer.enter(world, 'c1');
    assert.notDeepEqual(again.session, peer.session);
    await assert.rejects(world.coordinator.uploadStatus(peer.session, UPDATE), denied);
  });

  it('does not keep a client whose stream breaks on the welcome itself', async () => {
    const peer = new Peer(world, 'c1', ({ kind }, self) => kind === 'welcome' && self.leave());
    peer.hello();
    peer.prove();
    assert.deepEqual(await onlineOf(world), []);
    assert.notEqual(Peer.enter(world, 'c1').last('welcome'), undefined);
  });

  it('says the last word on updates of runs that are not here', () => {
    const peer = Peer.enter(world, 'c1', [UPDATE]);
    const signed = peer.last('receipt')!;
    const { run, round, attempt, sha256: updateSha256 } = UPDATE;
    const id = { run, round, attempt, updateSha256, client: 'c1' };
    assert.deepEqual(signed.receipt, { ...id, outcome: 'dropped', reason: 'unknown', modelSha256: '' });
    assert.ok(receiptCheck(coordinatorIdentity.publicKey)(signed));
  });

  it('tells a client that is too old to name an address and a nonce what to do', () => {
    const old = new Peer(world, 'c1');
    old.send({ kind: 'hello', client: 'c1', version: '0.1.0', address: '', nonce: new Uint8Array(0) });
    const { reason, retry } = goodbye(old);
    assert.match(
      reason,
      /^hello: expected .* got neither \(version "0\.1\.0"\): update starling on the client's machine$/,
    );
    assert.equal(retry, false);
    assert.equal(old.last('challenge'), undefined);
  });

  it('shows who it is to those alone who have dialled an address of its own', () => {
    const lost = new Peer(world, 'c1');
    lost.hello('127.0.0.1:7437');
    assert.match(
      goodbye(lost).reason,
      /^address: expected in-process, .* got 127\.0\.0\.1:7437: correct .* or start the coordinator with --address 127\.0\.0\.1:7437 /,
    );
    assert.equal(lost.last('challenge'), undefined);
    const peer = new Peer(world, 'c1');
    peer.hello();
    assert.ok(isChallenge(peer.login, peer.last('challenge')!.signature));
    for (const change of [{ client: 'c2' }, { address: '127.0.0.1:1' }, { clientNonce: new Uint8Array(32) }])
      assert.equal(isChallenge({ ...peer.login, ...change }, peer.last('challenge')!.signature), false);
  });

  it('does not take a proof whose updates were changed', () => {
    const peer = new Peer(world, 'c1');
    peer.hello();
    const challenge = peer.last('challenge')!.signature;
    const signature = signProof(identityOf('c1'), peer.login, { challenge, pending: [] });
    peer.send({ kind: 'proof', signature, pending: [UPDATE] });
    assert.match(goodbye(peer).reason, /not by the key/);
  });

  it('does not take a hello of any length', () => {
    const peer = Peer.enter(world, 'c1', Array(MAX_PENDING_UPDATES + 1).fill(UPDATE));
    assert.deepEqual(goodbye(peer), { reason: 'pending: at most 256 updates', retry: false });
    assert.equal(Peer.enter(world, 'c1', Array(MAX_PENDING_UPDATES).fill(UPDATE)).receipts.length, MAX_PENDING_UPDATES);
  });

  it('passes over frames that belong nowhere', async () => {
    const peer = Peer.enter(world, 'c1');
    const task = { run: 'nowhere', kind: 'train', round: 1, attempt: 1 } as const;
    peer.hello();
    peer.prove();
    peer.send({ kind: 'progress', task, stepsDone: 1, stepsTotal: 2 });
    peer.say({ kind: 'decline', task, reason: 'failed', detail: '' });
    peer.say({ kind: 'evaluation', task, metrics: {} });
    assert.deepEqual(
      peer.frames.map(({ kind }) => kind),
      ['challenge', 'welcome'],
    );
    assert.deepEqual(await onlineOf(world), ['c1']);
  });

  it('says goodbye to all when it closes', async () => {
    const peer = Peer.enter(world, 'c1');
    await world.coordinator.close();
    assert.deepEqual(peer.last('goodbye'), { kind: 'goodbye', reason: 'the coordinator shuts down', retry: true });
    assert.equal(peer.closed, 'the coordinator shuts down');
  });
});
