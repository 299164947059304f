/**
 * What a client and its coordinator sign when a stream begins, so that each knows the other before it says anything. Both
 * sign over the address that the client dialled and over both nonces: a relay at an address that is not the coordinator's
 * has nothing to show that the client takes, and nothing that was said to another or before is worth anything.
 */
import type { PendingUpdate } from '../service.js';
import { type Identity, signedBytes, verifySignature } from './identity.js';

/** One attempt to log in, as both sides see it. */
export interface Login {
  readonly client: string;
  /** What the client dialled: HOST:PORT, or {@link IN_PROCESS}. */
  readonly address: string;
  /** Ed25519, 32 bytes. */
  readonly coordinatorKey: Uint8Array;
  /** 32 random bytes of the client's. */
  readonly clientNonce: Uint8Array;
  /** 32 random bytes of the coordinator's. */
  readonly nonce: Uint8Array;
  /** SHA-256 of the client's certificate on this connection, hex: to pass it on, a relay needs the key. Absent: plaintext. */
  readonly channel?: string;
}

/** What a coordinator shows whoever is about to join it: it has the key, and means this address. */
export type Identification = Pick<Login, 'address' | 'coordinatorKey' | 'clientNonce'>;

/** The address of a coordinator that is called without a network. */
export const IN_PROCESS = 'in-process';

/** The coordinator's signature over a login: the challenge. */
export function signChallenge(coordinator: Identity, about: Login): Uint8Array {
  return coordinator.sign(signedBytes('challenge', about));
}

/** Whether the coordinator of `about` has signed exactly this login. */
export function isChallenge(about: Login, signature: Uint8Array): boolean {
  return verifySignature(about.coordinatorKey, signedBytes('challenge', about), signature);
}

/** The client's answer to a challenge, and the updates that it keeps. */
export function signProof(
  client: Identity,
  about: Login,
  said: { readonly challenge: Uint8Array; readonly pending: readonly PendingUpdate[] },
): Uint8Array {
  return client.sign(signedBytes('session', { ...about, ...said }));
}

/** Whether `clientKey` has answered this login's challenge. */
export function isProof(
  clientKey: Uint8Array,
  about: Login,
  said: { readonly challenge: Uint8Array; readonly pending: readonly PendingUpdate[]; readonly signature: Uint8Array },
): boolean {
  const { signature, ...rest } = said;
  return verifySignature(clientKey, signedBytes('session', { ...about, ...rest }), signature);
}

/** The coordinator's signature that answers `identify`. */
export function signIdentification(coordinator: Identity, about: Identification): Uint8Array {
  return coordinator.sign(signedBytes('identification', about));
}

/** Whether the key of `about` was there, was asked now, and at this address. */
export function isIdentification(about: Identification, signature: Uint8Array): boolean {
  return verifySignature(about.coordinatorKey, signedBytes('identification', about), signature);
}

/** Asks for another certificate for the client's key. */
export function signRenewal(client: Identity, about: Pick<Login, 'client' | 'coordinatorKey'>): Uint8Array {
  return client.sign(signedBytes('renewal', about));
}

/** Whether `clientKey` has asked this coordinator for it. */
export function isRenewal(
  clientKey: Uint8Array,
  about: Pick<Login, 'client' | 'coordinatorKey'>,
  signature: Uint8Array,
): boolean {
  return verifySignature(clientKey, signedBytes('renewal', about), signature);
}
