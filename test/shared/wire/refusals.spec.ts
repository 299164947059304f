/**
 * What the wire refuses, and that the error says which field, what was expected and what came. Where a message can be
 * made by the generated code only, it comes from the other side; else both sides must refuse it with the same words.
 */
import assert from 'node:assert/strict';
import { FlError } from '../../../shared/errors.js';
import type { ClientFrame, CoordinatorFrame } from '../../../shared/service.js';
import { parseLoopback } from '../../../shared/wire/address.js';
import * as admin from '../../../shared/wire/admin.js';
import { decodeClientFrame, encodeClientFrame } from '../../../shared/wire/client-frames.js';
import { decodeCoordinatorFrame, encodeCoordinatorFrame } from '../../../shared/wire/coordinator-frames.js';
import { StartRunRequest } from '../../../shared/wire/gen/starling/v1/admin.js';
import {
  ControlRequest,
  ControlResponse,
  UploadUpdateRequest,
} from '../../../shared/wire/gen/starling/v1/participant.js';
import { MAX_METRIC_SUMS, MAX_METRICS, MAX_PENDING_UPDATES, MAX_TEXT_CHARS } from '../../../shared/wire/limits.js';
import { codeOfStatus, statusOfCode } from '../../../shared/wire/status.js';
import * as transfer from '../../../shared/wire/transfer.js';

const SHA256 = 'ab'.repeat(32);
const SIGNATURE = new Uint8Array(64);
const TASK = { run: 'run-1', kind: 'train', round: 1, attempt: 0 } as const;
const PENDING = { run: 'run-1', round: 1, attempt: 0, sha256: SHA256 };
const METRIC = { sum: [1], count: 1 };
const RECEIPT = {
  run: 'run-1',
  round: 1,
  attempt: 0,
  client: 'c',
  updateSha256: SHA256,
  outcome: 'dropped',
  modelSha256: '',
} as const;
const HEADER = { ...PENDING, sizeBytes: 8, weights: [1], metrics: {} };

function refuses(run: () => unknown, message: string | RegExp): void {
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof FlError, String(error));
    assert.equal(error.code, 'invalid-argument');
    if (typeof message === 'string') assert.equal(error.message, message);
    else assert.match(error.message, message);
    return true;
  });
}

const evaluation = (metrics: ClientFrame extends infer F ? (F extends { metrics: infer M } ? M : never) : never) =>
  ({ kind: 'evaluation', task: TASK, metrics, signature: SIGNATURE }) as const;
const hello = (fields: object): ClientFrame =>
  ({ kind: 'hello', client: 'c', version: '', address: '', nonce: SIGNATURE.subarray(32), ...fields }) as ClientFrame;
const proof = (fields: object): ClientFrame =>
  ({ kind: 'proof', signature: SIGNATURE, pending: [], ...fields }) as ClientFrame;
const many = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`m${i}`, METRIC]));

const SIGNED_TASK = { task: { run: 'r', kind: 'train', round: 1, attempt: 1 }, signature: SIGNATURE };
const SIGNED_HEAD = { head: { run: 'r', round: 1, lineSha256: 'a'.repeat(64) }, signature: 'a'.repeat(128) };

