/**
 * Every message is what it was after it has crossed the wire, and no bytes at all make a decoder do anything but answer or
 * throw an FlError invalid-argument.
 */
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { FlError } from '../../../shared/errors.js';
import type { StoredRunSpec } from '../../../shared/run/spec.js';
import * as admin from '../../../shared/wire/admin.js';
import * as certificates from '../../../shared/wire/certificates.js';
import { decodeClientFrame, encodeClientFrame } from '../../../shared/wire/client-frames.js';
import { decodeCoordinatorFrame, encodeCoordinatorFrame } from '../../../shared/wire/coordinator-frames.js';
import * as handOvers from '../../../shared/wire/hand-overs.js';
import * as transfer from '../../../shared/wire/transfer.js';
import * as any from './arbitrary.js';

const RUNS = { numRuns: 200 };

interface Codec<T> {
  readonly title: string;
  readonly values: fc.Arbitrary<T>;
  encode(value: T): Uint8Array;
  decode(bytes: Uint8Array): T;
}

function codec<T>(
  title: string,
  values: fc.Arbitrary<T>,
  encode: (value: T) => Uint8Array,
  decode: (b: Uint8Array) => T,
) {
  return { title, values, encode, decode } as Codec<unknown>;
}

const uploadStart = any.header.chain((header) =>
  any.record({
    signed: any.record({ header: fc.constant(header), signature: any.bytes(64) }),
    offset: fc.maxSafeNat().map((value) => value % (header.sizeBytes + 1)),
  }),
);
const spec = any.record({ work: any.record({ workload: fc.string() }), engine: any.record({ rounds: fc.nat() }) });

