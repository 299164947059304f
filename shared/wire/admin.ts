/**
 * The operator's calls: proto/starling/v1/admin.proto. Each encoder, and each decoder, throws FlError invalid-argument that
 * names the field, what was expected and what came.
 */
import { FlError, invalidArgument } from '../errors.js';
import { STANDINGS } from '../people.js';
import type { StoredRunSpec } from '../run/spec.js';
import { RUN_STATUSES } from '../run/summary.js';
import type { ClientInfo, RunInfo } from '../service.js';
import { MAX_HAND_OVERS } from '../signing/hand-over.js';
import {
  checkAtMost,
  checkLength,
  checkMaxLength,
  checkName,
  checkText,
  checkUint32,
  clipText,
  fromUint64,
  oneOf,
  own,
  parse,
  present,
  serialise,
  toUint64,
} from './checks.js';
import { checkChunk } from './chunk.js';
import * as gen from './gen/starling/v1/admin.js';
import {
  KEY_BYTES,
  MAX_JSON_BYTES,
  MAX_PATH_CHARS,
  MAX_START_MODEL_BYTES,
  MAX_TEXT_CHARS,
  MAX_TOKEN_CHARS,
  MAX_WORKLOAD_CHARS,
} from './limits.js';

/** A token for clients called `name`, so many times, for so long. */
export interface TokenRequest {
  readonly name: string;
  readonly uses: number;
  readonly expiresMs: number;
  readonly isPending?: boolean;
}

/** First message of StartRun. */
export interface RunStart {
  readonly spec: StoredRunSpec;
  readonly modelSizeBytes: number;
}

/** StartRun: the header, then the pieces of the first model. */
export type StartRunPart = { readonly header: RunStart } | { readonly model: Uint8Array };
/** GetRun's answer: the run, then the pieces of report.json. */
export type GetRunPart = { readonly info: RunInfo } | { readonly report: Uint8Array };

/** For requests and replies that have no field. */
export const EMPTY_MESSAGE = new Uint8Array(0);

/** CreateTokenRequest. */
export function encodeTokenRequest({ name, uses, expiresMs, isPending = false }: TokenRequest): Uint8Array {
  return serialise('CreateTokenRequest', gen.CreateTokenRequest, {
    name: checkName('name', name),
    uses: checkUint32('uses', uses),
    expiresMs: toUint64('expires_ms', expiresMs),
    isPending,
  });
}

/** Inverse of {@link encodeTokenRequest}. */
export function decodeTokenRequest(bytes: Uint8Array): TokenRequest {
  const { name, uses, expiresMs, isPending } = parse('CreateTokenRequest', gen.CreateTokenRequest, bytes);
  const request = { name: checkName('name', name), uses, expiresMs: fromUint64('expires_ms', expiresMs) };
  return isPending ? { ...request, isPending } : request;
}

/** CreateTokenResponse. */
export function encodeTokenReply(token: string): Uint8Array {
  const value = { token: checkText('token', token, MAX_TOKEN_CHARS) };
  return serialise('CreateTokenResponse', gen.CreateTokenResponse, value);
}

/** Inverse of {@link encodeTokenReply}. */
export function decodeTokenReply(bytes: Uint8Array): string {
  return checkText('token', parse('CreateTokenResponse', gen.CreateTokenResponse, bytes).token, MAX_TOKEN_CHARS);
}

/** ListClientsResponse. */
export function encodeClientList(clients: readonly ClientInfo[]): Uint8Array {
  return serialise('ListClientsResponse', gen.ListClientsResponse, {
    clients: clients.map(({ name, online, enrolledAtMs, publicKey, ...more }) => ({
      name: checkName('name', name),
      online,
      enrolledAtMs: toUint64('enrolled_at_ms', enrolledAtMs),
      publicKey: checkLength('public_key', publicKey, KEY_BYTES),
      lastSeenAtMs: toUint64('last_seen_at_ms', more.lastSeenAtMs ?? 0),
      lastReason: clipText(more.lastReason ?? ''),
      standing: more.standing ?? '',
      standingReason: clipText(more.standingReason ?? ''),
      formerKeys: (more.formerKeys ?? []).map((key) => checkLength('former_keys', key, KEY_BYTES)),
    })),
  });
}

