/**
 * One control stream, seen from the coordinator: frames in, frames out through a bounded outbox, and one end.
 *
 * A client that does not read would make the coordinator keep everything that it is told. Frames are small and few, so
 * more than the outbox holds means that nobody is there: the stream is closed, and when even that does not get through,
 * its connection.
 */
import { Metadata, type ServerDuplexStream } from '@grpc/grpc-js';
import { FlError } from '../../shared/errors.js';
import type { ClientFrame, ControlEnd, CoordinatorFrame } from '../../shared/service.js';
import { clipText } from '../../shared/wire/checks.js';
import { decodeClientFrame } from '../../shared/wire/client-frames.js';
import { encodeCoordinatorFrame } from '../../shared/wire/coordinator-frames.js';
import { REASON_KEY } from '../../shared/wire/status.js';
import { type FaultListener, statusOf } from './call.js';
import type { Peers } from './peers.js';

/** What one control stream may hold. */
export interface ControlLimits {
  /** Frames, and their bytes, that may wait for one client to read them. */
  readonly maxOutboxFrames: number;
  readonly maxOutboxBytes: number;
  /** How long a closed stream may take to say so before its connection is cut. */
  readonly closeGraceMs: number;
}

const LEFT = 'the client left';

type Call = ServerDuplexStream<Uint8Array, Uint8Array>;

/** All control streams of a server: carries each, and ends all of them. */
export class ControlStreams {
  readonly #peers: Pick<Peers, 'participantOf'>;
  readonly #limits: ControlLimits;
  readonly #onFault: FaultListener;
  /** Destroys the connection of a peer as grpc-js names it. */
  readonly #cut: (peer: string) => void;
  readonly #welcomed: (peer: string, session: Uint8Array) => void;
  readonly #open = new Set<(reason: string) => void>();
  readonly #encodePlan: (frame: CoordinatorFrame) => Uint8Array;
  readonly #refused: (peer: string, reason: string) => void;

  constructor(
    peers: Pick<Peers, 'participantOf'>,
    options: {
      limits: ControlLimits;
      onFault: FaultListener;
      cut: (peer: string) => void;
      /** Hears of logins. */
      welcomed: (peer: string, session: Uint8Array) => void;
      /** Hears of logins that were refused, and of frames that were not taken. */
      refused: (peer: string, reason: string) => void;
      /** Hears of each plan, once. */
      planned: (body: Uint8Array) => void;
    },
  ) {
    this.#peers = peers;
    this.#limits = options.limits;
    this.#onFault = options.onFault;
    this.#cut = options.cut;
    this.#welcomed = options.welcomed;
    this.#refused = options.refused;
    this.#encodePlan = planEncoder(options.planned);
  }

  /** Ends every stream that is open; the coordinator hears of each. */
  closeAll(reason: string): void {
    for (const close of [...this.#open]) close(reason);
  }

  readonly handle = (call: Call): void => {
    let fromClient: ControlEnd<ClientFrame> | undefined;
    let ended: string | undefined;
    let isWelcome = false;
    const peer = call.getPeer();
    /** First caller wins. `say` ends our half; `tell` is for the coordinator. */
    const end = (reason: string, say: () => void, tell: boolean): void => {
      if (ended !== undefined) return;
      ended = reason;
      this.#open.delete(closeFromHere);
      say();
      this.#cutUnlessClosed(call, peer);
      if (tell) fromClient?.close(reason);
    };
    const endWithReason = (reason: string): void => endStream(call, reason);
    const closeFromHere = (reason: string): void => end(reason, () => endWithReason(reason), true);
    const fail = (thrown: unknown): void => {
      const status = statusOf(thrown, 'Control', this.#onFault);
      end(status.details, () => call.emit('error', status), true);
    };
    this.#open.add(closeFromHere);
    const outbox = new Outbox(call, this.#limits, this.#encodePlan);
    try {
      fromClient = this.#peers.participantOf(call).connect({
        send: (frame) => {
          if (ended !== undefined) return;
          if (frame.kind === 'welcome') {
            isWelcome = true;
            this.#welcomed(peer, frame.session);
          }
          if (frame.kind === 'goodbye' && !isWelcome) this.#refused(peer, `login: ${frame.reason}`);
          if (!outbox.put(frame)) closeFromHere('the client does not read: its outbox is full');
        },
        close: (reason) => end(reason, () => endWithReason(reason), false),
        refused: (reason) => this.#refused(peer, reason),
      });
    } catch (thrown) {
      fail(thrown);
      return;
    }
    if (ended !== undefined) return;
    const { send } = fromClient;
    call.on('data', (bytes: Uint8Array) => {
      if (ended !== undefined) return;
      try {
        send.call(fromClient, decodeClientFrame(bytes));
      } catch (thrown) {
        fail(thrown);
      }
    });
    // A stream that is reset also ends first (HTTP/2 of Node 20), so the two are not told apart.
    call.on('end', () => end(LEFT, () => call.end(), true));
    call.on('cancelled', () => end(LEFT, () => {}, true));
    call.on('error', () => {});
  };

  #cutUnlessClosed(call: Call, peer: string): void {
    if (call.destroyed) return;
    const timer = setTimeout(() => this.#cut(peer), this.#limits.closeGraceMs);
    call.once('close', () => clearTimeout(timer));
    call.once('cancelled', () => clearTimeout(timer));
  }
}

/** What was written and has not left for the client yet. */
class Outbox {
  readonly #call: Call;
  readonly #limits: ControlLimits;
  readonly #encodePlan: (frame: CoordinatorFrame) => Uint8Array;
  #frames = 0;
  #bytes = 0;

  constructor(call: Call, limits: ControlLimits, encodePlan: (frame: CoordinatorFrame) => Uint8Array) {
    this.#call = call;
    this.#limits = limits;
    this.#encodePlan = encodePlan;
  }

  /** False: it is full, and the frame was not taken. @throws FlError for a frame that cannot be encoded */
  put(frame: CoordinatorFrame): boolean {
    const message = frame.kind === 'plan' ? this.#encodePlan(frame) : encodeCoordinatorFrame(frame);
    if (this.#frames + 1 > this.#limits.maxOutboxFrames) return false;
    if (this.#bytes + message.length > this.#limits.maxOutboxBytes) return false;
    this.#frames++;
    this.#bytes += message.length;
    this.#call.write(message, () => {
      this.#frames--;
      this.#bytes -= message.length;
    });
    return true;
  }
}

/** A whole cohort is sent one and the same plan, with the model in it: it is encoded once. */
function planEncoder(planned: (body: Uint8Array) => void): (frame: CoordinatorFrame) => Uint8Array {
  let last: { readonly frame: CoordinatorFrame; readonly message: Uint8Array } | undefined;
  return (frame) => {
    if (last?.frame !== frame) {
      last = { frame, message: encodeCoordinatorFrame(frame) };
      if (frame.kind === 'plan') planned(frame.body);
    }
    return last.message;
  };
}

function endStream(call: Call, reason: string): void {
  const trailers = new Metadata();
  trailers.set(REASON_KEY, encodeURIComponent(clipText(reason)));
  call.end(trailers);
}

/** Checked by the caller of serveGrpc, so that a limit of nothing is not a silent server. */
export function checkControlLimits(limits: ControlLimits): void {
  for (const [name, value] of Object.entries(limits)) {
    if (!(value > 0)) throw new FlError('invalid-argument', `${name}: expected more than 0, got ${value}`);
  }
}
