/**
 * The operator's calls over gRPC: starling.v1.AdminService. Each is refused without the admin token and, over TLS, without
 * an operator's certificate.
 */
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  ServerReadableStream,
  ServerWritableStream,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { invalidArgument } from '../../shared/errors.js';
import type { Account } from '../../shared/people.js';
import { readSpec } from '../../shared/run/spec.js';
import type { AdminService } from '../../shared/service.js';
import * as wire from '../../shared/wire/admin.js';
import { encodeChunk, piecesOf, UPLOAD_DATA_FIELD } from '../../shared/wire/chunk.js';
import { type FaultListener, statusOf, unary, writeOrWait } from './call.js';
import type { OperatorGuard } from './operators.js';
import { peopleHandlers } from './people.js';

type Call = ServerWritableStream<Uint8Array, Uint8Array>;

/** AdminService; `guard` throws for a call that may not be made. `onFault` hears of what is no FlError. */
export function adminHandlers(
  admin: AdminService,
  guard: OperatorGuard,
  onFault: FaultListener,
): UntypedServiceImplementation {
  const guarded = (method: string, handle: (request: Uint8Array, account: Account) => Promise<Uint8Array>) =>
    unary(method, onFault, (request, call) => guard.run(call, method, (account) => handle(request, account)));
  return {
    ...peopleHandlers(admin, guarded),
    createToken: guarded('CreateToken', async (request) =>
      wire.encodeTokenReply(await admin.createToken(wire.decodeTokenRequest(request))),
    ),
    listClients: guarded('ListClients', async () => wire.encodeClientList(await admin.listClients())),
    startRun: startRun(admin, guard, onFault),
    stopRun: guarded('StopRun', async (request) => {
      const { run, reason } = wire.decodeStopRequest(request);
      await admin.stopRun(run, reason);
      return wire.EMPTY_MESSAGE;
    }),
    resumeRun: guarded('ResumeRun', async (request) => {
      await admin.resumeRun(wire.decodeRunName(request));
      return wire.EMPTY_MESSAGE;
    }),
    archiveRun: guarded('ArchiveRun', async (request) =>
      wire.encodeArchived(await admin.archiveRun(wire.decodeRunName(request))),
    ),
    deleteRun: guarded('DeleteRun', async (request) => {
      await admin.deleteRun(wire.decodeRunName(request));
      return wire.EMPTY_MESSAGE;
    }),
    repairRun: guarded('RepairRun', async (request) =>
      wire.encodeRepaired(await admin.repairRun(wire.decodeRunName(request))),
    ),
    listRuns: guarded('ListRuns', async (request) =>
      wire.encodeRunList(await admin.listRuns(wire.decodeListRequest(request))),
    ),
    getRun: streamed('GetRun', guard, onFault, async (call) => {
      const { info, report } = await admin.getRun(wire.decodeRunName(call.request));
      await writeOrWait(call, wire.encodeRunInfo(info));
      for (const piece of piecesOf(new TextEncoder().encode(report))) {
        if (!(await writeOrWait(call, encodeChunk(UPLOAD_DATA_FIELD, piece)))) return;
      }
    }),
    watchRun: streamed('WatchRun', guard, onFault, async (call) => {
      const gone = new AbortController();
      call.on('cancelled', () => gone.abort());
      for await (const event of admin.watchRun(wire.decodeRunName(call.request), gone.signal)) {
        guard.check(call, 'WatchRun'); // who was removed meanwhile hears nothing more
        if (!(await writeOrWait(call, wire.encodeRunEvent(event)))) return;
      }
    }),
  };
}

function streamed(
  method: string,
  guard: OperatorGuard,
  onFault: FaultListener,
  handle: (call: Call) => Promise<void>,
): handleServerStreamingCall<Uint8Array, Uint8Array> {
  return async (call) => {
    try {
      await guard.run(call, method, () => handle(call));
      call.end();
    } catch (thrown) {
      if (!call.cancelled) call.emit('error', statusOf(thrown, method, onFault));
    }
  };
}

function startRun(
  admin: AdminService,
  guard: OperatorGuard,
  onFault: FaultListener,
): handleClientStreamingCall<Uint8Array, Uint8Array> {
  const run = async (call: ServerReadableStream<Uint8Array, Uint8Array>): Promise<string> => {
    return guard.run(call, 'StartRun', async () => {
      const { spec, model } = await readStart(call);
      return admin.startRun(readSpec(spec), model);
    });
  };
  return (call, callback) => {
    call.on('error', () => {});
    run(call).then(
      (name) => callback(null, wire.encodeRunName(name)),
      (thrown) => callback(statusOf(thrown, 'StartRun', onFault)),
    );
  };
}

/** The specification and the whole model: as many bytes as the header said, no more and no less. */
async function readStart(call: AsyncIterable<Uint8Array>): Promise<{ spec: wire.RunStart['spec']; model: Uint8Array }> {
  let start: wire.RunStart | undefined;
  let model = new Uint8Array(0);
  let filled = 0;
  for await (const message of call) {
    const part = wire.decodeStartRunPart(message);
    if ('header' in part) {
      if (start !== undefined) throw invalidArgument('part', 'a piece of the model', 'a second header');
      start = part.header;
      model = new Uint8Array(start.modelSizeBytes);
      continue;
    }
    if (filled + part.model.length > model.length) {
      throw invalidArgument('model', `${model.length} bytes`, `${filled + part.model.length} or more`);
    }
    model.set(part.model, filled);
    filled += part.model.length;
  }
  if (start === undefined) throw invalidArgument('first message', 'a header', 'none');
  if (filled !== model.length) throw invalidArgument('model', `${model.length} bytes`, filled);
  return { spec: start.spec, model };
}
