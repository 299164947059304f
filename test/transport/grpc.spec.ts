/**
 * Every call of both services through real gRPC on loopback, with a table in place of the coordinator.
 */
import assert from 'node:assert/strict';
import { connectAdmin } from '../../client/admin-grpc.js';
import { connectGrpc, type GrpcParticipant } from '../../client/grpc.js';
import { type GrpcServer, serveGrpc } from '../../server/grpc.js';
import { FlError } from '../../shared/errors.js';
import type { ClientFrame, CoordinatorFrame, SignedUpdateHeader } from '../../shared/service.js';
import {
  ADMIN_TOKEN,
  FakeAdmin,
  FakeParticipant,
  RUN_INFO,
  SESSION,
  SHA256,
  SPEC,
  UPDATE,
} from './fake-coordinator.js';

const SIGNATURE = new Uint8Array(64).fill(5);
const SIGNED: SignedUpdateHeader = {
  header: { ...UPDATE, sizeBytes: 700_000, weights: [12, 0.5], metrics: { loss: { sum: [1.25], count: 12 } } },
  signature: SIGNATURE,
};
const TASK = { run: 'run-1', kind: 'train', round: 3, attempt: 1 } as const;

function bytes(length: number): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(length);
  for (let i = 0; i < length; i++) out[i] = i * 31 + (i >> 8);
  return out;
}

async function* piecesOf(values: Uint8Array, size: number) {
  for (let at = 0; at < values.length; at += size) yield values.subarray(at, at + size);
}

async function collect(chunks: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for await (const chunk of chunks) parts.push(chunk);
  return Buffer.concat(parts);
}

function hasCode(code: string, message?: RegExp) {
  return (error: unknown): boolean => {
    assert.ok(error instanceof FlError, `expected an FlError, got ${error}`);
    assert.equal(error.code, code, error.message);
    if (message !== undefined) assert.match(error.message, message);
    return true;
  };
}

