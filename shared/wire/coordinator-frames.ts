/**
 * Frames of a control stream, coordinator to client: proto/starling/v1/participant.proto, ControlResponse.
 */
import { type DropReason, invalidArgument } from '../errors.js';
import type { Receipt } from '../run/plan.js';
import { type CoordinatorFrame, SMALL_BYTES } from '../service.js';
import type { HandOver } from '../signing/hand-over.js';
import { HASH_BYTES, type Inclusion } from '../signing/merkle.js';
import type { SignedReceipt } from '../signing/receipts.js';
import { noticeFromWire, noticeToWire } from './address-notice.js';
import {
  checkLength,
  checkMaxLength,
  checkName,
  checkSha256,
  checkText,
  checkUint32,
  clipText,
  numberOf,
  oneOf,
  own,
  parse,
  present,
  serialise,
  wordOf,
} from './checks.js';
import {
  type Challenge,
  ControlResponse,
  type Receipt as ReceiptMessage,
  type Welcome,
} from './gen/starling/v1/participant.js';
import { handOversFromWire, handOversToWire } from './hand-overs.js';
import { headFromWire, headToWire } from './heads.js';
import {
  MAX_JSON_BYTES,
  MAX_PATH_HASHES,
  MAX_TEXT_CHARS,
  NONCE_BYTES,
  SESSION_BYTES,
  SIGNATURE_BYTES,
} from './limits.js';
import { secureFromWire, secureToWire } from './secure.js';
import { taskFromWire, taskToWire } from './task.js';

const OUTCOMES: Readonly<Record<number, Receipt['outcome']>> = { 1: 'committed', 2: 'dropped' };
/** A record, so that the compiler asks for a new reason here too. */
const REASONS: Readonly<Record<DropReason | 'unknown', true>> = {
  deadline: true,
  refused: true,
  failed: true,
  'invalid-update': true,
  superseded: true,
  dropout: true,
  excluded: true,
  'round-aborted': true,
  unknown: true,
};
const REASON_WORDS = Object.keys(REASONS) as (keyof typeof REASONS)[];

/** @throws FlError invalid-argument for a frame that {@link decodeCoordinatorFrame} would refuse. */
export function encodeCoordinatorFrame(frame: CoordinatorFrame): Uint8Array {
  return serialise('control frame', ControlResponse, { frame: toWire(frame) });
}

/** @throws FlError invalid-argument, whatever the bytes are. */
export function decodeCoordinatorFrame(bytes: Uint8Array): CoordinatorFrame {
  return fromWire(present('frame', parse('control frame', ControlResponse, bytes).frame));
}

function toWire(frame: CoordinatorFrame): NonNullable<ControlResponse['frame']> {
  switch (frame.kind) {
    case 'challenge':
      return { $case: 'challenge', value: { ...challengeMessage(frame), handOvers: handOversToWire(frame.handOvers) } };
    case 'welcome':
      return { $case: 'welcome', value: welcomeToWire(frame) };
    case 'plan': {
      const body = checkMaxLength('plan.body', frame.body, MAX_JSON_BYTES);
      const model = checkMaxLength('plan.model', frame.model, SMALL_BYTES);
      const { taskSignature = new Uint8Array(0) } = frame;
      if (taskSignature.length > 0) signature('plan.task', taskSignature);
      return { $case: 'plan', value: { body, signature: signature('plan', frame.signature), model, taskSignature } };
    }
    case 'withdrawal':
      return { $case: 'withdrawal', value: { task: taskToWire(frame.task), reason: clipText(frame.reason) } };
    case 'receipt':
      return { $case: 'receipt', value: receiptToWire(frame) };
    case 'ledger-head':
      return { $case: 'ledgerHead', value: headToWire(frame) };
    case 'goodbye':
      return { $case: 'goodbye', value: { reason: clipText(frame.reason), retry: frame.retry } };
    case 'secure':
      return { $case: 'secure', value: secureToWire(frame) };
    default:
      throw invalidArgument('frame', 'a frame of a coordinator', (frame satisfies never as CoordinatorFrame).kind);
  }
}

