/**
 * Connections of whom nobody knows yet who is there. Whoever can reach the port can open them, so each has its time, each
 * call its bytes, and one address its share: whatever strangers do, what they make this process hold is bounded, and there
 * is room for those who show who they are.
 *
 * grpc-js has one limit for the messages of all calls (4 MiB) and counts when they are whole. Here bytes are counted as
 * they arrive, by a `push` of our own on the HTTP/2 stream, before anything keeps them.
 */
import { constants, type IncomingHttpHeaders, type ServerHttp2Stream } from 'node:http2';
import { MAX_MESSAGE_BYTES } from '../../shared/service.js';
import { CODE_KEY, statusOfCode } from '../../shared/wire/status.js';
import { addressOf, nameOf } from './address.js';
import type { GuestLimits } from './limits.js';

/** Calls that need nobody known, and stay small also of those who are. */
const ENROLMENT = '/starling.v1.EnrolmentService/';
/** How long a guest whose time is over may take to read why. */
const LAST_WORD_MS = 500;

interface Guest {
  readonly peer: string;
  readonly address: string;
  readonly calls: Set<ServerHttp2Stream>;
  readonly timer: NodeJS.Timeout;
  begun: number;
}

interface GuestDeps {
  readonly limits: GuestLimits & { readonly connectionsPerName: number };
  /** How many there may be in all, now. */
  maxGuests(): number;
  /** Destroys the connection of a peer. */
  cut(peer: string): void;
  onRefusal(peer: string, reason: string): void;
}

/** All of a server; `peer` is ADDRESS:PORT. */
export class Guests {
  readonly #deps: GuestDeps;
  /** In the order in which they came, as each set of an address. */
  readonly #guests = new Map<string, Guest>();
  readonly #ofAddress = new Map<string, Set<Guest>>();
  /** Connections of those who are known, by name, the oldest first; and the name of each. */
  readonly #ofName = new Map<string, Set<string>>();
  readonly #nameOf = new Map<string, string>();
  readonly #bytesOf = new Map<string, number>();
  #bytes = 0;

  constructor(deps: GuestDeps) {
    this.#deps = deps;
  }

  get count(): number {
    return this.#guests.size;
  }

  /** A connection was opened. Who came first goes first when there are too many: whoever means it is quick. */
  arrive(peer: string): void {
    const { limits, maxGuests } = this.#deps;
    const address = addressOf(peer);
    const neighbours = this.#ofAddress.get(address) ?? new Set();
    const [oldest] = neighbours;
    if (oldest !== undefined && neighbours.size >= limits.guestsPerAddress) {
      this.#turnOut(oldest, `more than ${limits.guestsPerAddress} connections of ${address} that nobody knows`);
    } else if (this.#guests.size >= maxGuests()) {
      this.#turnOut(this.#oldestOfMost(), `more than ${maxGuests()} connections that nobody knows`);
    }
    const timer = setTimeout(() => {
      const guest = this.#guests.get(peer);
      if (guest !== undefined) this.#turnOut(guest, `expected a login within ${limits.guestMs} ms, got none`);
    }, limits.guestMs);
    const guest: Guest = { peer, address, calls: new Set(), timer, begun: 0 };
    this.#guests.set(peer, guest);
    this.#ofAddress.set(address, neighbours.add(guest));
  }

  /** The other end has shown that it is `name`: it is a guest no more. */
  know(peer: string, name: string): void {
    if (!this.#guests.has(peer)) return;
    this.#forget(peer);
    const all = this.#ofName.get(name) ?? new Set();
    const [oldest] = all;
    if (oldest !== undefined && all.size >= this.#deps.limits.connectionsPerName) {
      this.#deps.onRefusal(oldest, `more than ${all.size} connections of ${name}: the oldest is cut`);
      this.gone(oldest);
      this.#deps.cut(oldest);
    }
    this.#ofName.set(name, all.add(peer));
    this.#nameOf.set(peer, name);
  }

  /** Its connection is closed. */
  gone(peer: string): void {
    this.#forget(peer);
    const name = this.#nameOf.get(peer);
    if (name === undefined) return;
    this.#nameOf.delete(peer);
    const all = this.#ofName.get(name);
    all?.delete(peer);
    if (all?.size === 0) this.#ofName.delete(name);
  }

  /** A call has begun; before gRPC hears of it. */
  readonly begin = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders): void => {
    const socket = stream.session?.socket;
    if (socket === undefined) return;
    const peer = nameOf(socket);
    this.#watch(stream, peer, String(headers[':path']).startsWith(ENROLMENT));
    const guest = this.#guests.get(peer);
    if (guest === undefined) return;
    guest.calls.add(stream);
    stream.once('close', () => guest.calls.delete(stream));
    if (++guest.begun > this.#deps.limits.guestCalls) {
      this.#turnOut(guest, `more than ${this.#deps.limits.guestCalls} calls before a login`);
    }
  };

