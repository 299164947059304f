/**
 * The TCP side of the server: we own the listener and its sockets, so that connections can be counted, limited and cut.
 */
import type { Server as NetServer, Socket } from 'node:net';
import type { Server } from '@grpc/grpc-js';
import { FlError } from '../../shared/errors.js';

/** Open sockets by peer, named as grpc-js names it. */
export class Connections {
  readonly #sockets = new Map<string, Socket>();

  add(socket: Socket): void {
    const peer = `${socket.remoteAddress}:${socket.remotePort}`;
    this.#sockets.set(peer, socket);
    socket.once('close', () => this.#sockets.delete(peer));
    // A peer that resets the connection is no fault of ours; the HTTP/2 session over the socket ends its calls.
    socket.on('error', () => {});
  }

  get count(): number {
    return this.#sockets.size;
  }

  cut(peer: string): void {
    this.#sockets.get(peer)?.destroy();
  }

  cutAll(): void {
    for (const socket of this.#sockets.values()) socket.destroy();
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
