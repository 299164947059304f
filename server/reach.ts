/**
 * Where a coordinator can be reached, from what its operator said: whether connections are by TLS, which names its
 * certificate is for, which addresses clients may have dialled. Plaintext is for loopback, and nothing else is possible.
 */
import { invalidArgument } from '../shared/errors.js';
import { type SignedNotice, signNotice } from '../shared/signing/address-notice.js';
import type { Identity } from '../shared/signing/identity.js';
import {
  formatAddress,
  isLoopback,
  localHostOf,
  parseAddress,
  parseHost,
  parseLoopback,
} from '../shared/wire/address.js';

/** Where a server listens. */
interface Bound {
  readonly address: string;
  readonly port: number;
}

/** Of a coordinator that starts. */
export interface Reach {
  readonly isSecure: boolean;
  /** Names and addresses for the certificate. */
  readonly hosts: readonly string[];
  /** HOST:PORT, once the port is known: the one for join tokens first. */
  addresses(bound: Bound): readonly string[];
  /** What clients are told of that, signed; undefined where connections are in plaintext. */
  notice(bound: Bound, coordinator: Identity, sinceMs: number): SignedNotice | undefined;
}

/** What the command line says of it. */
export interface ReachOptions {
  readonly listen: string;
  readonly publicAddresses?: readonly string[];
  readonly addresses?: readonly string[];
  /** A site's own certificates, which are for TLS wherever it listens. */
  readonly siteFiles?: object;
}

/** TLS begins with the first public address, or with an address to listen on that is not this machine's own. */
export function reachOf({ listen, publicAddresses = [], addresses = [], siteFiles }: ReachOptions): Reach {
  const at = parseAddress('listen', listen);
  const isSecure = siteFiles !== undefined || publicAddresses.length > 0 || !isLoopback(at.host);
  if (!isSecure) {
    const alsoAt = addresses.map((address) => formatAddress(parseLoopback('address', address)));
    return { isSecure, hosts: [], addresses: ({ address }) => [address, ...alsoAt], notice: () => undefined };
  }
  const local = localHostOf(at.host);
  if (publicAddresses.length === 0 && local !== at.host) {
    throw invalidArgument('listen', `--public-address HOST beside ${at.host}, where clients reach it`, undefined);
  }
  const known = publicAddresses.map((text) => parseHost('public-address', text, 0));
  const alsoAt = addresses.map((address) => parseAddress('address', address));
  const addressesOf = ({ address, port }: Bound) => {
    const published = known.map(({ host, port: own }) => formatAddress({ host, port: own === 0 ? port : own }));
    return [...new Set([...published, address, ...alsoAt.map(formatAddress)])];
  };
  return {
    isSecure,
    hosts: [...new Set([...known, ...alsoAt].map(({ host }) => host).concat(local))],
    addresses: addressesOf,
    notice: (bound, coordinator, sinceMs) =>
      signNotice(coordinator, { addresses: elsewhere(addressesOf(bound)), number: sinceMs }),
  };
}

/** Of a coordinator's addresses, the first, and those that mean something on other machines. */
export function elsewhere([first, ...others]: readonly string[]): readonly string[] {
  return [first, ...others.filter((address) => !isLoopback(parseAddress('address', address).host))];
}