function fromWire(frame: NonNullable<ControlResponse['frame']>): CoordinatorFrame {
  switch (frame.$case) {
    case 'challenge':
      return { kind: 'challenge', ...challengeMessage(frame.value), ...handOversOf(frame.value) };
    case 'welcome':
      return welcomeFromWire(frame.value);
    case 'plan': {
      const body = own(checkMaxLength('plan.body', frame.value.body, MAX_JSON_BYTES));
      const model = own(checkMaxLength('plan.model', frame.value.model, SMALL_BYTES));
      const plan = { kind: 'plan', body, signature: own(signature('plan', frame.value.signature)), model } as const;
      const { taskSignature } = frame.value;
      return taskSignature.length === 0 ? plan : { ...plan, taskSignature: own(signature('plan.task', taskSignature)) };
    }
    case 'withdrawal': {
      const reason = checkText('withdrawal.reason', frame.value.reason, MAX_TEXT_CHARS);
      return { kind: 'withdrawal', task: taskFromWire(frame.value.task), reason };
    }
    case 'receipt':
      return {
        kind: 'receipt',
        receipt: receiptFromWire(frame.value),
        inclusion: inclusionOf(frame.value),
        signature: own(signature('receipt', frame.value.signature)),
      };
    case 'ledgerHead':
      return { kind: 'ledger-head', ...headFromWire(frame.value) };
    case 'goodbye': {
      const reason = checkText('goodbye.reason', frame.value.reason, MAX_TEXT_CHARS);
      return { kind: 'goodbye', reason, retry: frame.value.retry };
    }
    case 'secure':
      return { kind: 'secure', ...secureFromWire(frame.value) };
  }
}

/** Both ways: record and message have the same fields. */
function handOversOf({ handOvers }: Challenge): { handOvers?: HandOver[] } {
  return handOvers.length === 0 ? {} : { handOvers: handOversFromWire(handOvers) };
}

function challengeMessage(challenge: { readonly nonce: Uint8Array; readonly signature: Uint8Array }) {
  if (challenge.signature.length > 0) signature('challenge', challenge.signature);
  return {
    nonce: own(checkLength('challenge.nonce', challenge.nonce, NONCE_BYTES)),
    signature: own(challenge.signature),
  };
}

function receiptToWire({ receipt, inclusion, signature: signed }: SignedReceipt): ReceiptMessage {
  const { reason = '', modelSha256 } = receipt;
  return {
    run: checkName('receipt.run', receipt.run),
    round: checkUint32('receipt.round', receipt.round),
    attempt: checkUint32('receipt.attempt', receipt.attempt),
    client: checkName('receipt.client', receipt.client),
    updateSha256: checkSha256('receipt.update_sha256', receipt.updateSha256),
    outcome: numberOf('receipt.outcome', OUTCOMES, receipt.outcome),
    reason: reason === '' ? '' : oneOf('receipt.reason', REASON_WORDS, reason),
    modelSha256: modelSha256 === '' ? '' : checkSha256('receipt.model_sha256', modelSha256),
    signature: signature('receipt', signed),
    ...inclusionOf(inclusion),
  };
}

/** Both ways: record and message have the same fields. */
function inclusionOf({ index, count, path }: Inclusion): Inclusion {
  checkUint32('receipt.count', count);
  if (!(checkUint32('receipt.index', index) < count)) throw invalidArgument('receipt.index', `below ${count}`, index);
  if (path.length % HASH_BYTES !== 0) throw invalidArgument('receipt.path', `a multiple of ${HASH_BYTES} bytes`, path);
  return { index, count, path: own(checkMaxLength('receipt.path', path, MAX_PATH_HASHES * HASH_BYTES)) };
}

function receiptFromWire(message: ReceiptMessage): Receipt {
  const { round, attempt, reason, modelSha256 } = message;
  return {
    run: checkName('receipt.run', message.run),
    round,
    attempt,
    client: checkName('receipt.client', message.client),
    updateSha256: checkSha256('receipt.update_sha256', message.updateSha256),
    outcome: wordOf('receipt.outcome', OUTCOMES, message.outcome),
    ...(reason === '' ? {} : { reason: oneOf('receipt.reason', REASON_WORDS, reason) }),
    modelSha256: modelSha256 === '' ? '' : checkSha256('receipt.model_sha256', modelSha256),
  };
}

function signature(frame: string, bytes: Uint8Array): Uint8Array {
  return checkLength(`${frame}.signature`, bytes, SIGNATURE_BYTES);
}

type WelcomeFrame = Extract<CoordinatorFrame, { kind: 'welcome' }>;

function welcomeToWire({ session, addresses }: WelcomeFrame): Welcome {
  checkLength('welcome.session', session, SESSION_BYTES);
  return { session, addresses: addresses && noticeToWire(addresses) };
}

function welcomeFromWire({ session: bytes, addresses }: Welcome): WelcomeFrame {
  const session = own(checkLength('welcome.session', bytes, SESSION_BYTES));
  return { kind: 'welcome', session, ...(addresses && { addresses: noticeFromWire(addresses) }) };
}
