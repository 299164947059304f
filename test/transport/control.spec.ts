/**
 * Control streams through real gRPC on loopback.
 */
import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import { ControlStreams } from '../../server/grpc/control.js';
import type { ClientFrame, CoordinatorFrame } from '../../shared/service.js';
import { encodeClientFrame } from '../../shared/wire/client-frames.js';
import { FakeParticipant, SESSION, SHA256, UPDATE } from './fake-coordinator.js';
import { bytes, eachLink, SIGNATURE, signal, until } from './fixture.js';

const TASK = { run: 'run-1', kind: 'train', round: 3, attempt: 1 } as const;
const RECEIPT = { run: 'run-1', round: 3, attempt: 1, client: 'client-1', updateSha256: SHA256 } as const;
const DROPPED = { ...RECEIPT, outcome: 'dropped', reason: 'deadline', modelSha256: '' } as const;

const QUESTIONS: readonly ClientFrame[] = [
  { kind: 'hello', client: 'client-1', version: '0.1.0', address: '127.0.0.1:7437', nonce: bytes(32) },
  { kind: 'proof', signature: SIGNATURE, pending: [UPDATE] },
  { kind: 'progress', task: TASK, stepsDone: 1, stepsTotal: 2 },
  { kind: 'decline', task: TASK, reason: 'refused', detail: 'policy', signature: SIGNATURE },
  {
    kind: 'evaluation',
    task: { ...TASK, kind: 'evaluate' },
    metrics: { accuracy: { sum: [3], count: 4 } },
    signature: SIGNATURE,
  },
  { kind: 'progress', task: TASK, stepsDone: 2, stepsTotal: 2 },
];

const ANSWERS: readonly CoordinatorFrame[] = [
  { kind: 'challenge', nonce: bytes(32), signature: SIGNATURE },
  { kind: 'welcome', session: SESSION },
  { kind: 'plan', body: bytes(300), signature: SIGNATURE, model: bytes(40) },
  { kind: 'withdrawal', task: TASK, reason: 'the round was aborted' },
  { kind: 'receipt', receipt: DROPPED, inclusion: { index: 1, count: 3, path: bytes(64) }, signature: SIGNATURE },
  { kind: 'goodbye', reason: 'bye', retry: true },
];

describe('a control stream over gRPC', () => {
  const link = eachLink();

  it('carries frames both ways, in order, and then the reason of its end', async () => {
    let answered = 0;
    link.participant.onFrame = (_frame, toClient) => {
      toClient.send(ANSWERS[answered++]);
      if (answered === ANSWERS.length) toClient.close('done – 100 % "geschlossen"');
    };
    const got: CoordinatorFrame[] = [];
    const closed = signal<string>();
    const toServer = link.client.connect({ send: (frame) => got.push(frame), close: closed.fire });
    for (const question of QUESTIONS) toServer.send(question);
    assert.equal(await closed.promise, 'done – 100 % "geschlossen"');
    assert.deepEqual(got, ANSWERS);
    assert.deepEqual(link.participant.streams[0].frames, QUESTIONS);
    assert.deepEqual(link.participant.streams[0].closed, [], 'who closes is not told that it is closed');
  });

  it('tells the coordinator once when the client ends it', async () => {
    const end = link.client.connect({ send() {}, close() {} });
    await until(() => link.participant.streams.length === 1);
    end.close('no more');
    end.close('no more');
    await until(() => link.participant.streams[0].closed.length > 0);
    link.client.close();
    await link.server.close();
    assert.deepEqual(link.participant.streams[0].closed, ['the client left']);
  });

  it('tells the coordinator once when the client vanishes', async () => {
    link.client.connect({ send() {}, close() {} });
    await until(() => link.participant.streams.length === 1);
    link.client.close();
    await until(() => link.participant.streams[0].closed.length > 0);
    await link.server.close();
    assert.deepEqual(link.participant.streams[0].closed, ['the client left']);
  });

  it('ends when the coordinator shuts down, on both sides', async () => {
    const closed = signal<string>();
    link.client.connect({ send() {}, close: closed.fire });
    await until(() => link.participant.streams.length === 1);
    await link.server.close();
    assert.equal(await closed.promise, 'the coordinator is shutting down');
    assert.deepEqual(link.participant.streams[0].closed, ['the coordinator is shutting down']);
  });

  it('ends with the error that a frame caused', async () => {
    const closed = signal<string>();
    link.participant.onFrame = (_frame, toClient) =>
      toClient.send({ kind: 'challenge', nonce: bytes(3), signature: SIGNATURE });
    link.client.connect({ send() {}, close: closed.fire }).send(QUESTIONS[0]);
    assert.equal(await closed.promise, 'challenge.nonce: expected 32 bytes, got 3 bytes');
    assert.deepEqual(link.participant.streams[0].closed, ['challenge.nonce: expected 32 bytes, got 3 bytes']);
  });
});

