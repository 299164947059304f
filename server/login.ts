/**
 * The handshake of a control stream: hello, challenge, proof, welcome. Whoever has not proved in time to be an enrolled
 * client, or is here already, is sent away with a reason.
 */
import type { Clock } from '../shared/clock.js';
import { FlError } from '../shared/errors.js';
import type { Rng } from '../shared/rng.js';
import type { ClientFrame, ControlEnd, CoordinatorFrame, PendingUpdate } from '../shared/service.js';
import { signedBytes, verifySignature } from '../shared/signing/identity.js';
import { MAX_PENDING_UPDATES } from '../shared/wire/limits.js';
import type { Registry } from './registry.js';

/** A peer that has not proved who it is by then is sent away. */
const HANDSHAKE_MS = 10_000;

type Hello = Extract<ClientFrame, { kind: 'hello' }>;

/** A client that has proved who it is. */
export interface Connection {
  readonly client: string;
  /** 32 bytes; names the client in its calls. */
  readonly session: Uint8Array;
  /** Where frames to it go. */
  readonly end: ControlEnd<CoordinatorFrame>;
}

/** What the handshake asks of the coordinator, and what it tells it, in this order: entered, received ..., left. */
interface LoginDeps {
  readonly clock: Clock;
  /** For nonces and sessions. */
  readonly rng: Rng;
  readonly registry: Pick<Registry, 'get'>;
  isHere(client: string): boolean;
  /** `pending` are updates that the client keeps. */
  entered(connection: Connection, pending: readonly PendingUpdate[]): void;
  received(connection: Connection, frame: ClientFrame): void;
  left(connection: Connection): void;
}

/** A stream that was opened; returns the end that its frames are to be put into. */
export function login(toClient: ControlEnd<CoordinatorFrame>, deps: LoginDeps): ControlEnd<ClientFrame> {
  const { clock, rng } = deps;
  let challenged: { readonly hello: Hello; readonly nonce: Uint8Array } | undefined;
  let connection: Connection | undefined;
  const turnAway = (reason: string, retry: boolean) => {
    toClient.send({ kind: 'goodbye', reason, retry });
    toClient.close(reason);
    end();
  };
  const cancelHandshake = clock.after(HANDSHAKE_MS, () => turnAway('no proof of identity in time', true));
  const end = () => {
    cancelHandshake();
    if (connection !== undefined) deps.left(connection);
    connection = undefined;
    challenged = undefined;
  };
  const receive = (frame: ClientFrame) => {
    if (connection !== undefined) return deps.received(connection, frame);
    if (challenged === undefined) {
      if (frame.kind !== 'hello') return turnAway(`expected hello, got ${frame.kind}`, false);
      challenged = { hello: frame, nonce: rng.bytes(32) };
      return toClient.send({ kind: 'challenge', nonce: challenged.nonce });
    }
    if (frame.kind !== 'proof') return turnAway(`expected proof, got ${frame.kind}`, false);
    cancelHandshake();
    const { hello, nonce } = challenged;
    const refusal = refusalOf(hello, nonce, frame.signature, deps);
    if (refusal !== undefined) return turnAway(refusal.reason, refusal.retry);
    connection = { client: hello.client, session: rng.bytes(32), end: toClient };
    deps.entered(connection, hello.pending); // a frame that cannot be sent there ends the stream at once
  };
  return { send: receive, close: end };
}

function refusalOf(
  { client, pending }: Hello,
  nonce: Uint8Array,
  signature: Uint8Array,
  { registry, isHere }: LoginDeps,
): { reason: string; retry: boolean } | undefined {
  if (pending.length > MAX_PENDING_UPDATES) {
    return { reason: `pending: at most ${MAX_PENDING_UPDATES} updates`, retry: false };
  }
  try {
    const { publicKey } = registry.get(client);
    if (!verifySignature(publicKey, signedBytes('session', { client, nonce }), signature)) {
      return { reason: `the proof is not by the key of client "${client}"`, retry: false };
    }
  } catch (error) {
    return { reason: FlError.from(error).message, retry: false };
  }
  if (!isHere(client)) return undefined;
  return { reason: `client "${client}" is connected already: two processes use one identity`, retry: true };
}