/** Inverse of {@link encodeClientList}; keys are copies. */
export function decodeClientList(bytes: Uint8Array): ClientInfo[] {
  return parse('ListClientsResponse', gen.ListClientsResponse, bytes).clients.map((client) => ({
    name: checkName('name', client.name),
    online: client.online,
    enrolledAtMs: fromUint64('enrolled_at_ms', client.enrolledAtMs),
    publicKey: own(checkLength('public_key', client.publicKey, KEY_BYTES)),
    ...(client.standing !== '' && { standing: oneOf('standing', STANDINGS, client.standing) }),
    ...(client.standingReason !== '' && {
      standingReason: checkText('standing_reason', client.standingReason, MAX_TEXT_CHARS),
    }),
    ...seenFromWire(client),
    ...(client.formerKeys.length > 0 && { formerKeys: formerFromWire(client.formerKeys) }),
  }));
}

function formerFromWire(keys: readonly Uint8Array[]): Uint8Array[] {
  checkAtMost('former_keys', keys.length, MAX_HAND_OVERS);
  return keys.map((key) => own(checkLength('former_keys', key, KEY_BYTES)));
}

/** An older coordinator says neither. */
function seenFromWire({ lastSeenAtMs, lastReason }: gen.Client): Pick<ClientInfo, 'lastSeenAtMs' | 'lastReason'> {
  const atMs = fromUint64('last_seen_at_ms', lastSeenAtMs);
  const reason = checkText('last_reason', lastReason, MAX_TEXT_CHARS);
  return { ...(atMs > 0 && { lastSeenAtMs: atMs }), ...(reason !== '' && { lastReason: reason }) };
}

/** First message of StartRun. */
export function encodeRunStart({ spec, modelSizeBytes }: RunStart): Uint8Array {
  const text = JSON.stringify(spec);
  checkMaxLength('spec', new TextEncoder().encode(text), MAX_JSON_BYTES);
  const value = { spec: text, modelSizeBytes: toUint64('model_size_bytes', checkModelSize(modelSizeBytes)) };
  return serialise('StartRunRequest', gen.StartRunRequest, { part: { $case: 'header', value } });
}

/** The header (its specification is JSON with the two parts of a StoredRunSpec, no more is known of it) or a piece (a view). */
export function decodeStartRunPart(bytes: Uint8Array): StartRunPart {
  const part = present('part', parse('StartRunRequest', gen.StartRunRequest, bytes).part);
  if (part.$case === 'model') return { model: checkChunk(part.value) };
  const modelSizeBytes = checkModelSize(fromUint64('model_size_bytes', part.value.modelSizeBytes));
  return { header: { spec: specFromJson(part.value.spec), modelSizeBytes } };
}

function checkModelSize(modelSizeBytes: number): number {
  if (modelSizeBytes > MAX_START_MODEL_BYTES) {
    throw invalidArgument('model_size_bytes', `at most ${MAX_START_MODEL_BYTES}`, modelSizeBytes);
  }
  return modelSizeBytes;
}

function specFromJson(text: string): StoredRunSpec {
  let spec: unknown;
  try {
    spec = JSON.parse(text);
  } catch (error) {
    throw new FlError('invalid-argument', `spec: expected JSON, got ${text.length} characters`, { cause: error });
  }
  for (const part of ['work', 'engine']) {
    const value =
      typeof spec === 'object' && spec !== null && Object.hasOwn(spec, part) ? Reflect.get(spec, part) : null;
    if (typeof value !== 'object' || value === null) throw invalidArgument(`spec.${part}`, 'an object', value);
  }
  return spec as StoredRunSpec;
}

/** StartRunResponse, and the requests that name a run and no more. */
export function encodeRunName(run: string): Uint8Array {
  return serialise('run', gen.GetRunRequest, { run: checkName('run', run) });
}

/** StartRunResponse, and the requests that name a run and no more, are alike: field 1 is the run. */
export function decodeRunName(bytes: Uint8Array): string {
  return checkName('run', parse('run', gen.GetRunRequest, bytes).run);
}

/** StopRunRequest; a reason that is too long is cut. */
export function encodeStopRequest(run: string, reason: string): Uint8Array {
  const value = { run: checkName('run', run), reason: clipText(reason) };
  return serialise('StopRunRequest', gen.StopRunRequest, value);
}

/** Inverse of {@link encodeStopRequest}. */
export function decodeStopRequest(bytes: Uint8Array): { readonly run: string; readonly reason: string } {
  const { run, reason } = parse('StopRunRequest', gen.StopRunRequest, bytes);
  return { run: checkName('run', run), reason: checkText('reason', reason, MAX_TEXT_CHARS) };
}

