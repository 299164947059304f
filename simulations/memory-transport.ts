/**
 * The network of a simulation that needs none: the coordinator's own functions, with the one property of a network that
 * matters for correctness: a frame arrives later, in order, and never inside the call that sent it.
 */
import type { ClientFrame, ControlEnd, CoordinatorFrame, ParticipantService } from '../shared/service.js';

/** The coordinator behind a network that loses nothing: every frame arrives in a later turn, in order. */
export function memoryTransport(coordinator: ParticipantService): ParticipantService {
  return {
    identify: (request) => coordinator.identify(request),
    enrol: (request) => coordinator.enrol(request),
    connect(toClient) {
      const outbound: ControlEnd<CoordinatorFrame> = later(toClient);
      const inbound: ControlEnd<ClientFrame> = coordinator.connect(outbound);
      return later(inbound);
    },
    download: (session, request) => coordinator.download(session, request),
    uploadStatus: (session, update) => coordinator.uploadStatus(session, update),
    upload: (session, signed, offset, chunks) => coordinator.upload(session, signed, offset, chunks),
  };
}

/** The same end, reached in a later turn of the event loop. */
function later<Frame>(end: ControlEnd<Frame>): ControlEnd<Frame> {
  return {
    send: (frame) => queueMicrotask(() => end.send(frame)),
    close: (reason) => queueMicrotask(() => end.close(reason)),
  };
}
