/** Calls as no client of ours makes them: HTTP/2 by hand, so that a test can send half a message, or lie about its length. */
import { once } from 'node:events';
import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  type IncomingHttpHeaders,
  type SecureClientSessionOptions,
} from 'node:http2';

export const IDENTIFY = '/starling.v1.EnrolmentService/Identify';
export const ENROL = '/starling.v1.EnrolmentService/Enrol';
export const CONTROL = '/starling.v1.ParticipantService/Control';

/** A connection whose settings have come; by TLS when options are given. */
export async function dialRaw(address: string, tls?: SecureClientSessionOptions): Promise<ClientHttp2Session> {
  const maxSessionMemory = 1_000; // MB: so that what it has not sent yet is no reason to end calls itself
  const session = connect(`${tls === undefined ? 'http' : 'https'}://${address}`, { ...tls, maxSessionMemory });
  session.on('error', () => {});
  await once(session, 'remoteSettings');
  return session;
}

/** A call of which nothing but the header is sent. */
export function begin(session: ClientHttp2Session, path: string, headers: IncomingHttpHeaders = {}): ClientHttp2Stream {
  const all = { ':method': 'POST', ':path': path, 'content-type': 'application/grpc', te: 'trailers', ...headers };
  const stream = session.request(all);
  stream.on('error', () => {});
  return stream;
}

/** What precedes a message on the wire: no compression, and how many bytes follow. */
export function prefix(sizeBytes: number): Buffer {
  const out = Buffer.alloc(5);
  out.writeUInt32BE(sizeBytes, 1);
  return out;
}

/** How a call ends: gRPC's status and words, or `cut` when there are none. */
export function endOf(stream: ClientHttp2Stream): Promise<string> {
  return new Promise((resolve) => {
    let end = 'cut';
    const read = (headers: IncomingHttpHeaders) => {
      const status = headers['grpc-status'];
      if (status !== undefined) end = `${status}: ${decodeURIComponent(String(headers['grpc-message'] ?? ''))}`;
    };
    stream.on('response', read).on('trailers', read).resume();
    stream.once('close', () => resolve(end));
  });
}

export async function closed(session: ClientHttp2Session): Promise<void> {
  if (!session.destroyed) await once(session, 'close');
}