  /** `isSmall`: a call that stays small also of those who are known. */
  #watch(stream: ServerHttp2Stream, peer: string, isSmall: boolean): void {
    const push = stream.push.bind(stream);
    const counter = this.#counter(addressOf(peer));
    const declared = declaredBytes();
    let isOver = false;
    const excess = (chunk: Uint8Array): string | undefined => {
      const isBound = isSmall || this.#guests.has(peer);
      const most = isBound ? this.#deps.limits.guestCallBytes : MAX_MESSAGE_BYTES + PREFIX_BYTES;
      const bytes = PREFIX_BYTES + (declared(chunk) ?? 0);
      if (bytes > most) return `expected a message of at most ${most} bytes, got one of ${bytes}`;
      return isBound ? counter.add(chunk.length) : undefined;
    };
    stream.push = (chunk: unknown, encoding?: BufferEncoding): boolean => {
      if (isOver && chunk !== null) return true; // nobody keeps it
      const reason = chunk instanceof Uint8Array && !isOver ? excess(chunk) : undefined;
      if (reason === undefined) return push(chunk, encoding);
      isOver = true;
      this.#deps.onRefusal(peer, reason);
      refuse(stream, reason);
      return true;
    };
    stream.once('close', () => counter.end());
  }

  /** Of one call: says why there may be no more. */
  #counter(address: string): { add(bytes: number): string | undefined; end(): void } {
    const { guestCallBytes, guestAddressBytes, guestBytes } = this.#deps.limits;
    let ofCall = 0;
    const add = (bytes: number): number => {
      ofCall += bytes;
      this.#bytes += bytes;
      const ofAddress = (this.#bytesOf.get(address) ?? 0) + bytes;
      if (ofAddress === 0) this.#bytesOf.delete(address);
      else this.#bytesOf.set(address, ofAddress);
      return ofAddress;
    };
    return {
      add: (bytes) => {
        const ofAddress = add(bytes);
        if (ofCall > guestCallBytes) {
          return `expected at most ${guestCallBytes} bytes of a call before a login, got more`;
        }
        if (ofAddress > guestAddressBytes) return `too many bytes of ${address} before a login`;
        return this.#bytes > guestBytes ? 'too many bytes of calls before a login' : undefined;
      },
      end: () => void add(-ofCall),
    };
  }

  #turnOut(guest: Guest, reason: string): void {
    const { peer, calls } = guest;
    this.#deps.onRefusal(peer, reason);
    this.#forget(peer);
    for (const call of calls) refuse(call, reason);
    if (calls.size === 0) this.#deps.cut(peer);
    else setTimeout(() => this.#deps.cut(peer), LAST_WORD_MS).unref();
  }

  #forget(peer: string): void {
    const guest = this.#guests.get(peer);
    if (guest === undefined) return;
    clearTimeout(guest.timer);
    this.#guests.delete(peer);
    const neighbours = this.#ofAddress.get(guest.address);
    neighbours?.delete(guest);
    if (neighbours?.size === 0) this.#ofAddress.delete(guest.address);
  }

  #oldestOfMost(): Guest {
    let most = new Set<Guest>();
    for (const neighbours of this.#ofAddress.values()) if (neighbours.size > most.size) most = neighbours;
    const [oldest] = most;
    return oldest;
  }
}

/** Before each message: whether it is compressed, and 32 bits of length (gRPC over HTTP/2, Length-Prefixed-Message). */
const PREFIX_BYTES = 5;

/** Takes what has come of a call; the length that its first message declares, as soon as it is there. */
function declaredBytes(): (chunk: Uint8Array) => number | undefined {
  let prefix = Buffer.alloc(0);
  return (chunk) => {
    if (prefix.length < PREFIX_BYTES) prefix = Buffer.concat([prefix, chunk.subarray(0, PREFIX_BYTES - prefix.length)]);
    return prefix.length < PREFIX_BYTES ? undefined : prefix.readUInt32BE(1);
  };
}

/** Ends a call as gRPC would, by a status without a message. */
function refuse(stream: ServerHttp2Stream, reason: string): void {
  if (stream.destroyed || stream.closed) return;
  const status = {
    'grpc-status': statusOfCode('resource-exhausted'),
    'grpc-message': encodeURI(reason),
    [CODE_KEY]: 'resource-exhausted',
  };
  if (!stream.headersSent) {
    stream.respond({ ':status': 200, 'content-type': 'application/grpc+proto', ...status }, { endStream: true });
  }
  stream.close(constants.NGHTTP2_NO_ERROR);
}
