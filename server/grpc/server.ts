/**
 * The coordinator on the network: its two services carried by gRPC (proto/starling/v1), nothing decided here.
 *
 * TLS 1.3, or plaintext on loopback; see shared/wire/address.ts. What a client sends is taken from the stream only when the
 * coordinator asks for it, so that at most the HTTP/2 window of an upload (16 MiB) and 16 chunks wait in this process.
 */
import { Server } from '@grpc/grpc-js';
import { toHex } from '../../shared/hex.js';
import type { AdminService, ParticipantService } from '../../shared/service.js';
import { formatAddress, localHostOf, parseAddress, parseLoopback } from '../../shared/wire/address.js';
import { AdminServiceService } from '../../shared/wire/gen/starling/v1/admin.js';
import { EnrolmentServiceService, ParticipantServiceService } from '../../shared/wire/gen/starling/v1/participant.js';
import { commonOptions, WINDOW_BYTES } from '../../shared/wire/tuning.js';
import { Accounts } from '../accounts.js';
import { adminHandlers } from './admin.js';
import { type FaultListener, rawService } from './call.js';
import { ControlStreams, checkControlLimits } from './control.js';
import { Guests } from './guests.js';
import { GRPC_LIMITS, type GrpcLimits, maxGuests } from './limits.js';
import { Connections, listen, plainListener, shutDown, tlsListener } from './listener.js';
import { type AccountBook, guardOf } from './operators.js';
import { enrolmentHandlers, participantHandlers } from './participant.js';
import { type PeerAware, peersOf, type ServerTls } from './peers.js';
import { injectorWithWindows } from './windows.js';
import { plansSeen, unwitnessed, type Witness, witnessing } from './witness.js';

/** What is served, where, and within which limits. */
export interface ServeOptions {
  /** Has to be aware of peers when there is TLS. */
  readonly participant: ParticipantService | PeerAware;
  readonly admin: AdminService;
  /** The token of the account `admin`, where there are no others. */
  readonly adminToken: string;
  /** Absent: `admin` alone. */
  readonly accounts?: AccountBook;
  /** HOST:PORT; port 0 picks a free one. */
  readonly listen: string;
  /** Absent: plaintext, on loopback. */
  readonly tls?: ServerTls;
  readonly limits?: Partial<GrpcLimits>;
  /** Whether a client could join by this token now: whoever has one waits for nobody. */
  readonly isTokenGood?: (token: string) => boolean;
  /** Hears of thrown things that are not an FlError; the client is only told that there was a fault. */
  readonly onFault?: FaultListener;
  /** Hears of connections that were refused because `limit` were open. */
  readonly onRefused?: (limit: number) => void;
  /** Hears of peers (ADDRESS:PORT) that were turned away: their connection, join, login or call. */
  readonly onRefusal?: (peer: string, reason: string) => void;
  /** Hears of what else belongs into a security log. */
  readonly witness?: Witness;
}

/** Of accounts that nobody adds to. */
const nowhere = { append: async () => undefined };

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
  const { tls, participant, onRefusal = () => {}, witness = unwitnessed } = options;
  const { host, port } = (tls === undefined ? parseLoopback : parseAddress)('listen', options.listen);
  const limits = { ...GRPC_LIMITS, ...options.limits };
  const { maxOutboxFrames, maxOutboxBytes, closeGraceMs } = limits;
  checkControlLimits({ maxOutboxFrames, maxOutboxBytes, closeGraceMs });
  const onFault = options.onFault ?? (() => {});
  const guests = new Guests({
    limits,
    maxGuests: () => maxGuests(listener.maxConnections),
    cut: (peer) => connections.cut(peer),
    onRefusal,
  });
  const connections = new Connections(guests);
  const peers = peersOf(participant, tls, connections);
  const control = new ControlStreams(peers, {
    limits,
    onFault,
    cut: (peer) => connections.cut(peer),
    welcomed: (peer, session) => guests.know(peer, `session ${toHex(session)}`),
    refused: onRefusal,
    planned: plansSeen(witness.planned),
  });
  const accounts = options.accounts ?? new Accounts(nowhere, [], { token: options.adminToken, keep: nowhere.append });
  const server = new Server({
    ...commonOptions(limits.keepalive),
    'grpc.max_concurrent_streams': limits.maxCallsPerConnection,
    interceptors: [witnessing(witness, { onRefusal, accounts })],
  });
  server.addService(
    rawService(EnrolmentServiceService),
    enrolmentHandlers(participant, { onFault, isTokenGood: options.isTokenGood }),
  );
  server.addService(rawService(ParticipantServiceService), participantHandlers(peers, { control, limits, onFault }));
  const guard = guardOf(accounts, peers, (peer) => guests.know(peer, 'operator'));
  server.addService(rawService(AdminServiceService), adminHandlers(options.admin, guard, onFault));
  const injector = injectorWithWindows(server, WINDOW_BYTES, guests.begin);
  const know = (peer: string, name: string) => guests.know(peer, name);
  const wiring = {
    connections,
    onRefusal,
    know,
    handshakeMs: limits.tlsHandshakeMs,
    accept: injector.injectConnection,
  };
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
