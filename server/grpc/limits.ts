/**
 * What a peer can make a coordinator hold, before and after anybody knows who it is; every one has a test at and past it
 * (test/transport/guests.spec.ts, test/secure/door-attacks.spec.ts). A *guest* is a connection whose other end has neither
 * shown a certificate that holds, nor logged in, nor shown the operator's token.
 */
import { KEEPALIVE, type Keepalive } from '../../shared/wire/tuning.js';
import type { ControlLimits } from './control.js';
import type { UploadLimits } from './participant.js';

/** What guests may take. */
export interface GuestLimits {
  /** How long a connection may stay one. A join takes two calls, a login three messages. */
  readonly guestMs: number;
  /** Bytes of one call. A proof with all that it may show has 60 KiB. */
  readonly guestCallBytes: number;
  /** Bytes of all calls of all guests of one address, and of all addresses together. */
  readonly guestAddressBytes: number;
  readonly guestBytes: number;
  /** Calls that one guest may begin, whatever becomes of them. */
  readonly guestCalls: number;
  /** Guests of one address: the next is let in and the oldest is cut, so that whoever is quick gets in. */
  readonly guestsPerAddress: number;
  /** TLS handshakes that take longer are cut. */
  readonly tlsHandshakeMs: number;
}

/** What peers can make a server hold. */
export interface GrpcLimits extends ControlLimits, UploadLimits, GuestLimits {
  readonly maxConnections: number;
  /** Connections of one client, or one account: one more is let in and the oldest is cut. */
  readonly connectionsPerName: number;
  /** Calls that one connection may have open; with the window it bounds what a peer can make us hold. */
  readonly maxCallsPerConnection: number;
  readonly keepalive: Keepalive;
}

/** What a server is given if its caller says nothing. */
export const GRPC_LIMITS: GrpcLimits = {
  maxConnections: 16_384,
  connectionsPerName: 16,
  maxCallsPerConnection: 16,
  maxOutboxFrames: 256,
  maxOutboxBytes: 8 * 1024 * 1024,
  closeGraceMs: 2_000,
  uploadIdleMs: 120_000,
  keepalive: KEEPALIVE,
  guestMs: 20_000,
  guestCallBytes: 256 * 1024,
  guestAddressBytes: 16 * 1024 * 1024,
  guestBytes: 64 * 1024 * 1024,
  guestCalls: 64,
  guestsPerAddress: 2_048,
  tlsHandshakeMs: 10_000,
};

/** Of `maxConnections`, what guests may have; the rest is for those who have shown who they are. */
export function maxGuests(maxConnections: number): number {
  return Math.max(1, Math.floor(maxConnections / 2));
}

/** Refused attempts to join from one address: after `free` of them each costs a wait, twice the one before. */
export const JOIN_BACKOFF = { free: 5, firstMs: 1_000, longestMs: 60_000, maxAddresses: 10_000 };
