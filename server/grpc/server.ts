/**
 * The coordinator on the network: its two services carried by gRPC (proto/starling/v1), nothing decided here.
 *
 * TLS 1.3, or plaintext on loopback; see shared/wire/address.ts. What a client sends is taken from the stream only when the
 * coordinator asks for it, so that at most the HTTP/2 window of an upload (16 MiB) and 16 chunks wait in this process.
 */
import { Server } from '@grpc/grpc-js';
import type { AdminService, ParticipantService } from '../../shared/service.js';
import { formatAddress, localHostOf, parseAddress, parseLoopback } from '../../shared/wire/address.js';
import { AdminServiceService } from '../../shared/wire/gen/starling/v1/admin.js';
import { EnrolmentServiceService, ParticipantServiceService } from '../../shared/wire/gen/starling/v1/participant.js';
import { commonOptions, KEEPALIVE, type Keepalive, WINDOW_BYTES } from '../../shared/wire/tuning.js';
import { adminHandlers } from './admin.js';
import { adminCheck, type FaultListener, rawService } from './call.js';
import { type ControlLimits, ControlStreams, checkControlLimits } from './control.js';
import { Connections, listen, plainListener, shutDown, tlsListener } from './listener.js';
import { enrolmentHandlers, participantHandlers, type UploadLimits } from './participant.js';
import { type PeerAware, peersOf, type ServerTls } from './peers.js';
import { injectorWithWindows } from './windows.js';

/** What peers can make a server hold. */
export interface GrpcLimits extends ControlLimits, UploadLimits {
  readonly maxConnections: number;
  /** Calls that one connection may have open; with the window it bounds what a peer can make us hold. */
  readonly maxCallsPerConnection: number;
  readonly keepalive: Keepalive;
}

/** What a server is given if its caller says nothing. */
export const GRPC_LIMITS: GrpcLimits = {
  maxConnections: 16_384,
  maxCallsPerConnection: 16,
  maxOutboxFrames: 256,
  maxOutboxBytes: 8 * 1024 * 1024,
  closeGraceMs: 2_000,
  uploadIdleMs: 120_000,
  keepalive: KEEPALIVE,
};

/** What is served, where, and within which limits. */
export interface ServeOptions {
  /** Has to be aware of peers when there is TLS. */
  readonly participant: ParticipantService | PeerAware;
  readonly admin: AdminService;
  readonly adminToken: string;
  /** HOST:PORT; port 0 picks a free one. */
  readonly listen: string;
  /** Absent: plaintext, on loopback. */
  readonly tls?: ServerTls;
  readonly limits?: Partial<GrpcLimits>;
  /** Hears of thrown things that are not an FlError; the client is only told that there was a fault. */
  readonly onFault?: FaultListener;
  /** Hears of connections that were refused because `limit` were open. */
  readonly onRefused?: (limit: number) => void;
  /** Hears of peers (ADDRESS:PORT) whose certificate, or lack of TLS, was refused; each is told in its own words. */
  readonly onRefusal?: (peer: string, reason: string) => void;
}

/** A server that listens. */
export interface GrpcServer {
  /** HOST:PORT, as a client on this machine takes it. */
  readonly address: string;
  readonly port: number;
  /** From now on at most `count` connections are open; who comes when there are as many is refused. */
  limitConnections(count: number): void;
  readonly connections: number;
  /** The next connection will be refused. */
  readonly isFull: boolean;
  /** Takes no more calls, ends the control streams, gives transfers `closeGraceMs`, then cuts. Never rejects. */
  close(): Promise<void>;
}

/**
 * Listens and serves until closed.
 * @throws FlError failed-precondition: not a loopback address, and no TLS; unavailable: the port cannot be had
 */
export async function serveGrpc(options: ServeOptions): Promise<GrpcServer> {
  const { tls, participant, onRefusal = () => {} } = options;
  const { host, port } = (tls === undefined ? parseLoopback : parseAddress)('listen', options.listen);
  const limits = { ...GRPC_LIMITS, ...options.limits };
  const { maxOutboxFrames, maxOutboxBytes, closeGraceMs } = limits;
  checkControlLimits({ maxOutboxFrames, maxOutboxBytes, closeGraceMs });
  const onFault = options.onFault ?? (() => {});
  const connections = new Connections();
  const peers = peersOf(participant, tls, { connections, onRefusal });
  const control = new ControlStreams(peers, { limits, onFault, cut: (peer) => connections.cut(peer) });
  const server = new Server({
    ...commonOptions(limits.keepalive),
    'grpc.max_concurrent_streams': limits.maxCallsPerConnection,
  });
  server.addService(rawService(EnrolmentServiceService), enrolmentHandlers(participant, onFault));
  server.addService(rawService(ParticipantServiceService), participantHandlers(peers, { control, limits, onFault }));
  const check = adminCheck(options.adminToken, peers);
  server.addService(rawService(AdminServiceService), adminHandlers(options.admin, check, onFault));
  const injector = injectorWithWindows(server, WINDOW_BYTES);
  const wiring = { connections, onRefusal, accept: injector.injectConnection };
  const listener = tls === undefined ? plainListener(wiring) : tlsListener(tls, wiring);
  listener.maxConnections = limits.maxConnections;
  listener.on('drop', () => options.onRefused?.(listener.maxConnections));
  const bound = await listen(listener, host, port);
  return {
    address: formatAddress({ host: localHostOf(host), port: bound }),
    port: bound,
    limitConnections(count) {
      listener.maxConnections = Math.min(count, limits.maxConnections);
    },
    get connections() {
      return connections.count;
    },
    get isFull() {
      return connections.count >= listener.maxConnections;
    },
    close: () => {
      control.closeAll('the coordinator is shutting down');
      return shutDown({ server, listener, connections, graceMs: limits.closeGraceMs });
    },
  };
}
