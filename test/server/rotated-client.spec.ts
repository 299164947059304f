/** A client that rotates its key in the middle of what it does: by the old key nothing comes in any more, by the new one it goes on. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Run } from '../../server/run/run.js';
import { toHex } from '../../shared/hex.js';
import { signHandOver } from '../../shared/signing/hand-over.js';
import { signedBytes } from '../../shared/signing/identity.js';
import { bytesOf } from '../../shared/tensors/bytes.js';
import { encode } from '../../shared/tensors/safetensors.js';
import { handFed, turns } from '../support/hand-fed.js';
import { ledgerSpec } from '../support/ledgers.js';
import { identityOf, openWorld, Peer, type World } from '../support/peer.js';
import { toyExpected, toyModel, toySpec } from '../support/toy.js';

const NAMES = ['c1', 'c2', 'c3', 'c4'];
const NEXT = 'the next key of c1';
const word = signHandOver({ client: 'c1' }, identityOf('c1'), identityOf(NEXT));
const another = /client "c1" has another key since this call began/;

describe('a client that rotates its key while it is at work', () => {
  let world: World;
  let run: Run;
  let peers: Peer[];

  const begin = async (spec = toySpec({ rounds: 1 })) => {
    run = await world.coordinator.createRun(spec, encode(toyModel()), {
      id: 'r',
      directory: join(world.dataDir, 'runs', 'r'),
    });
    peers = NAMES.map((name) => Peer.enter(world, name));
    await run.idle();
  };
  /** As `client run` does by its new key. */
  const back = (by = NEXT) => {
    const peer = new Peer(world, 'c1');
    peer.hello();
    peer.prove(by);
    return peer;
  };
  const rotate = () => world.coordinator.rotateKey({ client: 'c1', handOver: word });
  const arrived = () => {
    const { stage } = run.state;
    assert.ok('cohort' in stage, stage.kind);
    return stage.cohort.members[stage.cohort.names.indexOf('c1')].status === 'arrived';
  };

  beforeEach(async () => {
    world = await openWorld();
  });
  afterEach(async () => {
    await world.coordinator.close();
    assert.deepEqual(world.fatal, []);
  });

  for (const rest of ['half of its bytes', 'nothing but its end']) {
    it(`does not get in an update that it began to send by the old key, and of which ${rest} is missing`, async () => {
      await begin();
      const [peer] = peers;
      const { header, values } = await peer.train(peer.plans[0]);
      const signature = identityOf('c1').sign(signedBytes('update', header));
      const bytes = bytesOf(values);
      const chunks = handFed<Uint8Array>();
      const sent = world.coordinator.upload(peer.session, { header, signature }, 0, chunks);
      const refused = assert.rejects(sent, { code: 'permission-denied', message: another });
      const half = rest === 'nothing but its end' ? bytes.length : bytes.length >> 1;
      chunks.push(bytes.subarray(0, half));
      await turns();
      await rotate();
      if (half < bytes.length) chunks.push(bytes.subarray(half));
      chunks.end();
      await refused;
      await run.idle();
      assert.equal(arrived(), false);

      const again = back();
      await assert.rejects(again.upload({ header, values }, { by: 'c1' }), {
        message: /signature is not by client "c1"/,
      });
      assert.equal((await again.upload({ header, values }, { by: NEXT })).outcome, 'accepted');
      for (const other of peers.slice(1)) await other.answer();
      await run.idle();
      assert.deepEqual([...run.model.params.values], Array(6).fill(toyExpected(NAMES, 1)), 'counted once');
    });
  }

  it('has no session, stream, download or login by the old key, and is let in by the new one', async () => {
    await begin();
    const [peer] = peers;
    const [plan] = peer.plans;
    const request = { run: plan.run, sha256: plan.modelSha256, offset: 0 };
    const download = world.coordinator.download(peer.session, request);
    const update = await peer.train(plan);
    await rotate();
    assert.match(peer.closed!, /its key was replaced by another/);
    assert.deepEqual(peer.last('goodbye'), { kind: 'goodbye', reason: 'its key was replaced by another', retry: true });
    const unknown = { code: 'permission-denied', message: /session: not known/ };
    await assert.rejects(peer.upload(update), unknown);
    await assert.rejects(peer.model(plan), unknown);
    await assert.rejects(download.next(), /session: not known|another key/);
    peer.say({
      kind: 'decline',
      task: { run: 'r', kind: 'train', round: 1, attempt: 1 },
      reason: 'refused',
      detail: '',
    });
    peer.send({
      kind: 'small-update',
      signed: { header: update.header, signature: new Uint8Array(64) },
      data: bytesOf(update.values),
    });
    await run.idle();
    assert.deepEqual(run.state.refused, {}, 'what is said on the old stream is not heard');
    const thief = back('c1');
    assert.match(thief.closed!, /the proof is not by the key of client "c1"/);
    assert.equal(back().closed, undefined);
  });

  it('is sent away once: the same word again, by whomever, disturbs nobody, and a second successor is refused', async () => {
    await begin();
    await rotate();
    const peer = back();
    await rotate();
    assert.equal(peer.closed, undefined);
    const fork = signHandOver({ client: 'c1' }, identityOf('c1'), identityOf('a thief'));
    await assert.rejects(world.coordinator.rotateKey({ client: 'c1', handOver: fork }), /key that gives any more/);
    const foreign = signHandOver({ client: 'c2' }, identityOf(NEXT), identityOf('a thief'));
    await assert.rejects(world.coordinator.rotateKey({ client: 'c1', handOver: foreign }), /not both signed/);
    const back1 = signHandOver({ client: 'c1' }, identityOf(NEXT), identityOf('c1'));
    await assert.rejects(world.coordinator.rotateKey({ client: 'c1', handOver: back1 }), { code: 'already-exists' });
    await assert.rejects(world.coordinator.rotateKey({ client: 'nobody', handOver: word }), /not enrolled here/);
    assert.equal(peer.closed, undefined);
  });

  it('is in a masked attempt by the key that its plan names, and in the next one by its own', async () => {
    await begin(ledgerSpec(true, { rounds: 1 }));
    const [first] = peers[1].plans;
    assert.equal(first.secure!.enrolled.c1, toHex(identityOf('c1').publicKey));
    await rotate();
    world.clock.advance(1000); // its plan is made anew
    const peer = back();
    await run.idle();
    for (const plan of [...peer.plans, ...peers[1].plans]) {
      const { attempt, secure } = plan;
      const by = attempt === first.attempt ? 'c1' : NEXT;
      assert.equal(secure!.enrolled.c1, toHex(identityOf(by).publicKey), `attempt ${attempt}`);
    }
    for (let turn = 0; turn < 20 && run.state.attempt === first.attempt; turn++) {
      world.clock.advance(60_000);
      await run.idle();
    }
    assert.ok(run.state.attempt > first.attempt, 'the attempt ends without it');
    assert.equal(peer.plans.at(-1)!.secure!.enrolled.c1, toHex(identityOf(NEXT).publicKey));
  });
});
