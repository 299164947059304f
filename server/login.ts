/**
 * The handshake of a control stream: hello, challenge, proof, welcome. The challenge shows who this coordinator is, and is
 * given only to a client that has dialled one of its addresses; whoever has not proved in time to be an enrolled client,
 * or is here already, is sent away with a reason.
 */
import type { Clock } from '../shared/clock.js';
import { FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import type { Rng } from '../shared/rng.js';
import type { ClientFrame, ControlEnd, CoordinatorFrame, Peer, PendingUpdate } from '../shared/service.js';
import type { Identity } from '../shared/signing/identity.js';
import { isProof, type Login, signChallenge } from '../shared/signing/login.js';
import type { Shown } from '../shared/signing/shown.js';
import { MAX_PENDING_UPDATES, NONCE_BYTES } from '../shared/wire/limits.js';
import type { Registry } from './registry.js';

/** A peer that has not proved who it is by then is sent away. */
const HANDSHAKE_MS = 10_000;

type Hello = Extract<ClientFrame, { kind: 'hello' }>;
type Proof = Extract<ClientFrame, { kind: 'proof' }>;

/** A client that has proved who it is. */
export interface Connection {
  readonly client: string;
  /** 32 bytes; names the client in its calls. */
  readonly session: Uint8Array;
  /** Where frames to it go. */
  readonly end: ControlEnd<CoordinatorFrame>;
  /** Stands for what its site allows; a client that is older has none. */
  readonly policy?: string;
  /** Whom its certificate names; absent in plaintext. */
  readonly peer?: Peer;
}

/** What the handshake asks of the coordinator, and what it tells it, in this order: entered, received ..., left. */
interface LoginDeps {
  readonly clock: Clock;
  /** For nonces and sessions. */
  readonly rng: Rng;
  readonly identity: Identity;
  readonly registry: Pick<Registry, 'get' | 'refusalOf'>;
  /** Whom the certificate of this connection names; absent in plaintext. */
  readonly peer?: Peer;
  /** Where clients reach this coordinator; the first is what it tells them. */
  addresses(): readonly string[];
  isHere(client: string): boolean;
  /** `pending` are updates that the client keeps, `shown` is what it says that this coordinator has signed. */
  entered(connection: Connection, said: { readonly pending: readonly PendingUpdate[]; readonly shown?: Shown }): void;
  received(connection: Connection, frame: ClientFrame): void;
  left(connection: Connection): void;
}

/** Why a peer is not let in; `retry` false means that coming back is of no use. */
interface Refusal {
  readonly reason: string;
  readonly retry: boolean;
}

/** A stream that was opened; returns the end that its frames are to be put into. */
export function login(toClient: ControlEnd<CoordinatorFrame>, deps: LoginDeps): ControlEnd<ClientFrame> {
  const { clock, rng, identity, peer } = deps;
  let challenged: { readonly login: Login; readonly challenge: Uint8Array } | undefined;
  let connection: Connection | undefined;
  const turnAway = ({ reason, retry }: Refusal) => {
    toClient.send({ kind: 'goodbye', reason, retry });
    toClient.close(reason);
    end();
  };
  const late = { reason: 'no proof of identity in time', retry: true };
  const cancelHandshake = clock.after(HANDSHAKE_MS, () => turnAway(late));
  const end = () => {
    cancelHandshake();
    if (connection !== undefined) deps.left(connection);
    connection = undefined;
    challenged = undefined;
  };
  const greet = (hello: Hello) => {
    const refusal = addressRefusal(hello, deps.addresses()) ?? nameRefusal(hello, peer);
    if (refusal !== undefined) return turnAway(refusal);
    const { client, address, nonce: clientNonce } = hello;
    const nonce = rng.bytes(32);
    const channel = peer?.fingerprint;
    const about = { client, address, clientNonce, coordinatorKey: identity.publicKey, nonce, channel };
    challenged = { login: about, challenge: signChallenge(identity, about) };
    const { handOvers } = identity;
    toClient.send({ kind: 'challenge', nonce: about.nonce, signature: challenged.challenge, handOvers });
  };
  const receive = (frame: ClientFrame) => {
    if (connection !== undefined) return deps.received(connection, frame);
    if (challenged === undefined) {
      if (frame.kind === 'hello') return greet(frame);
      return turnAway({ reason: `expected hello, got ${frame.kind}`, retry: false });
    }
    if (frame.kind !== 'proof') return turnAway({ reason: `expected proof, got ${frame.kind}`, retry: false });
    cancelHandshake();
    const refusal = refusalOf(challenged, frame, deps);
    if (refusal !== undefined) return turnAway(refusal);
    connection = { client: challenged.login.client, session: rng.bytes(32), end: toClient, peer, policy: frame.policy };
    deps.entered(connection, frame); // a frame that cannot be sent there ends the stream at once
  };
  return { send: receive, close: end };
}

/**
 * A relay can only pass on what the client has signed or will check, and that names the address of the relay.
 * @param own where clients reach this coordinator
 */
function addressRefusal({ version, address, nonce }: Hello, own: readonly string[]): Refusal | undefined {
  if (nonce.length !== NONCE_BYTES || address === '') {
    const reason = `hello: expected the address that was dialled and a nonce, got neither (version "${version}"): update starling on the client's machine`;
    return { reason, retry: false };
  }
  const reason = wrongAddress(address, own);
  return reason === undefined ? undefined : { reason, retry: false };
}

/** A certificate is for one client, and no other logs in by it. */
function nameRefusal({ client }: Hello, peer: Peer | undefined): Refusal | undefined {
  if (peer === undefined || peer.name === client) return undefined;
  return { reason: `certificate: expected that of client "${client}", got that of "${peer.name}"`, retry: false };
}

/** Why a client that has dialled `address` is not answered; undefined: it is one of this coordinator's `own`. */
export function wrongAddress(address: string, own: readonly string[]): string | undefined {
  if (own.includes(address)) return undefined;
  const [first = 'no address'] = own;
  return `address: expected ${own.join(' or ')}, where this coordinator is, got ${address}: correct the address in the client's client.json to ${first}, or start the coordinator with --address ${address} if that leads here`;
}

function refusalOf(
  { login: about, challenge }: { readonly login: Login; readonly challenge: Uint8Array },
  { signature, pending }: Proof,
  { registry, isHere, peer }: LoginDeps,
): Refusal | undefined {
  const { client } = about;
  if (pending.length > MAX_PENDING_UPDATES) {
    return { reason: `pending: at most ${MAX_PENDING_UPDATES} updates`, retry: false };
  }
  try {
    const { publicKey } = registry.get(client);
    if (peer?.publicKey !== undefined && toHex(peer.publicKey) !== toHex(publicKey)) {
      const reason = `certificate: expected one for the key by which client "${client}" is enrolled, got one for another`;
      return { reason, retry: false };
    }
    if (!isProof(publicKey, about, { challenge, pending, signature })) {
      const over = peer === undefined ? '' : ', over the certificate of this connection';
      return { reason: `the proof is not by the key of client "${client}"${over}`, retry: false };
    }
    const refusal = registry.refusalOf(client); // told to nobody but the client itself
    if (refusal !== undefined) return refusal;
  } catch (error) {
    return { reason: FlError.from(error).message, retry: false };
  }
  if (!isHere(client)) return undefined;
  return { reason: `client "${client}" is connected already: two processes use one identity`, retry: true };
}