const CLIENT_FRAMES: readonly [string, ClientFrame, string | RegExp][] = [
  ['a name in capitals', hello({ client: 'Lab' }), 'hello.client: expected 1 to 63 characters of a-z 0-9 -, got "Lab"'],
  [
    'more tasks than are shown',
    proof({ shown: { tasks: Array(33).fill(SIGNED_TASK), heads: [] } }),
    /^proof\.tasks: .*got 33$/,
  ],
  [
    'more heads than are shown',
    proof({ shown: { tasks: [], heads: Array(33).fill(SIGNED_HEAD) } }),
    /^proof\.heads: .*got 33$/,
  ],
  ['an empty name', hello({ client: '' }), 'hello.client: expected 1 to 63 characters of a-z 0-9 -, got ""'],
  ['a path as a name', hello({ client: '../x' }), /^hello\.client: .*got "\.\.\/x"$/],
  ['a name of 64', hello({ client: 'a'.repeat(64) }), /^hello\.client: /],
  [
    'a version that is too long',
    hello({ version: 'v'.repeat(65) }),
    'hello.version: expected at most 64 characters, got "65 characters"',
  ],
  [
    'an upper-case hash',
    proof({ pending: [{ ...PENDING, sha256: 'AB'.repeat(32) }] }),
    /^proof\.pending\.sha256: expected 64 lower-case hex digits/,
  ],
  [
    'too many pending updates',
    proof({ pending: Array.from({ length: MAX_PENDING_UPDATES + 1 }, () => PENDING) }),
    'proof.pending: expected at most 256 entries, got 257',
  ],
  ['a round below 0', proof({ pending: [{ ...PENDING, round: -1 }] }), /^proof\.pending\.round: .* got -1$/],
  ['half a round', proof({ pending: [{ ...PENDING, round: 0.5 }] }), /^proof\.pending\.round: .* got 0\.5$/],
  ['a short signature', proof({ signature: new Uint8Array(63) }), 'proof.signature: expected 64 bytes, got 63 bytes'],
  [
    'a metric of NaN',
    evaluation({ loss: { sum: [1, Number.NaN], count: 1 } }),
    'metrics.loss.sum: expected a finite number, got NaN',
  ],
  ['an infinite metric', evaluation({ loss: { sum: [-Infinity], count: 1 } }), /got -Infinity$/],
  [
    'a negative count',
    evaluation({ loss: { sum: [1], count: -1 } }),
    'metrics.loss.count: expected a finite number of at least 0, got -1',
  ],
  ['too many metrics', evaluation(many(MAX_METRICS + 1)), 'metrics: expected at most 256 entries, got 257'],
  [
    'too many sums',
    evaluation({ a: { sum: new Array(MAX_METRIC_SUMS).fill(0), count: 1 }, b: METRIC }),
    'metrics.sum: expected at most 65536 entries, got 65537',
  ],
  ['an unnamed metric', evaluation({ '': METRIC }), 'metrics.name: expected a name, got ""'],
];

const ALONE = { index: 0, count: 1, path: new Uint8Array(0) };

const COORDINATOR_FRAMES: readonly [string, CoordinatorFrame, string | RegExp][] = [
  [
    'a short nonce',
    { kind: 'challenge', nonce: new Uint8Array(31), signature: SIGNATURE },
    'challenge.nonce: expected 32 bytes, got 31 bytes',
  ],
  [
    'a long session',
    { kind: 'welcome', session: new Uint8Array(33) },
    'welcome.session: expected 32 bytes, got 33 bytes',
  ],
  [
    'a plan that is too large',
    { kind: 'plan', body: new Uint8Array(3 * 1024 * 1024 + 1), signature: SIGNATURE, model: new Uint8Array(0) },
    'plan.body: expected at most 3145728 bytes, got 3145729 bytes',
  ],
  [
    'a receipt for a model that is no hash',
    { kind: 'receipt', receipt: { ...RECEIPT, modelSha256: 'x' }, inclusion: ALONE, signature: SIGNATURE },
    'receipt.model_sha256: expected 64 lower-case hex digits, got "x"',
  ],
  [
    'an unsigned receipt',
    { kind: 'receipt', receipt: RECEIPT, inclusion: ALONE, signature: new Uint8Array(0) },
    'receipt.signature: expected 64 bytes, got 0 bytes',
  ],
  [
    'a receipt outside its tree',
    { kind: 'receipt', receipt: RECEIPT, inclusion: { ...ALONE, index: 1 }, signature: SIGNATURE },
    'receipt.index: expected below 1, got 1',
  ],
  [
    'a receipt with half a hash on its way',
    { kind: 'receipt', receipt: RECEIPT, inclusion: { ...ALONE, path: new Uint8Array(16) }, signature: SIGNATURE },
    'receipt.path: expected a multiple of 32 bytes, got 16 bytes',
  ],
  [
    'a receipt that is too deep in its tree',
    { kind: 'receipt', receipt: RECEIPT, inclusion: { ...ALONE, path: new Uint8Array(33 * 32) }, signature: SIGNATURE },
    'receipt.path: expected at most 1024 bytes, got 1056 bytes',
  ],
];

