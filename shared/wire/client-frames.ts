/**
 * Frames of a control stream, client to coordinator: proto/starling/v1/participant.proto, ControlRequest.
 */
import { invalidArgument } from '../errors.js';
import type { UpdateHeader } from '../run/plan.js';
import { type ClientFrame, type DeclineReason, SMALL_BYTES } from '../service.js';
import type { SignedAnswer } from '../signing/answers.js';
import { MAX_SHOWN_RUNS, type Shown } from '../signing/shown.js';
import {
  checkAtMost,
  checkLength,
  checkMaxLength,
  checkName,
  checkSha256,
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
import { ControlRequest, type Proof as ProofMessage } from './gen/starling/v1/participant.js';
import { headFromWire, headToWire } from './heads.js';
import {
  MAX_ADDRESS_CHARS,
  MAX_PENDING_UPDATES,
  MAX_TEXT_CHARS,
  MAX_VERSION_CHARS,
  NONCE_BYTES,
  SIGNATURE_BYTES,
} from './limits.js';
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
      return { $case: 'proof', value: proofToWire(frame) };
    case 'progress': {
      const stepsDone = checkUint32('progress.steps_done', frame.stepsDone);
      const stepsTotal = checkUint32('progress.steps_total', frame.stepsTotal);
      return { $case: 'progress', value: { task: taskToWire(frame.task), stepsDone, stepsTotal } };
    }
    case 'decline': {
      const reason = numberOf('decline.reason', DECLINE_REASONS, frame.reason);
      const detail = clipText(frame.detail); // as it was before it was signed, too
      return {
        $case: 'decline',
        value: { task: taskToWire(frame.task), reason, detail, signature: signatureOf(frame) },
      };
    }
    case 'evaluation': {
      const metrics = metricsToWire(frame.metrics);
      return { $case: 'evaluation', value: { task: taskToWire(frame.task), metrics, signature: signatureOf(frame) } };
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
      return { kind: 'proof', ...proofFromWire(frame.value) };
    case 'progress': {
      const { task, stepsDone, stepsTotal } = frame.value;
      return { kind: 'progress', task: taskFromWire(task), stepsDone, stepsTotal };
    }
    case 'decline': {
      const { task, reason, detail, signature } = frame.value;
      return {
        kind: 'decline',
        task: taskFromWire(task),
        reason: wordOf('decline.reason', DECLINE_REASONS, reason),
        detail: checkText('decline.detail', detail, MAX_TEXT_CHARS),
        signature: signatureOf({ kind: 'decline', signature }),
      };
    }
    case 'evaluation': {
      const { task, signature } = frame.value;
      const metrics = metricsFromWire(frame.value.metrics);
      return {
        kind: 'evaluation',
        task: taskFromWire(task),
        metrics,
        signature: signatureOf({ kind: 'evaluation', signature }),
      };
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

type Fields<Kind extends ClientFrame['kind']> = Omit<Extract<ClientFrame, { kind: Kind }>, 'kind'>;

/** Both ways, here and below: record and message have the same fields. */
function helloMessage(hello: Fields<'hello'>) {
  if (hello.nonce.length > 0) checkLength('hello.nonce', hello.nonce, NONCE_BYTES);
  return {
    client: checkName('hello.client', hello.client),
    version: checkText('hello.version', hello.version, MAX_VERSION_CHARS),
    address: checkText('hello.address', hello.address, MAX_ADDRESS_CHARS),
    nonce: own(hello.nonce),
  };
}

function proofToWire({ shown: { tasks, heads } = NOTHING, ...proof }: Fields<'proof'>): ProofMessage {
  checkAtMost('proof.tasks', tasks.length, MAX_SHOWN_RUNS);
  checkAtMost('proof.heads', heads.length, MAX_SHOWN_RUNS);
  return {
    ...{ policy: '', ...proofFields(proof) },
    tasks: tasks.map(({ task, signature }) => {
      return { task: taskToWire(task), signature: signatureOf({ kind: 'proof.tasks', signature }) };
    }),
    heads: heads.map(headToWire),
  };
}

function proofFromWire({ tasks, heads, ...proof }: ProofMessage): Fields<'proof'> {
  const fields = proofFields(proof);
  if (tasks.length === 0 && heads.length === 0) return fields;
  checkAtMost('proof.tasks', tasks.length, MAX_SHOWN_RUNS);
  checkAtMost('proof.heads', heads.length, MAX_SHOWN_RUNS);
  const signed = tasks.map(({ task, signature }) => {
    return { task: taskFromWire(task), signature: signatureOf({ kind: 'proof.tasks', signature }) };
  });
  return { ...fields, shown: { tasks: signed, heads: heads.map(headFromWire) } };
}

const NOTHING: Shown = { tasks: [], heads: [] };

function proofFields({ signature, pending, policy }: Omit<Fields<'proof'>, 'shown'>) {
  checkAtMost('proof.pending', pending.length, MAX_PENDING_UPDATES);
  return {
    signature: signatureOf({ kind: 'proof', signature }),
    pending: pending.map((update) => checkUpdateName('proof.pending', update)),
    ...policyOf(policy),
  };
}

/** On the wire there is none where it is empty. */
function policyOf(policy: string | undefined): { readonly policy?: string } {
  return policy === undefined || policy === '' ? {} : { policy: checkSha256('proof.policy', policy) };
}

function signatureOf({ kind, signature }: Pick<SignedAnswer, 'signature'> & { readonly kind: string }): Uint8Array {
  return own(checkLength(`${kind}.signature`, signature, SIGNATURE_BYTES));
}