describe('a control stream whose client does not read', () => {
  const link = eachLink({ latencyMs: 0, limits: { maxOutboxBytes: 4 * 1024 * 1024, closeGraceMs: 50 } });

  it('is closed with a reason when its outbox is full, and then cut', async () => {
    const closed = signal<string>();
    let connected = false;
    const onFrame = () => {
      connected = true;
    };
    link.participant.onFrame = (_frame, toClient) => toClient.send(ANSWERS[0]);
    link.client.connect({ send: onFrame, close: closed.fire }).send(QUESTIONS[0]);
    await until(() => connected);
    link.proxy.hold('down');
    const stream = link.participant.streams[0];
    // 64 MiB in the proxy, the kernel's buffers and the window may fill before the outbox does.
    const plan: CoordinatorFrame = {
      kind: 'plan',
      body: new Uint8Array(1024 * 1024),
      signature: SIGNATURE,
      model: new Uint8Array(0),
    };
    let sent = 0;
    while (stream.closed.length === 0) {
      stream.toClient.send(plan);
      sent++;
      if (sent % 4 === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    assert.deepEqual(stream.closed, ['the client does not read: its outbox is full']);
    assert.ok(sent < 120, `${sent} MiB were taken for a client that does not read`);
    await until(() => link.server.connections === 0);
    link.proxy.release('down');
    await closed.promise;
  });
});

describe('the outbox of a control stream', () => {
  const plan = (length: number) => ({ ...ANSWERS[2], body: bytes(length) }) as CoordinatorFrame;
  const FULL = 'the client does not read: its outbox is full';

  for (const [what, limits] of [
    ['frames', { maxOutboxFrames: 8 }],
    ['bytes', { maxOutboxBytes: 4096 }],
  ] as const) {
    describe(`of so many ${what}`, () => {
      const link = eachLink({ limits });

      it('holds what has not left, and no more than that', async () => {
        let got = 0;
        const count = () => {
          got++;
        };
        const closed = signal<string>();
        link.client.connect({ send: count, close: closed.fire });
        await until(() => link.participant.streams.length === 1);
        const stream = link.participant.streams[0];
        for (let sent = 1; sent <= 40; sent++) {
          stream.toClient.send(plan(300));
          await until(() => got === sent || stream.closed.length > 0);
        }
        assert.deepEqual(stream.closed, []);
        for (let sent = 0; sent < 30; sent++) stream.toClient.send(plan(300));
        assert.deepEqual(stream.closed, [FULL]);
        assert.equal(await closed.promise, FULL);
      });
    });
  }
});

describe('a control stream that has ended', () => {
  it('hears nothing and says nothing', () => {
    const participant = new FakeParticipant();
    const written: Uint8Array[] = [];
    const call = Object.assign(new EventEmitter(), {
      getPeer: () => 'peer',
      destroyed: true,
      end() {},
      write: (message: Uint8Array) => written.push(message),
    });
    const nothing = () => {};
    const streams = new ControlStreams(
      { participantOf: () => participant },
      {
        limits: { maxOutboxFrames: 8, maxOutboxBytes: 4096, closeGraceMs: 1 },
        ...{ onFault: nothing, cut: nothing, welcomed: nothing, refused: nothing, planned: nothing },
      },
    );
    streams.handle(call as unknown as Parameters<ControlStreams['handle']>[0]);
    const [{ toClient, frames }] = participant.streams;
    const speak = () => {
      call.emit('data', encodeClientFrame(QUESTIONS[0]));
      toClient.send(ANSWERS[0]);
      return [frames.length, written.length];
    };
    assert.deepEqual(speak(), [1, 1]);
    toClient.close('enough');
    assert.deepEqual(speak(), [1, 1]);
  });
});
