/**
 * Arbitrary values of everything that crosses the wire, within its limits.
 */
import fc from 'fast-check';
import type { SumMetrics } from '../../../shared/run/metrics.js';
import type { Receipt, TaskId, UpdateHeader } from '../../../shared/run/plan.js';
import type { ClientFrame, CoordinatorFrame, RunInfo } from '../../../shared/service.js';
import type { Inclusion } from '../../../shared/signing/merkle.js';

/** Plain objects, as ours are. */
export function record<T>(model: { [K in keyof T]: fc.Arbitrary<T[K]> }): fc.Arbitrary<T> {
  return fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;
}

export const name = fc.stringMatching(/^[a-z0-9-]{1,63}$/);
export const sha256 = fc.stringMatching(/^[0-9a-f]{64}$/);
export const bytes = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
export const uint32 = fc.nat(0xffff_ffff);
export const size = fc.maxSafeNat();
/** Well-formed Unicode, as JavaScript's own strings need not be. */
export const text = fc.string({ unit: 'binary', maxLength: 200 });
const finite = fc.double({ noNaN: true, noDefaultInfinity: true }).map((value) => (value === 0 ? 0 : value));

export const task: fc.Arbitrary<TaskId> = record({
  run: name,
  kind: fc.constantFrom('train', 'evaluate'),
  round: uint32,
  attempt: uint32,
});

export const pending = record({ run: name, round: uint32, attempt: uint32, sha256 });

export const metrics: fc.Arbitrary<SumMetrics> = fc
  .uniqueArray(
    record({
      name: fc.string({ unit: 'binary', minLength: 1, maxLength: 40 }).filter((key) => key !== '__proto__'),
      sum: fc.array(finite, { maxLength: 5 }),
      count: finite.map(Math.abs),
    }),
    { maxLength: 5, selector: (metric) => metric.name },
  )
  .map((list) => Object.fromEntries(list.map(({ name: key, sum, count }) => [key, { sum, count }])));

export const header: fc.Arbitrary<UpdateHeader> = record({
  run: name,
  round: uint32,
  attempt: uint32,
  sha256,
  sizeBytes: size,
  weights: fc.array(finite, { maxLength: 6 }),
  metrics,
});

const signedHead = record({
  head: record({ run: name, round: uint32, lineSha256: sha256 }),
  signature: bytes(64).map((signature) => Buffer.from(signature).toString('hex')),
});

export const clientFrame: fc.Arbitrary<ClientFrame> = fc.oneof(
  record({
    kind: fc.constant('hello' as const),
    client: name,
    version: fc.string({ maxLength: 64 }),
    address: fc.string({ maxLength: 256 }),
    nonce: fc.oneof(bytes(32), bytes(0)),
  }),
  record({
    kind: fc.constant('proof' as const),
    signature: bytes(64),
    pending: fc.array(pending, { maxLength: 4 }),
  }),
  record({
    kind: fc.constant('proof' as const),
    signature: bytes(64),
    pending: fc.array(pending, { maxLength: 4 }),
    policy: sha256,
    shown: record({
      tasks: fc.array(record({ task, signature: bytes(64) }), { minLength: 1, maxLength: 4 }),
      heads: fc.array(signedHead, { maxLength: 4 }),
    }),
  }),
  record({ kind: fc.constant('progress' as const), task, stepsDone: uint32, stepsTotal: uint32 }),
  record({
    kind: fc.constant('decline' as const),
    task,
    reason: fc.constantFrom('refused' as const, 'failed' as const, 'dropout' as const),
    detail: text,
    signature: bytes(64),
  }),
  record({ kind: fc.constant('evaluation' as const), task, metrics, signature: bytes(64) }),
  fc.tuple(header, bytes(64), fc.uint8Array({ maxLength: 400 })).map(([declared, signature, data]): ClientFrame => {
    const signed = { header: { ...declared, sizeBytes: data.length }, signature };
    return { kind: 'small-update', signed, data };
  }),
  record({ kind: fc.constant('secure' as const), task, frame: fc.uint8Array({ maxLength: 400 }) }),
);

const receipt: fc.Arbitrary<Receipt> = record<Receipt>({
  run: name,
  round: uint32,
  attempt: uint32,
  client: name,
  updateSha256: sha256,
  outcome: fc.constantFrom('committed', 'dropped'),
  reason: fc.constantFrom('deadline', 'refused', 'failed', 'invalid-update', 'superseded', 'round-aborted', 'unknown'),
  modelSha256: fc.oneof(sha256, fc.constant('')),
}).map(({ reason, ...rest }) => (rest.outcome === 'committed' ? rest : { ...rest, reason }));

const inclusion: fc.Arbitrary<Inclusion> = fc
  .record({ index: fc.nat(0xffff_fffe), more: fc.nat(), levels: fc.nat(32) })
  .chain(({ index, more, levels }) =>
    bytes(32 * levels).map((path) => ({ index, count: Math.min(index + 1 + more, 0xffff_ffff), path })),
  );

const hexOf = (sizeBytes: number) => bytes(sizeBytes).map((value) => Buffer.from(value).toString('hex'));

/** A word of one key on another, whose signatures are none. */
export const handOver = record({ from: hexOf(32), to: hexOf(32), signature: hexOf(64), proof: hexOf(64) });

export const coordinatorFrame: fc.Arbitrary<CoordinatorFrame> = fc.oneof(
  record({ kind: fc.constant('challenge' as const), nonce: bytes(32), signature: fc.oneof(bytes(64), bytes(0)) }),
  record({ kind: fc.constant('welcome' as const), session: bytes(32) }),
  record({
    kind: fc.constant('welcome' as const),
    session: bytes(32),
    addresses: record({
      addresses: fc.array(fc.constantFrom('hub.example.org:7437', '192.0.2.1:1', '[2001:db8::1]:65535'), {
        maxLength: 8,
      }),
      number: fc.maxSafeNat(),
      signature: bytes(64),
    }),
  }),
  record({
    kind: fc.constant('plan' as const),
    body: fc.uint8Array({ maxLength: 400 }),
    signature: bytes(64),
    model: fc.uint8Array({ maxLength: 400 }),
  }),
  record({
    kind: fc.constant('plan' as const),
    body: fc.uint8Array({ maxLength: 400 }),
    signature: bytes(64),
    model: fc.uint8Array({ maxLength: 400 }),
    taskSignature: bytes(64),
  }),
  record({ kind: fc.constant('withdrawal' as const), task, reason: text }),
  record({ kind: fc.constant('receipt' as const), receipt, inclusion, signature: bytes(64) }),
  record({
    kind: fc.constant('ledger-head' as const),
    head: record({ run: name, round: uint32, lineSha256: sha256 }),
    signature: bytes(64).map((signature) => Buffer.from(signature).toString('hex')),
  }),
  record({ kind: fc.constant('goodbye' as const), reason: text, retry: fc.boolean() }),
  record({ kind: fc.constant('secure' as const), task, frame: fc.uint8Array({ maxLength: 400 }) }),
);

export const runInfo: fc.Arbitrary<RunInfo> = record({
  run: name,
  workload: fc.string({ maxLength: 64 }),
  status: fc.constantFrom('running', 'completed', 'stopped', 'budget-exhausted', 'failed', 'damaged'),
  reason: text,
  round: uint32,
  rounds: uint32,
  createdAtMs: size,
  directory: text,
  activity: text,
});