/** ArchiveRunResponse. */
export function encodeArchived(directory: string): Uint8Array {
  const value = { directory: checkText('directory', directory, MAX_PATH_CHARS) };
  return serialise('ArchiveRunResponse', gen.ArchiveRunResponse, value);
}

/** Inverse of {@link encodeArchived}. */
export function decodeArchived(bytes: Uint8Array): string {
  const { directory } = parse('ArchiveRunResponse', gen.ArchiveRunResponse, bytes);
  return checkText('directory', directory, MAX_PATH_CHARS);
}

/** RepairRunResponse; a sentence that is too long is cut. */
export function encodeRepaired(done: readonly string[]): Uint8Array {
  return serialise('RepairRunResponse', gen.RepairRunResponse, { done: done.map(clipText) });
}

/** Inverse of {@link encodeRepaired}. */
export function decodeRepaired(bytes: Uint8Array): string[] {
  const { done } = parse('RepairRunResponse', gen.RepairRunResponse, bytes);
  return done.map((text) => checkText('done', text, MAX_TEXT_CHARS));
}

/** ListRunsRequest. */
export function encodeListRequest({ archived = false }: { readonly archived?: boolean }): Uint8Array {
  return serialise('ListRunsRequest', gen.ListRunsRequest, { archived });
}

/** Inverse of {@link encodeListRequest}. */
export function decodeListRequest(bytes: Uint8Array): { readonly archived: boolean } {
  const { archived } = parse('ListRunsRequest', gen.ListRunsRequest, bytes);
  return { archived };
}

/** ListRunsResponse. */
export function encodeRunList(runs: readonly RunInfo[]): Uint8Array {
  return serialise('ListRunsResponse', gen.ListRunsResponse, { runs: runs.map(infoToWire) });
}

/** Inverse of {@link encodeRunList}. */
export function decodeRunList(bytes: Uint8Array): RunInfo[] {
  return parse('ListRunsResponse', gen.ListRunsResponse, bytes).runs.map(infoFromWire);
}

/** First message of GetRun's answer; the report follows by encodeChunk(UPLOAD_DATA_FIELD, ...). */
export function encodeRunInfo(info: RunInfo): Uint8Array {
  const part = { $case: 'run' as const, value: infoToWire(info) };
  return serialise('GetRunResponse', gen.GetRunResponse, { part });
}

/** One message of GetRun's answer; a piece of the report is a view. */
export function decodeGetRunPart(bytes: Uint8Array): GetRunPart {
  const part = present('part', parse('GetRunResponse', gen.GetRunResponse, bytes).part);
  return part.$case === 'run' ? { info: infoFromWire(part.value) } : { report: checkChunk(part.value) };
}

/** WatchRunResponse: one event as JSON. */
export function encodeRunEvent(event: string): Uint8Array {
  return serialise('WatchRunResponse', gen.WatchRunResponse, { event });
}

/** Inverse of {@link encodeRunEvent}. */
export function decodeRunEvent(bytes: Uint8Array): string {
  return parse('WatchRunResponse', gen.WatchRunResponse, bytes).event;
}

/** A row of the list may be a folder that could not be opened. */
const SHOWN_STATUSES = [...RUN_STATUSES, 'damaged'] as const;

function infoToWire(info: RunInfo): gen.Run {
  return {
    run: checkName('run', info.run),
    workload: checkText('workload', info.workload, MAX_WORKLOAD_CHARS),
    status: oneOf('status', SHOWN_STATUSES, info.status),
    reason: clipText(info.reason),
    round: checkUint32('round', info.round),
    rounds: checkUint32('rounds', info.rounds),
    createdAtMs: toUint64('created_at_ms', info.createdAtMs),
    directory: checkText('directory', info.directory, MAX_PATH_CHARS),
    activity: clipText(info.activity),
  };
}

function infoFromWire(message: gen.Run): RunInfo {
  return {
    run: checkName('run', message.run),
    workload: checkText('workload', message.workload, MAX_WORKLOAD_CHARS),
    status: oneOf('status', SHOWN_STATUSES, message.status),
    reason: checkText('reason', message.reason, MAX_TEXT_CHARS),
    round: message.round,
    rounds: message.rounds,
    createdAtMs: fromUint64('created_at_ms', message.createdAtMs),
    directory: checkText('directory', message.directory, MAX_PATH_CHARS),
    activity: checkText('activity', message.activity, MAX_TEXT_CHARS),
  };
}
