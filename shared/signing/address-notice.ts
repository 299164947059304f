/**
 * Where a coordinator is, by its own word. Whoever passes a notice on cannot change it, and an older one is worth nothing
 * beside a newer one.
 */
import { type Identity, signedBytes, verifySignature } from './identity.js';

/** What it says. */
export interface AddressNotice {
  /** HOST:PORT, in the order in which they are tried. */
  readonly addresses: readonly string[];
  /** Milliseconds since 1970, when the coordinator began to be there: what was restored from a backup is above what it forgot. */
  readonly number: number;
}

/** Ed25519, over the notice. */
export interface SignedNotice extends AddressNotice {
  readonly signature: Uint8Array;
}

/** Addresses in one notice. */
export const MAX_NOTICE_ADDRESSES = 8;

/** Signs for the first {@link MAX_NOTICE_ADDRESSES} of the addresses. */
export function signNotice(coordinator: Identity, { addresses: all, number }: AddressNotice): SignedNotice {
  const notice = { addresses: all.slice(0, MAX_NOTICE_ADDRESSES), number };
  return { ...notice, signature: coordinator.sign(signedBytes('addresses', notice)) };
}

/** Whether the coordinator of that key (32 bytes) has signed exactly this. */
export function isNotice(coordinatorKey: Uint8Array, { addresses, number, signature }: SignedNotice): boolean {
  return verifySignature(coordinatorKey, signedBytes('addresses', { addresses, number }), signature);
}