describe('a sender', () => {
  for (const [title, frame, message] of CLIENT_FRAMES) {
    it(`refuses ${title}`, () => refuses(() => encodeClientFrame(frame), message));
  }
  for (const [title, frame, message] of COORDINATOR_FRAMES) {
    it(`refuses ${title}`, () => refuses(() => encodeCoordinatorFrame(frame), message));
  }

  it('cuts a text for a person rather than failing, and mends lone surrogates', () => {
    const detail = `\uD800${'x'.repeat(MAX_TEXT_CHARS)}`;
    const sent = decodeClientFrame(
      encodeClientFrame({ kind: 'decline', task: TASK, reason: 'failed', detail, signature: SIGNATURE }),
    );
    assert.ok(sent.kind === 'decline');
    assert.equal(sent.detail, `\uFFFD${'x'.repeat(MAX_TEXT_CHARS - 4)}...`);
  });

  it('refuses an answer that is larger than a message', () => {
    const clients = Array.from({ length: 70_000 }, () => ({
      name: 'a'.repeat(63),
      online: true,
      enrolledAtMs: 1,
      publicKey: new Uint8Array(32),
    }));
    assert.throws(() => admin.encodeClientList(clients), { code: 'resource-exhausted' });
  });
});

describe('a receiver', () => {
  const task = { run: 'run-1', kind: 1, round: 0, attempt: 0 };
  const control = (frame: ControlRequest['frame']) => () =>
    decodeClientFrame(ControlRequest.encode({ frame }).finish());
  const order = (frame: ControlResponse['frame']) => () =>
    decodeCoordinatorFrame(ControlResponse.encode({ frame }).finish());
  const metric = (...names: string[]) => names.map((name) => ({ name, sum: [0], count: 1 }));
  const progress = (of: typeof task | undefined) =>
    control({ $case: 'progress', value: { task: of, stepsDone: 0, stepsTotal: 0 } });
  const receipt = { ...RECEIPT, outcome: 2, reason: '', signature: SIGNATURE, ...ALONE };

  it('refuses what only another program would send', () => {
    refuses(
      () => decodeClientFrame(Uint8Array.of(0xff, 0xff)),
      /^control frame: expected a protobuf message, got 2 mal/,
    );
    refuses(() => decodeClientFrame(new Uint8Array(0)), 'frame: expected a value, got "nothing"');
    refuses(progress(undefined), 'task: expected a value, got "nothing"');
    refuses(progress({ ...task, kind: 0 }), 'task.kind: expected one of train, evaluate, got 0');
    refuses(progress({ ...task, kind: 99 }), 'task.kind: expected one of train, evaluate, got 99');
    refuses(progress({ ...task, run: 'a/b' }), 'task.run: expected 1 to 63 characters of a-z 0-9 -, got "a/b"');
    refuses(
      control({ $case: 'decline', value: { task, reason: 7 as number, detail: '', signature: SIGNATURE } }),
      /^decline\.reason: .* got 7$/,
    );
    const detail = 'x'.repeat(MAX_TEXT_CHARS + 1);
    refuses(
      control({ $case: 'decline', value: { task, reason: 1, detail, signature: SIGNATURE } }),
      /^decline\.detail: /,
    );
    refuses(
      control({ $case: 'evaluation', value: { task, metrics: metric('a', 'a'), signature: SIGNATURE } }),
      /each name once, got "a"$/,
    );
    refuses(
      control({ $case: 'evaluation', value: { task, metrics: metric('__proto__'), signature: SIGNATURE } }),
      /got "__proto__"$/,
    );
    const proven = { signature: SIGNATURE, pending: [], policy: '', tasks: [], heads: [] };
    refuses(control({ $case: 'proof', value: { ...proven, signature: new Uint8Array(65) } }), /got 65 bytes$/);
    refuses(control({ $case: 'proof', value: { ...proven, policy: 'all' } }), /^proof\.policy: .* got "all"$/);
    refuses(order({ $case: 'receipt', value: { ...receipt, outcome: 0 } }), /^receipt\.outcome: .* got 0$/);
    refuses(order({ $case: 'receipt', value: { ...receipt, reason: 'bored' } }), /^receipt\.reason: .* got "bored"$/);
    refuses(order({ $case: 'receipt', value: { ...receipt, count: 0 } }), 'receipt.index: expected below 0, got 0');
  });

  it('refuses numbers beyond what a double holds', () => {
    const value = { ...HEADER, sizeBytes: 2n ** 53n, offset: 0n, metrics: [], signature: SIGNATURE };
    const part = { $case: 'header' as const, value };
    refuses(
      () => transfer.decodeUploadPart(UploadUpdateRequest.encode({ part }).finish()),
      'header.size_bytes: expected an integer from 0 to 2^53 - 1, got 9007199254740992',
    );
  });

  it('refuses an offset behind the end, and a weight that is no number', () => {
    const start = { signed: { header: HEADER, signature: SIGNATURE }, offset: 9 };
    refuses(() => transfer.encodeUploadStart(start), 'header.offset: expected at most size_bytes (8), got 9');
    const header = { ...HEADER, weights: [1, Number.POSITIVE_INFINITY] };
    const infinite = { signed: { header, signature: SIGNATURE }, offset: 0 };
    refuses(() => transfer.encodeUploadStart(infinite), 'header.weights: expected a finite number, got Infinity');
  });

  it('refuses a specification that is not one, and a model that is too large', () => {
    const start = (spec: string, modelSizeBytes = 0n) =>
      StartRunRequest.encode({ part: { $case: 'header', value: { spec, modelSizeBytes } } }).finish();
    refuses(() => admin.decodeStartRunPart(start('{')), 'spec: expected JSON, got 1 characters');
    refuses(() => admin.decodeStartRunPart(start('null')), 'spec.work: expected an object, got null');
    refuses(() => admin.decodeStartRunPart(start('{"work":{}}')), 'spec.engine: expected an object, got null');
    const large = start('{"work":{},"engine":{}}', 2n ** 31n + 1n);
    refuses(() => admin.decodeStartRunPart(large), 'model_size_bytes: expected at most 2147483648, got 2147483649');
  });
});

