/**
 * The operator's calls to a coordinator: AdminService over gRPC (proto/starling/v1/admin.proto).
 */
import { Metadata } from '@grpc/grpc-js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { type RunSpec, storedSpec } from '../../shared/run/spec.js';
import type { AdminService, RunInfo } from '../../shared/service.js';
import * as wire from '../../shared/wire/admin.js';
import { encodeChunk, piecesOf, UPLOAD_DATA_FIELD } from '../../shared/wire/chunk.js';
import { AdminServiceService as methods } from '../../shared/wire/gen/starling/v1/admin.js';
import * as people from '../../shared/wire/people.js';
import { AUTHORIZATION_KEY } from '../../shared/wire/status.js';
import { Channel, type ChannelOptions, writeOrAnswered } from './channel.js';

/** The operator's service, and the connection that it takes. */
export interface GrpcAdmin extends AdminService {
  /** Cancels every open call and closes the connection; the process can exit. */
  close(): void;
}

/**
 * @param address HOST:PORT, on this machine if there is no TLS; the connection is made at the first call
 * @throws FlError failed-precondition: not a loopback address, and no TLS; invalid-argument: a token that HTTP cannot carry
 */
export function connectAdmin(address: string, adminToken: string, options: Partial<ChannelOptions> = {}): GrpcAdmin {
  if (!/^[\x21-\x7e]{1,512}$/.test(adminToken)) {
    throw invalidArgument('adminToken', '1 to 512 printable ASCII characters', `${adminToken.length} characters`);
  }
  const channel = new Channel(address, options);
  const metadata = new Metadata();
  metadata.set(AUTHORIZATION_KEY, `Bearer ${adminToken}`);
  const call = (method: { readonly path: string }, request: Uint8Array) =>
    channel.unary(method.path, request, metadata);
  return {
    createToken: async (request) =>
      wire.decodeTokenReply(await call(methods.createToken, wire.encodeTokenRequest(request))),
    listClients: async () => wire.decodeClientList(await call(methods.listClients, wire.EMPTY_MESSAGE)),
    async setStanding(request) {
      await call(methods.setStanding, people.encodeStandingRequest(request));
    },
    reEnrol: async (request) =>
      people.decodeReEnrolReply(await call(methods.reEnrol, people.encodeReEnrolRequest(request))),
    listTokens: async () => people.decodeTokenList(await call(methods.listTokens, wire.EMPTY_MESSAGE)),
    async revokeToken(id) {
      await call(methods.revokeToken, people.encodeTokenId(id));
    },
    addAccount: async (request) =>
      people.decodeAccountKey(await call(methods.addAccount, people.encodeAccountRequest(request))),
    rotateAccount: async (name) =>
      people.decodeAccountKey(await call(methods.rotateAccount, people.encodeAccountName(name))),
    /** @param _ the name; the coordinator takes that of whoever calls */
    renewAccount: async (_) => people.decodeAccountKey(await call(methods.renewAccount, wire.EMPTY_MESSAGE)),
    listAccounts: async () => people.decodeAccountList(await call(methods.listAccounts, wire.EMPTY_MESSAGE)),
    async removeAccount(name) {
      await call(methods.removeAccount, people.encodeAccountName(name));
    },
    startRun: (spec, model) => startRun(channel, metadata, spec, model),
    async stopRun(run, reason) {
      await call(methods.stopRun, wire.encodeStopRequest(run, reason));
    },
    async resumeRun(run) {
      await call(methods.resumeRun, wire.encodeRunName(run));
    },
    archiveRun: async (run) => wire.decodeArchived(await call(methods.archiveRun, wire.encodeRunName(run))),
    async deleteRun(run) {
      await call(methods.deleteRun, wire.encodeRunName(run));
    },
    repairRun: async (run) => wire.decodeRepaired(await call(methods.repairRun, wire.encodeRunName(run))),
    listRuns: async (which = {}) => wire.decodeRunList(await call(methods.listRuns, wire.encodeListRequest(which))),
    getRun: (run) => getRun(channel, metadata, run),
    async *watchRun(run, signal) {
      const request = wire.encodeRunName(run);
      const options = { metadata, deadline: false, signal };
      for await (const bytes of channel.serverStream(methods.watchRun.path, request, options)) {
        yield wire.decodeRunEvent(bytes);
      }
    },
    close: () => channel.close(),
  };
}

async function startRun(channel: Channel, metadata: Metadata, spec: RunSpec, model: Uint8Array): Promise<string> {
  const header = wire.encodeRunStart({ spec: storedSpec(spec), modelSizeBytes: model.length });
  const { call, reply } = channel.clientStream(methods.startRun.path, metadata);
  call.write(header);
  for (const piece of piecesOf(model)) {
    if (!(await writeOrAnswered(call, encodeChunk(UPLOAD_DATA_FIELD, piece), reply))) break;
  }
  call.end();
  return wire.decodeRunName(await reply);
}

async function getRun(channel: Channel, metadata: Metadata, run: string): Promise<{ info: RunInfo; report: string }> {
  let info: RunInfo | undefined;
  let report = '';
  const text = new TextDecoder();
  const request = wire.encodeRunName(run);
  for await (const bytes of channel.serverStream(methods.getRun.path, request, { metadata, deadline: true })) {
    const part = wire.decodeGetRunPart(bytes);
    if ('info' in part) info = part.info;
    else report += text.decode(part.report, { stream: true });
  }
  if (info === undefined) throw new FlError('internal', 'GetRun: expected the run, got an empty answer');
  return { info, report: report + text.decode() };
}
