/**
 * The operator's calls: proto/starling/v1/admin.proto.
 */
import { FlError, invalidArgument } from '../errors.js';
import type { RunSpec, RunStatus } from '../run/plan.js';
import type { ClientInfo, RunInfo } from '../service.js';
import {
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

/** A record, so that the compiler asks for a new status here too. */
const STATUSES: Readonly<Record<RunStatus, true>> = {
  running: true,
  completed: true,
  stopped: true,
  'budget-exhausted': true,
  failed: true,
};
const STATUS_WORDS = Object.keys(STATUSES) as RunStatus[];

export interface TokenRequest {
  readonly name: string;
  readonly uses: number;
  readonly expiresMs: number;
}

/** First message of StartRun. */
export interface RunStart {
  readonly spec: RunSpec;
  readonly modelSizeBytes: number;
}

export type StartRunPart = { readonly header: RunStart } | { readonly model: Uint8Array };
export type GetRunPart = { readonly info: RunInfo } | { readonly report: Uint8Array };

/** For requests and replies that have no field. */
export const EMPTY_MESSAGE = new Uint8Array(0);

export function encodeTokenRequest({ name, uses, expiresMs }: TokenRequest): Uint8Array {
  return serialise('CreateTokenRequest', gen.CreateTokenRequest, {
    name: checkName('name', name),
    uses: checkUint32('uses', uses),
    expiresMs: toUint64('expires_ms', expiresMs),
  });
}

export function decodeTokenRequest(bytes: Uint8Array): TokenRequest {
  const { name, uses, expiresMs } = parse('CreateTokenRequest', gen.CreateTokenRequest, bytes);
  return { name: checkName('name', name), uses, expiresMs: fromUint64('expires_ms', expiresMs) };
}

export function encodeTokenReply(token: string): Uint8Array {
  const value = { token: checkText('token', token, MAX_TOKEN_CHARS) };
  return serialise('CreateTokenResponse', gen.CreateTokenResponse, value);
}

export function decodeTokenReply(bytes: Uint8Array): string {
  return checkText('token', parse('CreateTokenResponse', gen.CreateTokenResponse, bytes).token, MAX_TOKEN_CHARS);
}

export function encodeClientList(clients: readonly ClientInfo[]): Uint8Array {
  return serialise('ListClientsResponse', gen.ListClientsResponse, {
    clients: clients.map(({ name, online, enrolledAtMs, publicKey }) => ({
      name: checkName('name', name),
      online,
      enrolledAtMs: toUint64('enrolled_at_ms', enrolledAtMs),
      publicKey: checkLength('public_key', publicKey, KEY_BYTES),
    })),
  });
}

export function decodeClientList(bytes: Uint8Array): ClientInfo[] {
  return parse('ListClientsResponse', gen.ListClientsResponse, bytes).clients.map((client) => ({
    name: checkName('name', client.name),
    online: client.online,
    enrolledAtMs: fromUint64('enrolled_at_ms', client.enrolledAtMs),
    publicKey: own(checkLength('public_key', client.publicKey, KEY_BYTES)),
  }));
}

export function encodeRunStart({ spec, modelSizeBytes }: RunStart): Uint8Array {
  const text = JSON.stringify(spec);
  checkMaxLength('spec', new TextEncoder().encode(text), MAX_JSON_BYTES);
  const value = { spec: text, modelSizeBytes: toUint64('model_size_bytes', checkModelSize(modelSizeBytes)) };
  return serialise('StartRunRequest', gen.StartRunRequest, { part: { $case: 'header', value } });
}

/** The header (its specification is JSON with the two parts of a RunSpec, no more is known of it) or a piece (a view). */
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

function specFromJson(text: string): RunSpec {
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
  return spec as RunSpec;
}

export function encodeRunName(run: string): Uint8Array {
  return serialise('run', gen.GetRunRequest, { run: checkName('run', run) });
}

/** StartRunResponse, ResumeRunRequest, GetRunRequest and WatchRunRequest are alike: field 1 is the run. */
export function decodeRunName(bytes: Uint8Array): string {
  return checkName('run', parse('run', gen.GetRunRequest, bytes).run);
}

export function encodeStopRequest(run: string, reason: string): Uint8Array {
  const value = { run: checkName('run', run), reason: clipText(reason) };
  return serialise('StopRunRequest', gen.StopRunRequest, value);
}

export function decodeStopRequest(bytes: Uint8Array): { readonly run: string; readonly reason: string } {
  const { run, reason } = parse('StopRunRequest', gen.StopRunRequest, bytes);
  return { run: checkName('run', run), reason: checkText('reason', reason, MAX_TEXT_CHARS) };
}

export function encodeRunList(runs: readonly RunInfo[]): Uint8Array {
  return serialise('ListRunsResponse', gen.ListRunsResponse, { runs: runs.map(infoToWire) });
}

export function decodeRunList(bytes: Uint8Array): RunInfo[] {
  return parse('ListRunsResponse', gen.ListRunsResponse, bytes).runs.map(infoFromWire);
}

/** First message of GetRun's answer; the report follows by encodeChunk(UPLOAD_DATA_FIELD, ...). */
export function encodeRunInfo(info: RunInfo): Uint8Array {
  const part = { $case: 'run' as const, value: infoToWire(info) };
  return serialise('GetRunResponse', gen.GetRunResponse, { part });
}

export function decodeGetRunPart(bytes: Uint8Array): GetRunPart {
  const part = present('part', parse('GetRunResponse', gen.GetRunResponse, bytes).part);
  return part.$case === 'run' ? { info: infoFromWire(part.value) } : { report: checkChunk(part.value) };
}

export function encodeRunEvent(event: string): Uint8Array {
  return serialise('WatchRunResponse', gen.WatchRunResponse, { event });
}

export function decodeRunEvent(bytes: Uint8Array): string {
  return parse('WatchRunResponse', gen.WatchRunResponse, bytes).event;
}

function infoToWire(info: RunInfo): gen.Run {
  return {
    run: checkName('run', info.run),
    workload: checkText('workload', info.workload, MAX_WORKLOAD_CHARS),
    status: oneOf('status', STATUS_WORDS, info.status),
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
    status: oneOf('status', STATUS_WORDS, message.status),
    reason: checkText('reason', message.reason, MAX_TEXT_CHARS),
    round: message.round,
    rounds: message.rounds,
    createdAtMs: fromUint64('created_at_ms', message.createdAtMs),
    directory: checkText('directory', message.directory, MAX_PATH_CHARS),
    activity: checkText('activity', message.activity, MAX_TEXT_CHARS),
  };
}