const CODECS: readonly Codec<unknown>[] = [
  codec('frames of a client', any.clientFrame, encodeClientFrame, decodeClientFrame),
  codec('frames of a coordinator', any.coordinatorFrame, encodeCoordinatorFrame, decodeCoordinatorFrame),
  codec(
    'questions who is there',
    any.record({ address: fc.string({ maxLength: 256 }), nonce: any.bytes(32) }),
    transfer.encodeIdentifyRequest,
    transfer.decodeIdentifyRequest,
  ),
  codec(
    'answers who is there',
    fc
      .tuple(any.bytes(32), any.bytes(64), fc.array(any.handOver, { minLength: 1, maxLength: 3 }), fc.boolean())
      .map(([coordinatorKey, signature, words, isRotated]) => {
        return { coordinatorKey, signature, ...(isRotated && { handOvers: words }) };
      }),
    transfer.encodeIdentifyReply,
    transfer.decodeIdentifyReply,
  ),
  codec(
    'requests to enrol',
    any.record({ token: fc.string({ maxLength: 512 }), publicKey: any.bytes(32), signature: any.bytes(64) }),
    transfer.encodeEnrolRequest,
    transfer.decodeEnrolRequest,
  ),
  codec(
    'answers to enrol',
    any.record({ client: any.name, coordinatorKey: any.bytes(32) }),
    transfer.encodeEnrolReply,
    transfer.decodeEnrolReply,
  ),
  codec(
    'requests to renew',
    any.record({ client: any.name, signature: any.bytes(64) }),
    certificates.encodeRenewRequest,
    certificates.decodeRenewRequest,
  ),
  codec(
    'requests to rotate a key',
    any.record({ client: any.name, handOver: any.handOver }),
    handOvers.encodeRotateKeyRequest,
    handOvers.decodeRotateKeyRequest,
  ),
  codec(
    'requests of a model',
    any.record({ run: any.name, sha256: any.sha256, offset: any.size }),
    transfer.encodeDownloadRequest,
    transfer.decodeDownloadRequest,
  ),
  codec('names of updates', any.pending, transfer.encodeUploadStatusRequest, transfer.decodeUploadStatusRequest),
  codec('offsets', any.size, transfer.encodeUploadStatusReply, transfer.decodeUploadStatusReply),
  codec(
    'headers of updates',
    uploadStart.map((header) => ({ header })),
    ({ header }) => transfer.encodeUploadStart(header),
    transfer.decodeUploadPart as (bytes: Uint8Array) => { header: transfer.UploadStart },
  ),
  codec(
    'answers to uploads',
    any.record({ outcome: fc.constantFrom('accepted' as const, 'rejected' as const), detail: any.text }),
    transfer.encodeUploadReply,
    transfer.decodeUploadReply,
  ),
  codec(
    'requests of a token',
    any.record({ name: any.name, uses: any.uint32, expiresMs: any.size }),
    admin.encodeTokenRequest,
    admin.decodeTokenRequest,
  ),
  codec('tokens', fc.string({ maxLength: 512 }), admin.encodeTokenReply, admin.decodeTokenReply),
  codec(
    'lists of clients',
    fc.array(
      fc
        .tuple(
          any.record({ name: any.name, online: fc.boolean(), enrolledAtMs: any.size, publicKey: any.bytes(32) }),
          fc.constantFrom({}, { lastSeenAtMs: 1, lastReason: 'deadline (run r, round 1)' }),
        )
        .map(([client, seen]) => ({ ...client, ...seen })),
      { maxLength: 5 },
    ),
    admin.encodeClientList,
    admin.decodeClientList,
  ),
  codec(
    'headers of runs',
    any.record({ spec: spec as unknown as fc.Arbitrary<StoredRunSpec>, modelSizeBytes: fc.nat(2 ** 31 - 1) }),
    admin.encodeRunStart,
    (bytes) => (admin.decodeStartRunPart(bytes) as { header: admin.RunStart }).header,
  ),
  codec('names of runs', any.name, admin.encodeRunName, admin.decodeRunName),
  codec(
    'requests to stop',
    any.record({ run: any.name, reason: any.text }),
    ({ run, reason }) => admin.encodeStopRequest(run, reason),
    admin.decodeStopRequest,
  ),
  codec('places of archived runs', any.text, admin.encodeArchived, admin.decodeArchived),
  codec('what was mended', fc.array(any.text, { maxLength: 4 }), admin.encodeRepaired, admin.decodeRepaired),
  codec('requests for lists', any.record({ archived: fc.boolean() }), admin.encodeListRequest, admin.decodeListRequest),
  codec('lists of runs', fc.array(any.runInfo, { maxLength: 4 }), admin.encodeRunList, admin.decodeRunList),
  codec(
    'runs',
    any.runInfo.map((info) => ({ info })),
    ({ info }) => admin.encodeRunInfo(info),
    admin.decodeGetRunPart as (bytes: Uint8Array) => {
      info: typeof any.runInfo extends fc.Arbitrary<infer T> ? T : never;
    },
  ),
  codec('events', any.text, admin.encodeRunEvent, admin.decodeRunEvent),
];

function answersOrRefuses(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    decode(bytes);
  } catch (error) {
    assert.ok(error instanceof FlError && error.code === 'invalid-argument', String(error));
  }
}

describe('the wire', () => {
  for (const { title, values, encode, decode } of CODECS) {
    it(`carries ${title} unchanged`, () => {
      fc.assert(
        fc.property(values, (value) => assert.deepEqual(decode(encode(value)), value)),
        RUNS,
      );
    });

    it(`survives anything in place of ${title}`, () => {
      fc.assert(
        fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => answersOrRefuses(decode, bytes)),
        RUNS,
      );
    });

    it(`survives ${title} with a byte changed or the end missing`, () => {
      fc.assert(
        fc.property(values, fc.nat(), fc.nat(255), fc.boolean(), (value, at, byte, cut) => {
          const bytes = Uint8Array.from(encode(value));
          if (bytes.length === 0) return;
          if (!cut) bytes[at % bytes.length] = byte;
          answersOrRefuses(decode, cut ? bytes.subarray(0, at % bytes.length) : bytes);
        }),
        RUNS,
      );
    });
  }
});