describe('the participant over gRPC', () => {
  let participant: FakeParticipant;
  let server: GrpcServer;
  let client: GrpcParticipant;

  beforeEach(async () => {
    participant = new FakeParticipant();
    server = await serveGrpc({ participant, admin: new FakeAdmin(), adminToken: ADMIN_TOKEN, listen: '127.0.0.1:0' });
    client = connectGrpc(server.address);
  });

  afterEach(async () => {
    client.close();
    await server.close();
  });

  it('enrols', async () => {
    const request = { token: 'sl1.secret', publicKey: bytes(32), signature: SIGNATURE };
    const reply = await client.enrol(request);
    assert.deepEqual(reply, { client: 'client-1', coordinatorKey: new Uint8Array(32).fill(9) });
    assert.deepEqual(participant.calls, [request]);
  });

  it('downloads a model from an offset, byte for byte', async () => {
    participant.model = bytes(1_000_003);
    const request = { run: 'run-1', sha256: SHA256, offset: 17 };
    const received = await collect(client.download(SESSION, request));
    assert.ok(received.equals(participant.model.subarray(17)));
    assert.deepEqual(participant.calls, [request]);
  });

  it('splits larger pieces than a chunk, both ways', async () => {
    participant.model = bytes(900_000);
    participant.chunkBytes = 900_000;
    const received = await collect(client.download(SESSION, { run: 'run-1', sha256: SHA256, offset: 0 }));
    assert.ok(received.equals(participant.model));
    await client.upload(SESSION, SIGNED, 0, piecesOf(bytes(700_000), 700_000));
    assert.deepEqual(
      participant.received.map((chunk) => chunk.length),
      [262_144, 262_144, 175_712],
    );
  });

  it('stops the coordinator when the reader of a download goes away', async () => {
    participant.model = bytes(60_000_000);
    for await (const _chunk of client.download(SESSION, { run: 'run-1', sha256: SHA256, offset: 0 })) break;
    while (participant.downloadsEnded === 0) await new Promise((resolve) => setImmediate(resolve));
  });

  it('tells how much of an update is held', async () => {
    assert.equal(await client.uploadStatus(SESSION, UPDATE), 4096);
    assert.deepEqual(participant.calls, [UPDATE]);
  });

  it('uploads an update, byte for byte', async () => {
    const values = bytes(700_000);
    const reply = await client.upload(SESSION, SIGNED, 100_000, piecesOf(values.subarray(100_000), 65_536));
    assert.deepEqual(reply, { outcome: 'accepted', detail: '' });
    assert.deepEqual(participant.calls, [{ signed: SIGNED, offset: 100_000 }]);
    assert.ok(Buffer.concat(participant.received).equals(values.subarray(100_000)));
  });

  it('stops sending when an upload is turned down', async () => {
    participant.upload = async () => ({ outcome: 'rejected', detail: 'the round is over' });
    let given = 0;
    const endless = async function* () {
      for (;;) {
        given++;
        yield bytes(65_536);
      }
    };
    const reply = await client.upload(SESSION, SIGNED, 0, endless());
    assert.deepEqual(reply, { outcome: 'rejected', detail: 'the round is over' });
    assert.ok(given > 0);
  });

  it('does not let a failed source look like a short update', async () => {
    let arrived = (): void => {};
    const started = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const seen = new Promise<unknown>((resolve) => {
      participant.consume = async (chunks) => {
        arrived();
        await collect(chunks).then(() => resolve('a whole update'), resolve);
      };
    });
    const failing = async function* () {
      yield bytes(10);
      await started;
      throw new FlError('corrupt', 'the update on disk is damaged');
    };
    await assert.rejects(client.upload(SESSION, SIGNED, 0, failing()), hasCode('corrupt', /damaged/));
    assert.ok(hasCode('unavailable')(await seen));
  });

  it('refuses a session that it does not know, with the same error on this side', async () => {
    const other = new Uint8Array(32);
    const denied = hasCode('permission-denied', /^session: unknown$/);
    await assert.rejects(client.uploadStatus(other, UPDATE), denied);
    await assert.rejects(client.upload(other, SIGNED, 0, piecesOf(bytes(9_000_000), 262_144)), denied);
    await assert.rejects(collect(client.download(other, { run: 'run-1', sha256: SHA256, offset: 0 })), denied);
  });

  it('carries frames both ways, in order, and the reason of the end', async () => {
    const receipt = {
      ...UPDATE,
      client: 'client-1',
      updateSha256: SHA256,
      outcome: 'dropped',
      modelSha256: '',
    } as const;
    const { sha256: _, ...signedReceipt } = receipt;
    const answers: CoordinatorFrame[] = [
      { kind: 'challenge', nonce: bytes(32) },
      { kind: 'welcome', session: SESSION },
      { kind: 'plan', body: bytes(300), signature: SIGNATURE },
      { kind: 'withdrawal', task: TASK, reason: 'the round was aborted' },
      { kind: 'receipt', receipt: { ...signedReceipt, reason: 'deadline' }, signature: SIGNATURE },
      { kind: 'goodbye', reason: 'bye', retry: true },
    ];
    const questions: ClientFrame[] = [
      { kind: 'hello', client: 'client-1', version: '0.1.0', pending: [UPDATE] },
      { kind: 'proof', signature: SIGNATURE },
      { kind: 'progress', task: TASK, stepsDone: 1, stepsTotal: 2 },
      { kind: 'decline', task: TASK, reason: 'refused', detail: 'policy' },
      { kind: 'evaluation', task: { ...TASK, kind: 'evaluate' }, metrics: { accuracy: { sum: [3], count: 4 } } },
      { kind: 'progress', task: TASK, stepsDone: 2, stepsTotal: 2 },
    ];
    participant.onFrame = (frame, toClient) => {
      const index = questions.findIndex((question) => JSON.stringify(question) === JSON.stringify(frame));
      toClient.send(answers[index]);
      if (index === answers.length - 1) toClient.close('done – 100 % "geschlossen"');
    };
    const got: CoordinatorFrame[] = [];
    const reason = await new Promise<string>((resolve) => {
      const toServer = client.connect({ send: (frame) => got.push(frame), close: resolve });
      for (const question of questions) toServer.send(question);
    });
    assert.deepEqual(got, answers);
    assert.deepEqual(participant.streams[0].frames, questions);
    assert.equal(reason, 'done – 100 % "geschlossen"');
    assert.deepEqual(participant.streams[0].closed, []);
  });

  it('tells the coordinator when the client ends the stream, and when it vanishes', async () => {
    const closed = () =>
      new Promise<string>((resolve) => {
        participant.onClose = resolve;
      });
    const opened = () =>
      new Promise<void>((resolve) => {
        participant.onConnect = () => resolve();
      });
    const [first, firstOpen] = [closed(), opened()];
    const end = client.connect({ send() {}, close() {} });
    await firstOpen;
    end.close('no more');
    assert.equal(await first, 'the client left');
    const [second, secondOpen] = [closed(), opened()];
    client.connect({ send() {}, close() {} });
    await secondOpen;
    client.close();
    assert.equal(await second, 'the client left');
  });

  it('ends the control streams when it closes, on both sides', async () => {
    const opened = new Promise<void>((resolve) => {
      participant.onConnect = () => resolve();
    });
    const reason = new Promise<string>((resolve) => client.connect({ send() {}, close: resolve }));
    await opened;
    await server.close();
    assert.equal(await reason, 'the coordinator is shutting down');
    assert.deepEqual(participant.streams[0].closed, ['the coordinator is shutting down']);
  });

  it('says unavailable when nobody listens, and aborted after its own close', async () => {
    await server.close();
    await assert.rejects(client.uploadStatus(SESSION, UPDATE), hasCode('unavailable'));
    client.close();
    await assert.rejects(client.uploadStatus(SESSION, UPDATE), hasCode('aborted'));
  });

  it('does not tell the client what broke inside, but tells the coordinator', async () => {
    const faults: unknown[] = [];
    participant.uploadStatus = async () => {
      throw new TypeError('secret path /root');
    };
    const onFault = (fault: unknown) => faults.push(fault);
    const other = await serveGrpc({
      participant,
      admin: new FakeAdmin(),
      adminToken: ADMIN_TOKEN,
      listen: 'localhost:0',
      onFault,
    });
    const otherClient = connectGrpc(other.address);
    await assert.rejects(otherClient.uploadStatus(SESSION, UPDATE), (error) => {
      assert.ok(!String(error).includes('secret'));
      return hasCode('internal')(error);
    });
    assert.match(String(faults), /secret path/);
    otherClient.close();
    await other.close();
  });

  for (const listen of ['0.0.0.0:0', '[::]:0', '192.168.1.4:80', 'example.org:80']) {
    it(`refuses to listen on ${listen} and to connect there`, async () => {
      const admin = new FakeAdmin();
      const refused = hasCode('failed-precondition', /mutual TLS/);
      await assert.rejects(serveGrpc({ participant, admin, adminToken: ADMIN_TOKEN, listen }), refused);
      assert.throws(() => connectGrpc(listen), refused);
    });
  }

  it('serves on IPv6 loopback', async () => {
    const admin = new FakeAdmin();
    const six = await serveGrpc({ participant, admin, adminToken: ADMIN_TOKEN, listen: '[::1]:0' });
    const sixClient = connectGrpc(six.address);
    assert.equal(await sixClient.uploadStatus(SESSION, UPDATE), 4096);
    sixClient.close();
    await six.close();
  });
});

