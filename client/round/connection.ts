/**
 * The one control stream between a client and its coordinator: outbound, let in by a signature over the coordinator's
 * nonce, and opened again when it breaks, until the client or the coordinator ends it for good.
 */
import type { Clock } from '../../shared/clock.js';
import type { Rng } from '../../shared/rng.js';
import type {
  ClientFrame,
  ControlEnd,
  CoordinatorFrame,
  ParticipantService,
  PendingUpdate,
} from '../../shared/service.js';
import { type Identity, signedBytes } from '../../shared/signing/identity.js';

/** The first wait is 0.5 s, then twice as long each time up to 30 s. */
const FIRST_BACKOFF_MS = 500;
const LAST_BACKOFF_MS = 30_000;

/** How long to wait after `failures` failures before this one: drawn between half and the whole of the ceiling. */
export function backoffMs(failures: number, rng: Rng): number {
  const ceilingMs = Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures);
  return ceilingMs * (0.5 + 0.5 * rng.uniform());
}

/** What comes over a stream that is open; the frames that open and end it stay here. */
export type WorkFrame = Exclude<CoordinatorFrame, { kind: 'challenge' | 'welcome' | 'goodbye' }>;

interface ConnectionDeps {
  readonly service: ParticipantService;
  readonly client: string;
  readonly identity: Identity;
  readonly version: string;
  readonly clock: Clock;
  /** For the jitter of waits. */
  readonly rng: Rng;
  /** Updates that the coordinator has not confirmed: named in each hello. */
  pending(): readonly PendingUpdate[];
  /** The coordinator has let this client in. */
  connected(): void;
  disconnected(): void;
  receive(frame: WorkFrame): void;
  /** The coordinator does not want this client again. The connection is closed by then. */
  sentAway(reason: string): void;
  notice(message: string, fields: object): void;
}

/** Holds the stream. Nothing happens before `open`, and nothing after `close`. */
export class Connection {
  readonly #deps: ConnectionDeps;
  #stream: ControlEnd<ClientFrame> | undefined;
  #session: Uint8Array | undefined;
  #failures = 0;
  #closed = false;
  /** Each ends a wait, which would otherwise keep the process alive for up to half a minute after the end. */
  readonly #waits = new Set<() => void>();

  constructor(deps: ConnectionDeps) {
    this.#deps = deps;
  }

  /** What the coordinator knows this stream by in other calls; undefined while this client is not let in. */
  get session(): Uint8Array | undefined {
    return this.#session;
  }

  open(): void {
    if (this.#closed) return;
    const { service, client, version } = this.#deps;
    let ended = false;
    const end = (reason: string) => {
      if (ended) return;
      ended = true;
      this.#ended(reason);
    };
    const stream = service.connect({ send: (frame) => ended || this.#receive(frame), close: end });
    if (ended) return;
    this.#stream = stream;
    stream.send({ kind: 'hello', client, version, pending: this.#deps.pending() });
  }

  /** While there is no stream, the frame is lost: whoever needs an answer asks again when this client is back. */
  send(frame: ClientFrame): void {
    this.#stream?.send(frame);
  }

  /** Calls `fire` in a while; never, if the connection is closed before. */
  after(delayMs: number, fire: () => void): void {
    if (this.#closed) return;
    const cancel = this.#deps.clock.after(delayMs, () => {
      this.#waits.delete(cancel);
      fire();
    });
    this.#waits.add(cancel);
  }

  /** For good: nothing is sent, awaited or opened from now on. `reason` is for a person. */
  close(reason: string): void {
    this.#closed = true;
    for (const cancel of this.#waits) cancel();
    this.#waits.clear();
    const stream = this.#stream;
    this.#stream = undefined;
    this.#session = undefined;
    stream?.close(reason);
  }

  #receive(frame: CoordinatorFrame): void {
    if (this.#closed) return;
    const { client, identity, notice } = this.#deps;
    switch (frame.kind) {
      case 'challenge': {
        const signature = identity.sign(signedBytes('session', { client, nonce: frame.nonce }));
        return this.send({ kind: 'proof', signature });
      }
      case 'welcome':
        this.#session = frame.session;
        this.#failures = 0;
        notice('connected', {});
        return this.#deps.connected();
      case 'goodbye':
        notice('sent away', { reason: frame.reason });
        if (frame.retry) return; // the coordinator ends the stream, and this client comes back
        this.close('sent away');
        return this.#deps.sentAway(frame.reason);
      default:
        return this.#deps.receive(frame);
    }
  }

  #ended(reason: string): void {
    if (this.#closed) return;
    this.#stream = undefined;
    this.#session = undefined;
    this.#deps.disconnected();
    const delayMs = backoffMs(this.#failures, this.#deps.rng);
    this.#failures++;
    this.#deps.notice('disconnected', { reason, delayMs: Math.round(delayMs) });
    this.after(delayMs, () => this.open());
  }
}
