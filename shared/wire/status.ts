/**
 * How an FlError crosses gRPC: its code in a trailer, so that the other side makes the same error again, and the nearest
 * gRPC status beside it for tools that know only gRPC. Numbers: https://grpc.github.io/grpc/core/md_doc_statuscodes.html
 */
import type { FlErrorCode } from '../errors.js';

/** Trailer with the FlErrorCode of a call that failed. */
export const CODE_KEY = 'starling-code';
/** Trailer with the reason for which the coordinator ended a control stream, percent-encoded. */
export const REASON_KEY = 'starling-reason';
/** Request metadata: the session, 64 hex digits. */
export const SESSION_KEY = 'starling-session';
/** Request metadata of the operator's calls: `Bearer <token>`. */
export const AUTHORIZATION_KEY = 'authorization';

const STATUS_BY_CODE: Readonly<Record<FlErrorCode, number>> = {
  'invalid-argument': 3,
  'not-found': 5,
  'already-exists': 6,
  'permission-denied': 7,
  'resource-exhausted': 8,
  'failed-precondition': 9,
  'data-missing': 9,
  aborted: 10,
  internal: 13,
  unavailable: 14,
  corrupt: 15,
};

/** For a status that comes without our trailer: made by gRPC itself, a proxy, or another program. */
const CODE_BY_STATUS: Readonly<Record<number, FlErrorCode>> = {
  1: 'unavailable', // cancelled: the other side, or the stream under the call, went away
  3: 'invalid-argument',
  4: 'unavailable', // deadline exceeded
  5: 'not-found',
  6: 'already-exists',
  7: 'permission-denied',
  8: 'resource-exhausted',
  9: 'failed-precondition',
  10: 'aborted',
  11: 'invalid-argument', // out of range
  12: 'failed-precondition', // unimplemented: an older or another program
  14: 'unavailable',
  15: 'corrupt',
  16: 'permission-denied', // unauthenticated
};

/** The nearest gRPC status. */
export function statusOfCode(code: FlErrorCode): number {
  return STATUS_BY_CODE[code];
}

/** `trailer` wins when it is a code that we know. */
export function codeOfStatus(status: number, trailer: string | undefined): FlErrorCode {
  if (trailer !== undefined && Object.hasOwn(STATUS_BY_CODE, trailer)) return trailer as FlErrorCode;
  return CODE_BY_STATUS[status] ?? 'internal';
}
