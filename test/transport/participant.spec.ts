/**
 * Every call of a participant through real gRPC on loopback, with a table in place of the coordinator.
 */
import assert from 'node:assert/strict';
import { FlError } from '../../shared/errors.js';
import { SESSION, SHA256, UPDATE } from './fake-coordinator.js';
import { bytes, chunksOf, collect, eachLink, hasCode, SIGNATURE, signal, until, updateOf } from './fixture.js';

const MODEL = { run: 'run-1', sha256: SHA256, offset: 0 };

describe('a participant over gRPC', () => {
  const link = eachLink();

  it('enrols', async () => {
    const request = { token: 'sl1.secret', publicKey: bytes(32), signature: SIGNATURE };
    const reply = await link.client.enrol(request);
    assert.deepEqual(reply, { client: 'client-1', coordinatorKey: new Uint8Array(32).fill(9) });
    assert.deepEqual(link.participant.calls, [request]);
  });

  it('downloads a model from an offset, byte for byte', async () => {
    link.participant.model = bytes(1_000_003);
    const received = await collect(link.client.download(SESSION, { ...MODEL, offset: 17 }));
    assert.ok(received.equals(link.participant.model.subarray(17)));
    assert.deepEqual(link.participant.calls, [{ ...MODEL, offset: 17 }]);
  });

  it('gets chunks of the agreed size, whatever pieces they are given in', async () => {
    link.participant.model = bytes(900_000);
    link.participant.chunkBytes = 900_000;
    const sizes: number[] = [];
    for await (const chunk of link.client.download(SESSION, MODEL)) sizes.push(chunk.length);
    assert.deepEqual(sizes, [262_144, 262_144, 262_144, 113_568]);
    await link.client.upload(SESSION, updateOf(700_000), 0, chunksOf(bytes(700_000), 700_000));
    const received = link.participant.received.map((chunk) => chunk.length);
    assert.deepEqual(received, [262_144, 262_144, 175_712]);
  });

  it('stops the coordinator when it leaves a download', async () => {
    link.participant.model = bytes(40_000_000);
    for await (const _chunk of link.client.download(SESSION, MODEL)) break;
    await until(() => link.participant.downloadsEnded === 1);
  });

  it('learns how much of an update is held', async () => {
    assert.equal(await link.client.uploadStatus(SESSION, UPDATE), 4096);
    assert.deepEqual(link.participant.calls, [UPDATE]);
  });

  it('is refused with a session that the coordinator does not know, by the same error', async () => {
    const other = new Uint8Array(32);
    const denied = hasCode('permission-denied', /^session: unknown$/);
    await assert.rejects(link.client.uploadStatus(other, UPDATE), denied);
    await assert.rejects(link.client.upload(other, updateOf(9_000_000), 0, chunksOf(bytes(9_000_000))), denied);
    await assert.rejects(collect(link.client.download(other, MODEL)), denied);
  });
});

describe('an upload over gRPC', () => {
  const link = eachLink();

  it('arrives byte for byte, from its offset on', async () => {
    const values = bytes(700_000);
    const reply = await link.client.upload(SESSION, updateOf(700_000), 100_000, chunksOf(values.subarray(100_000)));
    assert.deepEqual(reply, { outcome: 'accepted', detail: '' });
    assert.deepEqual(link.participant.calls, [{ signed: updateOf(700_000), offset: 100_000 }]);
    assert.ok(Buffer.concat(link.participant.received).equals(values.subarray(100_000)));
  });

  it('may be empty', async () => {
    assert.equal((await link.client.upload(SESSION, updateOf(0), 0, chunksOf(bytes(0)))).outcome, 'accepted');
  });

  it('stops when it is turned down', async () => {
    link.participant.upload = async () => ({ outcome: 'rejected', detail: 'the round is over' });
    const endless = async function* () {
      for (;;) yield bytes(65_536);
    };
    const reply = await link.client.upload(SESSION, updateOf(2 ** 40), 0, endless());
    assert.deepEqual(reply, { outcome: 'rejected', detail: 'the round is over' });
  });

  it('that fails at its source does not look like a short one', async () => {
    const started = signal();
    const seen = signal<unknown>();
    link.participant.consume = async (chunks) => {
      started.fire();
      await collect(chunks).then(() => seen.fire('a whole update'), seen.fire);
    };
    const failing = async function* () {
      yield bytes(10);
      await started.promise;
      throw new FlError('corrupt', 'the update on disk is damaged');
    };
    await assert.rejects(link.client.upload(SESSION, updateOf(20), 0, failing()), hasCode('corrupt', /damaged/));
    assert.ok(hasCode('unavailable')(await seen.promise));
  });

  it('is refused when it is longer or shorter than it said', async () => {
    const longer = link.client.upload(SESSION, updateOf(9), 0, chunksOf(bytes(10)));
    await assert.rejects(longer, hasCode('invalid-argument', /^data: expected 9 bytes in all, got "10 or more"$/));
    const shorter = link.client.upload(SESSION, updateOf(11), 0, chunksOf(bytes(10)));
    await assert.rejects(shorter, hasCode('unavailable', /broke off at 10 of 11 bytes/));
  });
});

describe('an upload that goes silent', () => {
  const link = eachLink({ limits: { uploadIdleMs: 50 } });

  it('is given up when its next chunk is wanted and does not come', async () => {
    const silent = async function* () {
      yield bytes(10);
      await new Promise(() => {});
    };
    const upload = link.client.upload(SESSION, updateOf(20), 0, silent());
    await assert.rejects(
      Promise.race([upload, until(() => link.participant.calls.length > 0).then(() => upload)]),
      hasCode('unavailable', /expected a chunk within 50 ms/),
    );
  });
});
