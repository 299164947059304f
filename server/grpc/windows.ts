/**
 * HTTP/2 windows of a grpc-js server.
 *
 * grpc-js (1.14.7) gives its server no option for them, so a server takes uploads at 64 KiB per round trip, 1 MB/s at
 * 50 ms. It makes its HTTP/2 server by the public `http2.createServer`, and `createConnectionInjector` does so before it
 * returns: the function is replaced for just that call, and no other user of http2 sees it.
 */
import http2 from 'node:http2';
import { type ConnectionInjector, type Server, ServerCredentials } from '@grpc/grpc-js';
import { FlError } from '../../shared/errors.js';
import { MAX_METADATA_BYTES } from '../../shared/wire/tuning.js';

type CallListener = (stream: http2.ServerHttp2Stream, headers: http2.IncomingHttpHeaders) => void;

/** Header fields of one request; gRPC itself sends about ten. */
const MAX_METADATA_FIELDS = 32;

/**
 * Connections that are handed to the injector are served by `server`, with windows of `windowBytes`.
 * @param onCall hears of each call before `server` does
 */
export function injectorWithWindows(server: Server, windowBytes: number, onCall: CallListener): ConnectionInjector {
  const mutable = http2 as { createServer: typeof http2.createServer };
  const original = mutable.createServer;
  let made = 0;
  const createServer = (options: http2.ServerOptions): http2.Http2Server => {
    made++;
    const settings = { ...options.settings, initialWindowSize: windowBytes, maxHeaderListSize: MAX_METADATA_BYTES };
    const http2Server = original({ ...options, settings, maxHeaderListPairs: MAX_METADATA_FIELDS });
    http2Server.on('stream', onCall);
    http2Server.on('session', (session) => session.setLocalWindowSize(windowBytes));
    return http2Server;
  };
  mutable.createServer = createServer as typeof http2.createServer;
  try {
    const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
    if (made !== 1) throw new FlError('internal', `grpc-js: expected one http2.createServer call, got ${made}`);
    return injector;
  } finally {
    mutable.createServer = original;
  }
}
