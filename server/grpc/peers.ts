/**
 * Who is at the other end of a call. Over TLS every call but those of joining needs a certificate by an authority that is
 * trusted, and the rest of the coordinator is shown whom it names; in plaintext, which stays on this machine, nobody is
 * named and sessions alone count.
 */
import type { ServerUnaryCall } from '@grpc/grpc-js';
import { FlError } from '../../shared/errors.js';
import type { ParticipantService, Peer } from '../../shared/service.js';
import { peerOf } from '../../shared/tls/subject.js';
import type { Connections } from './listener.js';

/** What the server shows and trusts now, PEM; server/tls/certificates.ts has one. */
export interface ServerTls {
  current(): {
    readonly certificate: string;
    readonly key: string;
    readonly trusted: readonly string[];
    readonly own: readonly string[];
    readonly operator?: { readonly certificate: string; readonly key: string };
  };
  onChange(listener: () => void): void;
}

/** A coordinator that knows whom its calls come from. */
export interface PeerAware extends ParticipantService {
  /** The same service, for one peer: it logs in as nobody else, and its sessions are good on its own connections only. */
  forPeer(peer: Peer): ParticipantService;
}

/** Any call of the server. */
export type AnyCall = Pick<ServerUnaryCall<unknown, unknown>, 'getPeer' | 'getAuthContext'>;

/** Checks each call; throws FlError permission-denied. */
export interface Peers {
  participantOf(call: AnyCall): ParticipantService;
  /** An operator's certificate; in plaintext there is none to check. */
  checkOperator(call: AnyCall): void;
}

/** @throws TypeError: TLS without a service that is aware of peers */
export function peersOf(
  participant: ParticipantService | PeerAware,
  tls: ServerTls | undefined,
  connections: Connections,
): Peers {
  if (tls === undefined) return { participantOf: () => participant, checkOperator: () => {} };
  if (!('forPeer' in participant)) throw new TypeError('participant: expected one that is aware of peers');
  const check = (call: AnyCall, kind: Peer['kind']): Peer => {
    const certificate = call.getAuthContext().sslPeerCertificate;
    if (certificate === undefined) throw refused(kind, connections.whyUnknown(call.getPeer()));
    const peer = peerOf(certificate.raw, tls.current().own);
    if (peer.kind !== kind) throw refused(kind, `one of the ${peer.kind} "${peer.name}"`);
    return peer;
  };
  return {
    participantOf: (call) => participant.forPeer(check(call, 'client')),
    checkOperator: (call) => void check(call, 'operator'),
  };
}

function refused(kind: Peer['kind'], got: string): FlError {
  return new FlError('permission-denied', `certificate: expected a valid one of ${article(kind)}, got ${got}`);
}

function article(kind: Peer['kind']): string {
  return kind === 'operator' ? 'an operator' : 'a client';
}
