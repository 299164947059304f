/**
 * A coordinator that is somewhere else: ParticipantService over gRPC (proto/starling/v1/participant.proto). It behaves as
 * the coordinator's own object would, except that any call may also fail with an FlError `unavailable`.
 */
import { Metadata, type StatusObject } from '@grpc/grpc-js';
import { toHex } from '../../shared/hex.js';
import type {
  ClientFrame,
  ControlEnd,
  CoordinatorFrame,
  ParticipantService,
  SignedUpdateHeader,
  UploadReply,
} from '../../shared/service.js';
import { decodeRenewReply, encodeRenewRequest } from '../../shared/wire/certificates.js';
import { encodeChunk, piecesOf, UPLOAD_DATA_FIELD } from '../../shared/wire/chunk.js';
import { encodeClientFrame } from '../../shared/wire/client-frames.js';
import { decodeCoordinatorFrame } from '../../shared/wire/coordinator-frames.js';
import { EnrolmentServiceService, ParticipantServiceService } from '../../shared/wire/gen/starling/v1/participant.js';
import { decodeRotateKeyReply, encodeRotateKeyRequest } from '../../shared/wire/hand-overs.js';
import { REASON_KEY, SESSION_KEY } from '../../shared/wire/status.js';
import * as wire from '../../shared/wire/transfer.js';
import { Channel, type ChannelOptions, writeOrAnswered } from './channel.js';

const { control, downloadModel, uploadStatus, uploadUpdate } = ParticipantServiceService;
/** How long the coordinator may take to end a control stream that we have closed. */
const CLOSE_GRACE_MS = 2_000;

/** The coordinator's service for clients, and the connection that it takes. */
export interface GrpcParticipant extends ParticipantService {
  readonly dialled: string;
  /** Cancels every open call and closes the connection; the process can exit. */
  close(): void;
}

/**
 * @param address HOST:PORT, on this machine if there is no TLS; the connection is made at the first call
 * @throws FlError failed-precondition: not a loopback address, and no TLS
 */
export function connectGrpc(address: string | (() => string), options: Partial<ChannelOptions> = {}): GrpcParticipant {
  const channel = new Channel(address, options);
  return {
    get dialled() {
      return channel.dialled;
    },
    get channel() {
      return channel.certificate;
    },
    async identify(request) {
      const path = EnrolmentServiceService.identify.path;
      return wire.decodeIdentifyReply(await channel.unary(path, wire.encodeIdentifyRequest(request)));
    },
    async enrol(request) {
      const path = EnrolmentServiceService.enrol.path;
      return wire.decodeEnrolReply(await channel.unary(path, wire.encodeEnrolRequest(request)));
    },
    async renew(request) {
      const path = EnrolmentServiceService.renew.path;
      return decodeRenewReply(await channel.unary(path, encodeRenewRequest(request)));
    },
    async rotateKey(request) {
      const path = EnrolmentServiceService.rotateKey.path;
      return decodeRotateKeyReply(await channel.unary(path, encodeRotateKeyRequest(request)));
    },
    connect: (toClient) => openControl(channel, toClient),
    async *download(session, request) {
      const message = wire.encodeDownloadRequest(request);
      const metadata = withSession(session);
      for await (const bytes of channel.serverStream(downloadModel.path, message, { metadata, deadline: true })) {
        yield wire.decodeDownloadChunk(bytes);
      }
    },
    async uploadStatus(session, update) {
      const message = wire.encodeUploadStatusRequest(update);
      return wire.decodeUploadStatusReply(await channel.unary(uploadStatus.path, message, withSession(session)));
    },
    upload: (session, signed, offset, chunks) => upload(channel, session, { signed, offset, chunks }),
    close: () => channel.close(),
  };
}

async function upload(
  channel: Channel,
  session: Uint8Array,
  update: { signed: SignedUpdateHeader; offset: number; chunks: AsyncIterable<Uint8Array> },
): Promise<UploadReply> {
  const header = wire.encodeUploadStart(update);
  const { call, reply } = channel.clientStream(uploadUpdate.path, withSession(session));
  const answered = reply.then(() => undefined);
  answered.catch(() => {});
  const source = update.chunks[Symbol.asyncIterator]();
  try {
    call.write(header);
    for (;;) {
      const next = await Promise.race([source.next(), answered]);
      if (next === undefined || next.done === true) break;
      for (const piece of piecesOf(next.value)) {
        await writeOrAnswered(call, encodeChunk(UPLOAD_DATA_FIELD, piece), reply);
      }
    }
    call.end();
  } catch (thrown) {
    // The chunks could not be had (or the call failed): the coordinator must not take what it has for the whole.
    call.cancel();
    throw thrown;
  } finally {
    // Not awaited: a source that is stuck in next() would keep the answer from the caller.
    source.return?.().then(undefined, () => {});
  }
  return wire.decodeUploadReply(await reply);
}

function openControl(channel: Channel, toClient: ControlEnd<CoordinatorFrame>): ControlEnd<ClientFrame> {
  const call = channel.duplex(control.path);
  let ended = false;
  const end = (reason: string): void => {
    if (ended) return;
    ended = true;
    toClient.close(reason);
  };
  call.on('data', (bytes: Uint8Array) => {
    if (ended) return;
    try {
      toClient.send(decodeCoordinatorFrame(bytes));
    } catch (thrown) {
      call.cancel();
      end(thrown instanceof Error ? thrown.message : String(thrown));
    }
  });
  // gRPC reports the status when the last frame is in; 'end' comes when that frame has been read.
  let status: StatusObject | undefined;
  let drained = false;
  const maybeEnd = (): void => {
    if (status !== undefined && drained) end(reasonOf(status));
  };
  call.on('status', (last: StatusObject) => {
    status = last;
    maybeEnd();
  });
  call.on('end', () => {
    drained = true;
    maybeEnd();
  });
  return {
    send(frame) {
      if (!ended) call.write(encodeClientFrame(frame));
    },
    close() {
      if (ended) return;
      ended = true;
      call.end();
      const timer = setTimeout(() => call.cancel(), CLOSE_GRACE_MS);
      call.once('status', () => clearTimeout(timer));
    },
  };
}

function reasonOf({ code, details, metadata }: StatusObject): string {
  const [reason] = metadata?.get(REASON_KEY) ?? [];
  if (typeof reason === 'string') {
    try {
      return decodeURIComponent(reason);
    } catch {
      return reason;
    }
  }
  return code === 0 ? 'the coordinator ended the stream' : details;
}

function withSession(session: Uint8Array): Metadata {
  const metadata = new Metadata();
  metadata.set(SESSION_KEY, toHex(session));
  return metadata;
}