describe('a status', () => {
  it('keeps every code of ours through its trailer', () => {
    const codes = ['not-found', 'data-missing', 'corrupt', 'unavailable', 'failed-precondition'] as const;
    for (const code of codes) assert.equal(codeOfStatus(statusOfCode(code), code), code);
  });

  it('reads a status of gRPC itself, and does not believe an unknown trailer', () => {
    assert.equal(codeOfStatus(14, undefined), 'unavailable');
    assert.equal(codeOfStatus(4, undefined), 'unavailable');
    assert.equal(codeOfStatus(16, undefined), 'permission-denied');
    assert.equal(codeOfStatus(2, undefined), 'internal');
    assert.equal(codeOfStatus(8, 'toString'), 'resource-exhausted');
  });
});

describe('an address', () => {
  it('is a port of this machine', () => {
    assert.deepEqual(parseLoopback('listen', 'localhost:7000'), { host: '127.0.0.1', port: 7000 });
    assert.deepEqual(parseLoopback('listen', '127.1.2.3:0'), { host: '127.1.2.3', port: 0 });
    assert.deepEqual(parseLoopback('listen', '[::1]:65535'), { host: '::1', port: 65_535 });
    for (const address of ['', '127.0.0.1', ':80', '127.0.0.1:65536', '::1:80', '127.0.0.1:80x']) {
      refuses(() => parseLoopback('listen', address), /^listen: expected HOST:PORT, got "/);
    }
    for (const address of ['10.0.0.1:80', '127.0.0.1.evil.org:80', '0.0.0.0:80', '[::]:80', '127.0.0.999:80']) {
      assert.throws(() => parseLoopback('listen', address), { code: 'failed-precondition' });
    }
  });
});