describe('the operator over gRPC', () => {
  let admin: FakeAdmin;
  let server: GrpcServer;

  beforeEach(async () => {
    admin = new FakeAdmin();
    const participant = new FakeParticipant();
    server = await serveGrpc({ participant, admin, adminToken: ADMIN_TOKEN, listen: '127.0.0.1:0' });
  });

  afterEach(() => server.close());

  it('carries every call', async () => {
    const client = connectAdmin(server.address, ADMIN_TOKEN);
    const model = bytes(600_001);
    assert.equal(await client.createToken({ name: 'lab-1', uses: 3, expiresMs: 86_400_000 }), 'sl1.token');
    assert.deepEqual(await client.listClients(), await admin.listClients());
    assert.equal(await client.startRun(SPEC, model), 'run-1');
    await client.stopRun('run-1', 'enough');
    await client.resumeRun('run-1');
    assert.deepEqual(await client.listRuns(), [RUN_INFO]);
    assert.deepEqual(await client.getRun('run-1'), { info: RUN_INFO, report: admin.report });
    assert.deepEqual(admin.calls, [
      { name: 'lab-1', uses: 3, expiresMs: 86_400_000 },
      { spec: SPEC, model },
      { stop: 'run-1', reason: 'enough' },
      { resume: 'run-1' },
      { get: 'run-1' },
    ]);
    client.close();
  });

  it('carries a report of any length', async () => {
    admin.report = JSON.stringify({ text: 'ä–€'.repeat(1_000_000) });
    const client = connectAdmin(server.address, ADMIN_TOKEN);
    assert.equal((await client.getRun('run-1')).report, admin.report);
    client.close();
  });

  it('watches a run to its end, and lets go when told', async () => {
    const client = connectAdmin(server.address, ADMIN_TOKEN);
    const events: string[] = [];
    for await (const event of client.watchRun('run-1')) events.push(event);
    assert.deepEqual(events, admin.events);
    admin.watchForever = true;
    const aborted = new Promise<void>((resolve) => {
      admin.onAbort = resolve;
    });
    const stop = new AbortController();
    for await (const event of client.watchRun('run-1', stop.signal)) if (event.includes('ended')) stop.abort();
    await aborted;
    client.close();
  });

  it('keeps the code and the text of an error', async () => {
    const client = connectAdmin(server.address, ADMIN_TOKEN);
    const expected = 'run: expected a run of this coordinator, got "other" (100 % sure)';
    await assert.rejects(client.resumeRun('other'), (error) => {
      hasCode('not-found')(error);
      assert.equal((error as FlError).message, expected);
      return true;
    });
    client.close();
  });

  it('refuses every call without the token', async () => {
    const client = connectAdmin(server.address, `${ADMIN_TOKEN}x`);
    const denied = hasCode('permission-denied', /admin token/);
    await assert.rejects(client.createToken({ name: 'lab-1', uses: 1, expiresMs: 1 }), denied);
    await assert.rejects(client.listClients(), denied);
    await assert.rejects(client.startRun(SPEC, bytes(9_000_000)), denied);
    await assert.rejects(client.stopRun('run-1', ''), denied);
    await assert.rejects(client.resumeRun('run-1'), denied);
    await assert.rejects(client.listRuns(), denied);
    await assert.rejects(client.getRun('run-1'), denied);
    await assert.rejects(async () => {
      for await (const _event of client.watchRun('run-1'));
    }, denied);
    assert.deepEqual(admin.calls, []);
    client.close();
  });
});
