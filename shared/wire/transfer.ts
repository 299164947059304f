/**
 * Identification, enrolment, model download, upload of an update: the participant's calls other than the control stream.
 */
import { invalidArgument } from '../errors.js';
import type { UpdateHeader } from '../run/plan.js';
import type {
  EnrolReply,
  EnrolRequest,
  IdentifyReply,
  IdentifyRequest,
  PendingUpdate,
  SignedUpdateHeader,
  UploadReply,
} from '../service.js';
import { issuedFromWire, issuedToWire } from './certificates.js';
import {
  checkAtMost,
  checkFinite,
  checkLength,
  checkName,
  checkSha256,
  checkText,
  checkUint32,
  clipText,
  fromUint64,
  numberOf,
  own,
  parse,
  present,
  serialise,
  toUint64,
  wordOf,
} from './checks.js';
import { checkChunk } from './chunk.js';
import * as gen from './gen/starling/v1/participant.js';
import { handOversFromWire, handOversToWire } from './hand-overs.js';
import {
  KEY_BYTES,
  MAX_ADDRESS_CHARS,
  MAX_TEXT_CHARS,
  MAX_TOKEN_CHARS,
  MAX_WEIGHTS,
  NONCE_BYTES,
  SIGNATURE_BYTES,
} from './limits.js';
import { metricsFromWire, metricsToWire } from './metrics.js';
import { checkUpdateName } from './task.js';

const OUTCOMES: Readonly<Record<number, UploadReply['outcome']>> = { 1: 'accepted', 2: 'rejected' };

/** A model by its hash (64 hex digits), from `offset` on. */
export interface DownloadRequest {
  readonly run: string;
  readonly sha256: string;
  /** Bytes. */
  readonly offset: number;
}

/** First message of an upload. */
export interface UploadStart {
  readonly signed: SignedUpdateHeader;
  /** Bytes; where the first chunk goes. */
  readonly offset: number;
}

/** A message of an upload: the header first, then chunks in order. */
export type UploadPart = { readonly header: UploadStart } | { readonly data: Uint8Array };

/** @throws FlError invalid-argument naming the field */
export function encodeIdentifyRequest(request: IdentifyRequest): Uint8Array {
  return serialise('IdentifyRequest', gen.IdentifyRequest, checkIdentifyRequest(request));
}

/** @throws FlError invalid-argument naming the field */
export function decodeIdentifyRequest(bytes: Uint8Array): IdentifyRequest {
  return checkIdentifyRequest(parse('IdentifyRequest', gen.IdentifyRequest, bytes));
}

function checkIdentifyRequest({ address, nonce }: IdentifyRequest): IdentifyRequest {
  return {
    address: checkText('address', address, MAX_ADDRESS_CHARS),
    nonce: own(checkLength('nonce', nonce, NONCE_BYTES)),
  };
}

/** @throws FlError invalid-argument naming the field */
export function encodeIdentifyReply(reply: IdentifyReply): Uint8Array {
  const message = { ...checkIdentifyReply(reply), handOvers: handOversToWire(reply.handOvers) };
  return serialise('IdentifyResponse', gen.IdentifyResponse, message);
}

/** @throws FlError invalid-argument naming the field */
export function decodeIdentifyReply(bytes: Uint8Array): IdentifyReply {
  const message = parse('IdentifyResponse', gen.IdentifyResponse, bytes);
  const handOvers = handOversFromWire(message.handOvers);
  return { ...checkIdentifyReply(message), ...(handOvers.length > 0 && { handOvers }) };
}

function checkIdentifyReply({
  coordinatorKey,
  signature,
}: Pick<IdentifyReply, 'coordinatorKey' | 'signature'>): Omit<IdentifyReply, 'handOvers'> {
  return {
    coordinatorKey: own(checkLength('coordinator_key', coordinatorKey, KEY_BYTES)),
    signature: own(checkLength('signature', signature, SIGNATURE_BYTES)),
  };
}

/** @throws FlError invalid-argument naming the field */
export function encodeEnrolRequest(request: EnrolRequest): Uint8Array {
  return serialise('EnrolRequest', gen.EnrolRequest, checkEnrolRequest(request));
}

/** Keys and signature are copies that the caller owns. @throws FlError invalid-argument naming the field */
export function decodeEnrolRequest(bytes: Uint8Array): EnrolRequest {
  const { token, publicKey, signature } = checkEnrolRequest(parse('EnrolRequest', gen.EnrolRequest, bytes));
  return { token, publicKey: own(publicKey), signature: own(signature) };
}

function checkEnrolRequest({ token, publicKey, signature }: EnrolRequest): EnrolRequest {
  return {
    token: checkText('token', token, MAX_TOKEN_CHARS),
    publicKey: checkLength('public_key', publicKey, KEY_BYTES),
    signature: checkLength('signature', signature, SIGNATURE_BYTES),
  };
}

/** @throws FlError invalid-argument naming the field */
export function encodeEnrolReply(reply: EnrolReply): Uint8Array {
  const { issued, ...rest } = checkEnrolReply(reply);
  return serialise('EnrolResponse', gen.EnrolResponse, { ...rest, ...issuedToWire(issued) });
}

/** @throws FlError invalid-argument naming the field */
export function decodeEnrolReply(bytes: Uint8Array): EnrolReply {
  const { client, coordinatorKey, ...rest } = checkEnrolReply(parse('EnrolResponse', gen.EnrolResponse, bytes));
  const issued = issuedFromWire(rest);
  return { client, coordinatorKey: own(coordinatorKey), ...(issued && { issued }) };
}

