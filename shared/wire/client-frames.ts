/**
 * Frames of a control stream, client to coordinator: proto/starling/v1/participant.proto, ControlRequest.
 */
import { invalidArgument } from '../errors.js';
import type { UpdateHeader } from '../run/plan.js';
import { type ClientFrame, type DeclineReason, SMALL_BYTES } from '../service.js';
import {
  checkAtMost,
  checkLength,
  checkMaxLength,
  checkName,
  checkText,
  checkUint32,
  clipText,
  numberOf,
  own,
  parse,
  present,
  serialise,
  wordOf,
} from './checks.js';
import { ControlRequest, type Hello } from './gen/starling/v1/participant.js';
import { MAX_PENDING_UPDATES, MAX_TEXT_CHARS, MAX_VERSION_CHARS, SIGNATURE_BYTES } from './limits.js';
import { metricsFromWire, metricsToWire } from './metrics.js';
import { secureFromWire, secureToWire } from './secure.js';
import { checkUpdateName, taskFromWire, taskToWire } from './task.js';
import { headerFromWire, headerToWire } from './transfer.js';

const DECLINE_REASONS: Readonly<Record<number, DeclineReason>> = { 1: 'refused', 2: 'failed', 3: 'dropout' };

/** @throws FlError invalid-argument for a frame that {@link decodeClientFrame} would refuse. */
export function encodeClientFrame(frame: ClientFrame): Uint8Array {
  return serialise('control frame', ControlRequest, { frame: toWire(frame) });
}

/** @throws FlError invalid-argument, whatever the bytes are. */
export function decodeClientFrame(bytes: Uint8Array): ClientFrame {
  return fromWire(present('frame', parse('control frame', ControlRequest, bytes).frame));
}

function toWire(frame: ClientFrame): NonNullable<ControlRequest['frame']> {
  switch (frame.kind) {
    case 'hello':
      return { $case: 'hello', value: helloMessage(frame) };
    case 'proof':
      return { $case: 'proof', value: { signature: checkLength('proof.signature', frame.signature, SIGNATURE_BYTES) } };
    case 'progress': {
      const stepsDone = checkUint32('progress.steps_done', frame.stepsDone);
      const stepsTotal = checkUint32('progress.steps_total', frame.stepsTotal);
      return { $case: 'progress', value: { task: taskToWire(frame.task), stepsDone, stepsTotal } };
    }
    case 'decline': {
      const reason = numberOf('decline.reason', DECLINE_REASONS, frame.reason);
      return { $case: 'decline', value: { task: taskToWire(frame.task), reason, detail: clipText(frame.detail) } };
    }
    case 'evaluation': {
      const value = { task: taskToWire(frame.task), metrics: metricsToWire(frame.metrics) };
      return { $case: 'evaluation', value };
    }
    case 'small-update': {
      const header = headerToWire({ signed: frame.signed, offset: 0 });
      return { $case: 'smallUpdate', value: { header, data: checkSmall(frame.data, frame.signed.header) } };
    }
    case 'secure':
      return { $case: 'secure', value: secureToWire(frame) };
    default:
      throw invalidArgument('frame', 'a frame of a client', (frame satisfies never as ClientFrame).kind);
  }
}

function fromWire(frame: NonNullable<ControlRequest['frame']>): ClientFrame {
  switch (frame.$case) {
    case 'hello':
      return { kind: 'hello', ...helloMessage(frame.value) };
    case 'proof':
      return { kind: 'proof', signature: own(checkLength('proof.signature', frame.value.signature, SIGNATURE_BYTES)) };
    case 'progress': {
      const { task, stepsDone, stepsTotal } = frame.value;
      return { kind: 'progress', task: taskFromWire(task), stepsDone, stepsTotal };
    }
    case 'decline': {
      const { task, reason, detail } = frame.value;
      return {
        kind: 'decline',
        task: taskFromWire(task),
        reason: wordOf('decline.reason', DECLINE_REASONS, reason),
        detail: checkText('decline.detail', detail, MAX_TEXT_CHARS),
      };
    }
    case 'evaluation': {
      const { task, metrics } = frame.value;
      return { kind: 'evaluation', task: taskFromWire(task), metrics: metricsFromWire(metrics) };
    }
    case 'smallUpdate': {
      const { signed } = headerFromWire(present('small_update.header', frame.value.header));
      return { kind: 'small-update', signed, data: own(checkSmall(frame.value.data, signed.header)) };
    }
    case 'secure':
      return { kind: 'secure', ...secureFromWire(frame.value) };
  }
}

function checkSmall(data: Uint8Array, { sizeBytes }: UpdateHeader): Uint8Array {
  if (data.length !== sizeBytes)
    throw invalidArgument('small_update.data', `${sizeBytes} bytes as declared`, data.length);
  return checkMaxLength('small_update.data', data, SMALL_BYTES);
}

/** Both ways: record and message have the same fields. */
function helloMessage(hello: Pick<Hello, 'client' | 'version'> & { readonly pending: readonly Hello['pending'][0][] }) {
  checkAtMost('hello.pending', hello.pending.length, MAX_PENDING_UPDATES);
  return {
    client: checkName('hello.client', hello.client),
    version: checkText('hello.version', hello.version, MAX_VERSION_CHARS),
    pending: hello.pending.map((update) => checkUpdateName('hello.pending', update)),
  };
}
