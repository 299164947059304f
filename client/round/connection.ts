/**
 * The one control stream between a client and its coordinator: outbound, and opened again when it breaks, until the client
 * or the coordinator ends it for good. The coordinator shows who it is before the client does; whoever has not shown that
 * is told nothing but a name, and nothing that it says counts.
 */
import type { Clock } from '../../shared/clock.js';
import { fromHex, toHex } from '../../shared/hex.js';
import type { Rng } from '../../shared/rng.js';
import type {
  ClientFrame,
  ControlEnd,
  CoordinatorFrame,
  ParticipantService,
  PendingUpdate,
} from '../../shared/service.js';
import { keysFrom } from '../../shared/signing/hand-over.js';
import type { Identity } from '../../shared/signing/identity.js';
import { IN_PROCESS, isChallenge, signProof } from '../../shared/signing/login.js';
import type { Shown } from '../../shared/signing/shown.js';

/** The first wait is 0.5 s, then twice as long each time up to 30 s. */
const FIRST_BACKOFF_MS = 500;
const LAST_BACKOFF_MS = 30_000;

/** How long to wait after `failures` failures before this one: drawn between half and the whole of the ceiling. */
export function backoffMs(failures: number, rng: Rng): number {
  const ceilingMs = Math.min(LAST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** failures);
  return ceilingMs * (0.5 + 0.5 * rng.uniform());
}

type Challenge = Extract<CoordinatorFrame, { kind: 'challenge' }>;

/** What comes over a stream that is open; the frames that open and end it stay here. */
export type WorkFrame = Exclude<CoordinatorFrame, { kind: 'challenge' | 'welcome' | 'goodbye' }>;

interface ConnectionDeps {
  readonly service: ParticipantService;
  readonly client: string;
  readonly identity: Identity;
  /** Ed25519, 32 bytes: whoever has another is not the coordinator. */
  readonly coordinatorKey: Uint8Array;
  /** The coordinator has another key, to which its own word leads. The connection is closed for good by then; absent: nobody follows. */
  handedOver?(coordinatorKey: Uint8Array): void;
  readonly version: string;
  /** Stands for what this site allows (client/policy/digest.ts); absent: the coordinator is not told. */
  readonly policy?: string;
  readonly clock: Clock;
  /** For nonces, and the jitter of waits. */
  readonly rng: Rng;
  /** Updates that the coordinator has not confirmed: named when this client proves who it is. */
  pending(): readonly PendingUpdate[];
  /** What this coordinator has signed, and may have forgotten. */
  shown(): Shown;
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
  /** Of the stream: what the client has drawn for it, and whether the coordinator has signed it. */
  #greeting: { readonly nonce: Uint8Array; readonly isAnswered: boolean; readonly channel?: string } | undefined;
  #opened = 0;
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
    const { service, client, version, rng } = this.#deps;
    const nonce = rng.split(`hello/${this.#opened++}`).bytes(32);
    this.#greeting = undefined;
    let ended = false;
    const end = (reason: string) => {
      if (ended) return;
      ended = true;
      this.#ended(reason);
    };
    let stream: ControlEnd<ClientFrame> | undefined;
    const breakOff = (reason: string) => {
      stream?.close(reason);
      end(reason);
    };
    stream = service.connect({ send: (frame) => ended || this.#receive(frame, breakOff), close: end });
    if (ended) return;
    this.#stream = stream;
    this.#greeting = { nonce, isAnswered: false, channel: service.channel };
    stream.send({ kind: 'hello', client, version, address: addressOf(service), nonce });
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

  #receive(frame: CoordinatorFrame, breakOff: (reason: string) => void): void {
    if (this.#closed) return;
    const { notice } = this.#deps;
    const isCoordinator = this.#greeting?.isAnswered === true;
    switch (frame.kind) {
      case 'challenge':
        return this.#prove(frame, breakOff);
      case 'welcome':
        if (!isCoordinator) return breakOff('welcome: expected a challenge first');
        this.#session = frame.session;
        this.#failures = 0;
        notice('connected', {});
        return this.#deps.connected();
      case 'goodbye':
        notice('sent away', { reason: frame.reason });
        if (frame.retry || !isCoordinator) return; // the stream is ended there, and this client comes back
        this.close('sent away');
        return this.#deps.sentAway(frame.reason);
      default:
        if (this.#session === undefined) return breakOff(`${frame.kind}: expected a welcome first`);
        return this.#deps.receive(frame);
    }
  }

  /** Answers a challenge by the coordinator's key over what this client has dialled and drawn, and no other. */
  #prove({ nonce, signature, handOvers = [] }: Challenge, breakOff: (reason: string) => void): void {
    const { service, client, identity, coordinatorKey, pending, policy, shown } = this.#deps;
    const { nonce: clientNonce = new Uint8Array(0), isAnswered = true, channel } = this.#greeting ?? {};
    if (isAnswered) return breakOff('challenge: expected one for each stream');
    const address = addressOf(service);
    const login = { client, address, coordinatorKey, clientNonce, nonce, channel };
    if (!isChallenge(login, signature)) {
      const keys = keysFrom('coordinator', toHex(coordinatorKey), handOvers).map(fromHex);
      const next = keys.slice(1).at(-1);
      if (next !== undefined && this.#deps.handedOver && isChallenge({ ...login, coordinatorKey: next }, signature)) {
        this.close('the coordinator has another key');
        return this.#deps.handedOver(next);
      }
      const got = signature.length === 0 ? 'none, as of a coordinator that is older than this client' : 'another';
      const by = channel === undefined ? '' : ' and the certificate that it has shown';
      const who = `the key that this client has joined, over the address ${address} that it has dialled${by}`;
      return breakOff(`challenge: expected a signature by ${who}, got ${got}: who is there is not believed`);
    }
    this.#greeting = { nonce: clientNonce, isAnswered: true, channel };
    const said = { challenge: signature, pending: pending() };
    const proof = signProof(identity, login, said);
    this.send({ kind: 'proof', signature: proof, pending: said.pending, policy, shown: shown() });
  }

  #ended(reason: string): void {
    if (this.#closed) return;
    this.#stream = undefined;
    this.#greeting = undefined;
    this.#session = undefined;
    this.#deps.disconnected();
    const delayMs = backoffMs(this.#failures, this.#deps.rng);
    this.#failures++;
    this.#deps.notice('disconnected', { reason, delayMs: Math.round(delayMs) });
    this.after(delayMs, () => this.open());
  }
}

function addressOf({ dialled = IN_PROCESS }: ParticipantService): string {
  return dialled;
}