function checkEnrolReply<Reply extends Pick<EnrolReply, 'client' | 'coordinatorKey'>>(reply: Reply): Reply {
  checkName('client', reply.client);
  checkLength('coordinator_key', reply.coordinatorKey, KEY_BYTES);
  return reply;
}

/** @throws FlError invalid-argument naming the field */
export function encodeDownloadRequest({ run, sha256, offset }: DownloadRequest): Uint8Array {
  return serialise('DownloadModelRequest', gen.DownloadModelRequest, {
    run: checkName('run', run),
    sha256: checkSha256('sha256', sha256),
    offset: toUint64('offset', offset),
  });
}

/** @throws FlError invalid-argument naming the field */
export function decodeDownloadRequest(bytes: Uint8Array): DownloadRequest {
  const { run, sha256, offset } = parse('DownloadModelRequest', gen.DownloadModelRequest, bytes);
  return {
    run: checkName('run', run),
    sha256: checkSha256('sha256', sha256),
    offset: fromUint64('offset', offset),
  };
}

/** The bytes of one piece of a model; a view. Made by encodeChunk(DOWNLOAD_DATA_FIELD, ...). */
export function decodeDownloadChunk(bytes: Uint8Array): Uint8Array {
  return checkChunk(parse('DownloadModelResponse', gen.DownloadModelResponse, bytes).data);
}

/** Asks how much of an update is there. @throws FlError invalid-argument naming the field */
export function encodeUploadStatusRequest(update: PendingUpdate): Uint8Array {
  return serialise('UploadStatusRequest', gen.UploadStatusRequest, checkUpdateName('update', update));
}

/** @throws FlError invalid-argument naming the field */
export function decodeUploadStatusRequest(bytes: Uint8Array): PendingUpdate {
  return checkUpdateName('update', parse('UploadStatusRequest', gen.UploadStatusRequest, bytes));
}

/** Bytes that are there already. */
export function encodeUploadStatusReply(offset: number): Uint8Array {
  return serialise('UploadStatusResponse', gen.UploadStatusResponse, { offset: toUint64('offset', offset) });
}

/** Bytes that are there already. @throws FlError invalid-argument */
export function decodeUploadStatusReply(bytes: Uint8Array): number {
  return fromUint64('offset', parse('UploadStatusResponse', gen.UploadStatusResponse, bytes).offset);
}

/** The first message of an upload. @throws FlError invalid-argument naming the field of the header */
export function encodeUploadStart(start: UploadStart): Uint8Array {
  return serialise('UploadUpdateRequest', gen.UploadUpdateRequest, {
    part: { $case: 'header', value: headerToWire(start) },
  });
}

/** @throws FlError invalid-argument naming the field of the header */
export function headerToWire({ signed, offset }: UploadStart): gen.UpdateHeader {
  const { header, signature } = signed;
  checkHeader(header);
  return {
    run: header.run,
    round: header.round,
    attempt: header.attempt,
    sha256: header.sha256,
    sizeBytes: toUint64('header.size_bytes', header.sizeBytes),
    weights: [...header.weights],
    metrics: metricsToWire(header.metrics),
    offset: toUint64('header.offset', checkOffset(offset, header.sizeBytes)),
    signature: checkLength('header.signature', signature, SIGNATURE_BYTES),
  };
}

/** The header, or the bytes of one piece (a view) that encodeChunk(UPLOAD_DATA_FIELD, ...) made. */
export function decodeUploadPart(bytes: Uint8Array): UploadPart {
  const part = present('part', parse('UploadUpdateRequest', gen.UploadUpdateRequest, bytes).part);
  return part.$case === 'data' ? { data: checkChunk(part.value) } : { header: headerFromWire(part.value) };
}

/** Shape and limits are checked here, the signature is not. @throws FlError invalid-argument naming the field */
export function headerFromWire(message: gen.UpdateHeader): UploadStart {
  const { run, round, attempt, sha256, weights, metrics, signature } = message;
  const sizeBytes = fromUint64('header.size_bytes', message.sizeBytes);
  const header = { run, round, attempt, sha256, sizeBytes, weights, metrics: metricsFromWire(metrics) };
  checkHeader(header);
  const signed = { header, signature: own(checkLength('header.signature', signature, SIGNATURE_BYTES)) };
  return { signed, offset: checkOffset(fromUint64('header.offset', message.offset), sizeBytes) };
}

function checkHeader(header: UpdateHeader): void {
  checkName('header.run', header.run);
  checkUint32('header.round', header.round);
  checkUint32('header.attempt', header.attempt);
  checkSha256('header.sha256', header.sha256);
  checkAtMost('header.weights', header.weights.length, MAX_WEIGHTS);
  for (const weight of header.weights) checkFinite('header.weights', weight);
}

function checkOffset(offset: number, sizeBytes: number): number {
  if (offset > sizeBytes) throw invalidArgument('header.offset', `at most size_bytes (${sizeBytes})`, offset);
  return offset;
}

/** A detail that is too long is cut. */
export function encodeUploadReply({ outcome, detail }: UploadReply): Uint8Array {
  return serialise('UploadUpdateResponse', gen.UploadUpdateResponse, {
    outcome: numberOf('outcome', OUTCOMES, outcome),
    detail: clipText(detail),
  });
}

/** @throws FlError invalid-argument naming the field */
export function decodeUploadReply(bytes: Uint8Array): UploadReply {
  const { outcome, detail } = parse('UploadUpdateResponse', gen.UploadUpdateResponse, bytes);
  return { outcome: wordOf('outcome', OUTCOMES, outcome), detail: checkText('detail', detail, MAX_TEXT_CHARS) };
}
