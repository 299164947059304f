/**
 * The TCP side of the server: we own the listener and its sockets, so that connections can be counted, limited and cut, and
 * so that TLS is ended here, where a certificate can be replaced while the server runs.
 */
import { constants } from 'node:crypto';
import { createServer, type Server as NetServer, type Socket } from 'node:net';
import { createServer as createTlsServer, TLSSocket } from 'node:tls';
import type { Server } from '@grpc/grpc-js';
import { FlError } from '../../shared/errors.js';
import type { Peer } from '../../shared/service.js';
import { OPERATOR_SERVER_NAME, peerOf } from '../../shared/tls/subject.js';
import { nameOf } from './address.js';
import type { ServerTls } from './peers.js';

/** Open sockets by peer, named as grpc-js names it. */
export class Connections {
  readonly #sockets = new Map<string, Socket>();
  /** Hear of each peer, once, when it comes and when it is gone. */
  readonly #watcher: { arrive(peer: string): void; gone(peer: string): void };

  constructor(watcher = { arrive: (_peer: string) => {}, gone: (_peer: string) => {} }) {
    this.#watcher = watcher;
  }

  /** A socket, or the one over it by TLS. */
  add(socket: Socket): void {
    const peer = nameOf(socket);
    const isNew = !this.#sockets.has(peer);
    this.#sockets.set(peer, socket);
    socket.once('close', () => {
      if (this.#sockets.get(peer) !== socket) return;
      this.#sockets.delete(peer);
      this.#watcher.gone(peer);
    });
    if (isNew) this.#watcher.arrive(peer);
    // A peer that resets the connection is no fault of ours; the HTTP/2 session over the socket ends its calls.
    socket.on('error', () => {});
  }

  get count(): number {
    return this.#sockets.size;
  }

  /** Why a peer counts as nobody: words for both ends. */
  whyUnknown(peer: string): string {
    const socket = this.#sockets.get(peer);
    if (!(socket instanceof TLSSocket) || socket.getPeerX509Certificate() === undefined) return 'none';
    const code = wordOf(socket.authorizationError);
    return WHY_UNTRUSTED[code] ?? `one that does not hold (${code})`;
  }

  cut(peer: string): void {
    this.#sockets.get(peer)?.destroy();
  }

  cutAll(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
  }
}

/** Why OpenSSL does not believe a certificate; https://docs.openssl.org/3.0/man1/openssl-verification-options/ */
const WHY_UNTRUSTED: Readonly<Record<string, string>> = {
  CERT_HAS_EXPIRED: 'one that has expired: renew it',
  CERT_NOT_YET_VALID: 'one that is not valid yet: are the clocks right?',
  INVALID_PURPOSE: 'one that is not for clients',
  DEPTH_ZERO_SELF_SIGNED_CERT: 'one that nobody vouches for',
  SELF_SIGNED_CERT_IN_CHAIN: 'one of an authority that is not trusted here',
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: 'one of an authority that is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: 'one of an authority that is not trusted here',
  UNABLE_TO_GET_ISSUER_CERT: 'one of an authority that is not trusted here',
};

interface ListenerOptions {
  readonly connections: Connections;
  /** Hears of connections that never became one, and why. */
  readonly onRefusal: (peer: string, reason: string) => void;
  readonly accept: (socket: Socket) => void;
  /** Hears whom a certificate that holds names. */
  readonly know: (peer: string, name: string) => void;
  /** A TLS handshake that takes longer is cut. */
  readonly handshakeMs: number;
}

/** In plaintext. */
export function plainListener({ connections, accept }: ListenerOptions): NetServer {
  return createServer({ noDelay: true }, (socket) => {
    connections.add(socket);
    accept(socket);
  });
}

/**
 * TLS 1.3 only. A certificate is asked for and not demanded, so that who joins gets in and everybody else is told in words
 * why not: `Peers` refuses each call. A session is never resumed: what was checked once would hold for ever.
 */
export function tlsListener(
  tls: ServerTls,
  { connections, accept, know, onRefusal, handshakeMs }: ListenerOptions,
): NetServer {
  const context = ({ certificate, key }: { certificate: string; key: string } = tls.current()) => {
    const { trusted } = tls.current();
    const secureOptions = constants.SSL_OP_NO_TICKET;
    return { cert: certificate, key, ca: [...trusted], minVersion: 'TLSv1.3' as const, secureOptions };
  };
  const asking = { requestCert: true, rejectUnauthorized: false, ALPNProtocols: ['h2'] };
  const options = { noDelay: true, handshakeTimeout: handshakeMs, ...asking, ...context() };
  const listener = createTlsServer(options, (socket) => {
    connections.add(socket);
    const name = nameOf(socket);
    const isForged = wordOf(socket.authorizationError) === 'CERT_SIGNATURE_FAILURE';
    if (socket.alpnProtocol === 'h2' && !isForged) {
      const peer = socket.authorized && whoIs(socket, tls.current().own);
      if (peer) know(name, `${peer.kind} ${peer.name}`);
      return accept(socket);
    }
    // OpenSSL itself ends a connection with a forged certificate, a moment later: no call would be told
    const got = isForged ? 'a certificate with a forged signature' : 'another protocol';
    onRefusal(name, `TLS: expected HTTP/2 and a certificate that holds, got ${got}`);
    socket.destroy();
  });
  listener.on('connection', (socket: Socket) => connections.add(socket));
  listener.on(
    'tlsClientError',
    (error: Error & { code?: string }, socket: TLSSocket & { readonly _parent?: Socket }) => {
      // the socket has forgotten its peer by now; the one below it, which Node has no public name for, has not
      onRefusal(nameOf(socket._parent ?? socket), whyNoTls(error));
      // of a handshake that takes too long Node says so and keeps the connection
      socket.destroy();
      socket._parent?.destroy();
    },
  );
  const showOperators = () => {
    const { operator } = tls.current();
    if (operator !== undefined) listener.addContext(OPERATOR_SERVER_NAME, context(operator));
  };
  showOperators();
  tls.onChange(() => {
    listener.setSecureContext(context());
    showOperators();
  });
  return listener;
}

/** Undefined: its certificate holds, and names nobody whom we know; `Peers` says so to each call. */
function whoIs(socket: TLSSocket, own: readonly string[]): Peer | undefined {
  try {
    return peerOf(socket.getPeerCertificate().raw, own);
  } catch {
    return undefined;
  }
}

/** Node says it by an error, or by its code alone. */
function wordOf(authorizationError: unknown): string {
  if (!(authorizationError instanceof Error)) return String(authorizationError);
  return (authorizationError as { code?: string }).code ?? authorizationError.message;
}

function whyNoTls({ code, message }: Error & { code?: string }): string {
  switch (code) {
    case 'ERR_SSL_UNSUPPORTED_PROTOCOL':
      return 'TLS: expected version 1.3, got an older one';
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_HTTP_REQUEST':
      return 'TLS: expected a handshake, got plaintext or something else';
    default:
      return `TLS: the handshake failed: ${code ?? message}`;
  }
}

/** Resolves to the port. @throws FlError unavailable */
export function listen(listener: NetServer, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    const refuse = (error: Error): void => {
      reject(new FlError('unavailable', `listen on ${host}:${port}: ${error.message}`, { cause: error }));
    };
    listener.once('error', refuse);
    listener.listen({ host, port }, () => {
      listener.off('error', refuse);
      const address = listener.address();
      if (address === null || typeof address === 'string') throw new FlError('internal', 'no port was bound');
      resolve(address.port);
    });
  });
}

/** Stops listening, lets open calls end for `graceMs`, then cuts what is left. */
export async function shutDown(parts: {
  server: Server;
  listener: NetServer;
  connections: Connections;
  graceMs: number;
}): Promise<void> {
  const { server, listener, connections, graceMs } = parts;
  const closed = new Promise<void>((resolve) => listener.close(() => resolve()));
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
  connections.cutAll();
  await closed;
}
