/**
 * What every call of the server needs: raw bytes in and out (shared/wire has the codecs), errors as statuses, waits that
 * end when the client is gone.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { type handleUnaryCall, Metadata, type ServiceDefinition, type StatusObject } from '@grpc/grpc-js';
import { FlError } from '../../shared/errors.js';
import { fromHex, HEX_32_BYTES } from '../../shared/hex.js';
import { clipText } from '../../shared/wire/checks.js';
import { AUTHORIZATION_KEY, CODE_KEY, SESSION_KEY, statusOfCode } from '../../shared/wire/status.js';
import type { AnyCall, Peers } from './peers.js';

/** Hears of what was thrown and is not an FlError: a fault of the program, whose text does not go to the client. */
export type FaultListener = (fault: unknown, method: string) => void;

/** The generated service with bytes for messages, so that a malformed one is our error and not gRPC's. */
export function rawService(definition: ServiceDefinition): ServiceDefinition {
  const raw = {
    requestSerialize: toBuffer,
    requestDeserialize: asIs,
    responseSerialize: toBuffer,
    responseDeserialize: asIs,
  };
  return Object.fromEntries(Object.entries(definition).map(([name, method]) => [name, { ...method, ...raw }]));
}

function asIs(bytes: Uint8Array): Uint8Array {
  return bytes;
}

function toBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** The status by which a call ends that threw `thrown`. */
export function statusOf(thrown: unknown, method: string, onFault: FaultListener): StatusObject & Error {
  if (!(thrown instanceof FlError)) onFault(thrown, method);
  const error =
    thrown instanceof FlError ? thrown : new FlError('internal', 'a fault of the coordinator; its log says more');
  const metadata = new Metadata();
  metadata.set(CODE_KEY, error.code);
  const details = clipText(error.message);
  return Object.assign(new Error(details), { code: statusOfCode(error.code), details, metadata });
}

/** What a call says of who makes it. */
export interface GuardedCall extends AnyCall {
  readonly metadata: Metadata;
}

/** A handler of a call with one message each way. */
export function unary(
  method: string,
  onFault: FaultListener,
  handle: (request: Uint8Array, call: GuardedCall) => Promise<Uint8Array>,
): handleUnaryCall<Uint8Array, Uint8Array> {
  return (call, callback) => {
    // An async function of its own, so that what `handle` throws before its first await is caught as well.
    const answer = async (): Promise<Uint8Array> => handle(call.request, call);
    answer().then(
      (reply) => callback(null, reply),
      (thrown) => callback(statusOf(thrown, method, onFault)),
    );
  };
}

/** A stream of ours whose reader may go away. */
export interface Outgoing {
  readonly cancelled: boolean;
  write(message: Uint8Array): boolean;
  on(event: 'drain' | 'cancelled' | 'close', listener: () => void): unknown;
  off(event: 'drain' | 'cancelled' | 'close', listener: () => void): unknown;
}

/** Writes and waits until there is room for more. False: nobody reads any more. */
export async function writeOrWait(call: Outgoing, message: Uint8Array): Promise<boolean> {
  if (call.cancelled) return false;
  if (call.write(message)) return true;
  await new Promise<void>((resolve) => {
    const events = ['drain', 'cancelled', 'close'] as const;
    const settle = (): void => {
      for (const event of events) call.off(event, settle);
      resolve();
    };
    for (const event of events) call.on(event, settle);
  });
  return !call.cancelled;
}

/** @throws FlError permission-denied when there is none that has the form of a session */
export function sessionOf(metadata: Metadata): Uint8Array {
  const [value] = metadata.get(SESSION_KEY);
  if (typeof value !== 'string' || !HEX_32_BYTES.test(value)) {
    throw new FlError('permission-denied', `${SESSION_KEY}: expected 64 hex digits, got none`);
  }
  return fromHex(value);
}

/**
 * Makes a check of an operator's call: the certificate, and the admin token, in a time that does not depend on where a
 * wrong token differs.
 */
export function adminCheck(
  adminToken: string,
  peers: Pick<Peers, 'checkOperator'>,
  /** Hears of each call that is an operator's. */
  known: (peer: string) => void,
): (call: GuardedCall) => void {
  const digest = (text: string): Buffer => createHash('sha256').update(text).digest();
  const expected = digest(`Bearer ${adminToken}`);
  return (call) => {
    peers.checkOperator(call);
    const [value] = call.metadata.get(AUTHORIZATION_KEY);
    // Hashes have one length whatever was sent, as timingSafeEqual needs.
    if (!timingSafeEqual(digest(String(value)), expected)) {
      throw new FlError('permission-denied', `${AUTHORIZATION_KEY}: expected the admin token of this coordinator`);
    }
    known(call.getPeer());
  };
}
