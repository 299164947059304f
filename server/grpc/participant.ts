/**
 * The calls of a participant over gRPC: starling.v1.EnrolmentService and starling.v1.ParticipantService.
 */
import type {
  handleClientStreamingCall,
  handleServerStreamingCall,
  Metadata,
  ServerReadableStream,
  UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { FlError, invalidArgument } from '../../shared/errors.js';
import type { ParticipantService, UploadReply } from '../../shared/service.js';
import { decodeRenewRequest, encodeRenewReply } from '../../shared/wire/certificates.js';
import { DOWNLOAD_DATA_FIELD, encodeChunk, piecesOf } from '../../shared/wire/chunk.js';
import { decodeRotateKeyRequest, encodeRotateKeyReply } from '../../shared/wire/hand-overs.js';
import * as wire from '../../shared/wire/transfer.js';
import { addressOf } from './address.js';
import { JoinAttempts } from './attempts.js';
import { type FaultListener, sessionOf, statusOf, unary, writeOrWait } from './call.js';
import type { ControlStreams } from './control.js';
import type { Peers } from './peers.js';

/** What an upload may take. */
export interface UploadLimits {
  /** How long an upload whose next chunk is wanted may stay silent. */
  readonly uploadIdleMs: number;
}

type UploadCall = ServerReadableStream<Uint8Array, Uint8Array>;

/** EnrolmentService: the calls that need no session. Joins that are refused make their address wait ({@link JoinAttempts}). */
export function enrolmentHandlers(
  participant: ParticipantService,
  options: {
    readonly onFault: FaultListener;
    /** One that opens the door is not held back: a crowd at one address keeps no lab out. */
    readonly isTokenGood?: (token: string) => boolean;
  },
): UntypedServiceImplementation {
  const { onFault, isTokenGood = () => false } = options;
  const attempts = new JoinAttempts();
  const nowMs = () => performance.now();
  return {
    identify: unary('Identify', onFault, async (request) =>
      wire.encodeIdentifyReply(await participant.identify(wire.decodeIdentifyRequest(request))),
    ),
    enrol: unary('Enrol', onFault, async (bytes, call) => {
      const address = addressOf(call.getPeer());
      try {
        const request = wire.decodeEnrolRequest(bytes);
        const waitMs = isTokenGood(request.token) ? 0 : attempts.waitMs(address, nowMs());
        if (waitMs > 0) throw held(address, waitMs);
        const reply = await participant.enrol(request);
        attempts.joined(address);
        return wire.encodeEnrolReply(reply);
      } catch (thrown) {
        if (FlError.from(thrown).code !== 'resource-exhausted') attempts.refused(address, nowMs());
        throw thrown;
      }
    }),
    renew: unary('Renew', onFault, async (request) => {
      const issued = await participant.renew?.(decodeRenewRequest(request));
      if (issued === undefined) throw new FlError('failed-precondition', 'renew: there are no certificates here');
      return encodeRenewReply(issued);
    }),
    rotateKey: unary('RotateKey', onFault, async (request) => {
      if (participant.rotateKey === undefined) throw new FlError('failed-precondition', 'rotate-key: not here');
      return encodeRotateKeyReply(await participant.rotateKey(decodeRotateKeyRequest(request)));
    }),
  };
}

function held(address: string, waitMs: number): FlError {
  const seconds = Math.ceil(waitMs / 1_000);
  return new FlError('resource-exhausted', `too many joins from ${address} were refused; next: again in ${seconds} s`);
}

/** ParticipantService. All calls but `control` need the session that its welcome gave. */
export function participantHandlers(
  peers: Peers,
  options: { control: ControlStreams; limits: UploadLimits; onFault: FaultListener },
): UntypedServiceImplementation {
  const { control, limits, onFault } = options;
  return {
    control: control.handle,
    downloadModel: download(peers, onFault),
    uploadStatus: unary('UploadStatus', onFault, async (request, call) => {
      const participant = peers.participantOf(call);
      const session = sessionOf(call.metadata);
      const update = wire.decodeUploadStatusRequest(request);
      return wire.encodeUploadStatusReply(await participant.uploadStatus(session, update));
    }),
    uploadUpdate: upload(peers, limits, onFault),
  };
}

function download(peers: Peers, onFault: FaultListener): handleServerStreamingCall<Uint8Array, Uint8Array> {
  return async (call) => {
    try {
      const participant = peers.participantOf(call);
      const session = sessionOf(call.metadata);
      const request = wire.decodeDownloadRequest(call.request);
      for await (const chunk of participant.download(session, request)) {
        for (const piece of piecesOf(chunk)) {
          if (!(await writeOrWait(call, encodeChunk(DOWNLOAD_DATA_FIELD, piece)))) return;
        }
      }
      call.end();
    } catch (thrown) {
      if (!call.cancelled) call.emit('error', statusOf(thrown, 'DownloadModel', onFault));
    }
  };
}

function upload(
  peers: Peers,
  limits: UploadLimits,
  onFault: FaultListener,
): handleClientStreamingCall<Uint8Array, Uint8Array> {
  return (call, callback) => {
    call.on('error', () => {});
    receive(peers, call, limits).then(
      (reply) => callback(null, wire.encodeUploadReply(reply)),
      (thrown) => callback(statusOf(thrown, 'UploadUpdate', onFault)),
    );
  };
}

async function receive(peers: Peers, call: UploadCall, limits: UploadLimits): Promise<UploadReply> {
  const participant = peers.participantOf(call);
  const session = sessionOf(call.metadata as Metadata);
  const parts = partsOf(call, limits.uploadIdleMs);
  const first = await parts.next();
  if (first.done === true || !('header' in first.value)) throw invalidArgument('first message', 'a header', 'none');
  const { signed, offset } = first.value.header;
  return participant.upload(session, signed, offset, chunksOf(parts, signed.header.sizeBytes - offset));
}

/** Ends with an FlError when the stream breaks off: an upload that was cut never looks like a short one. */
async function* partsOf(call: UploadCall, idleMs: number): AsyncGenerator<wire.UploadPart, void> {
  const messages = call[Symbol.asyncIterator]();
  const expire = (): void => {
    call.destroy(new FlError('unavailable', `upload: expected a chunk within ${idleMs} ms, got none`));
  };
  try {
    for (;;) {
      const timer = setTimeout(expire, idleMs);
      const next = await messages.next().finally(() => clearTimeout(timer));
      if (next.done === true) return;
      yield wire.decodeUploadPart(next.value);
    }
  } catch (thrown) {
    if (thrown instanceof FlError) throw thrown;
    throw new FlError('unavailable', 'the upload broke off', { cause: thrown });
  } finally {
    await messages.return?.();
  }
}

/**
 * Exactly `expectedBytes`, or an FlError: a stream that the client resets ends here like one that it has finished.
 */
async function* chunksOf(
  parts: AsyncGenerator<wire.UploadPart, void>,
  expectedBytes: number,
): AsyncGenerator<Uint8Array, void> {
  let got = 0;
  for await (const part of parts) {
    if (!('data' in part)) throw invalidArgument('part', 'data', 'a second header');
    got += part.data.length;
    if (got > expectedBytes) throw invalidArgument('data', `${expectedBytes} bytes in all`, `${got} or more`);
    yield part.data;
  }
  if (got < expectedBytes) throw new FlError('unavailable', `the upload broke off at ${got} of ${expectedBytes} bytes`);
}
