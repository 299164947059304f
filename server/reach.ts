/**
 * Where a coordinator can be reached, from what its operator said: whether connections are by TLS, which names its
 * certificate is for, which addresses clients may have dialled. Plaintext is for loopback, and nothing else is possible.
 */
import { invalidArgument } from '../shared/errors.js';
import {
  formatAddress,
  isLoopback,
  localHostOf,
  parseAddress,
  parseHost,
  parseLoopback,
} from '../shared/wire/address.js';

/** Of a coordinator that starts. */
export interface Reach {
  readonly isSecure: boolean;
  /** Names and addresses for the certificate. */
  readonly hosts: readonly string[];
  /** HOST:PORT, once the port is known: the one for join tokens first. */
  addresses(bound: { readonly address: string; readonly port: number }): readonly string[];
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
    return { isSecure, hosts: [], addresses: ({ address }) => [address, ...alsoAt] };
  }
  const local = localHostOf(at.host);
  if (publicAddresses.length === 0 && local !== at.host) {
    throw invalidArgument('listen', `--public-address HOST beside ${at.host}, where clients reach it`, undefined);
  }
  const known = publicAddresses.map((text) => parseHost('public-address', text, 0));
  const alsoAt = addresses.map((address) => parseAddress('address', address));
  return {
    isSecure,
    hosts: [...new Set([...known, ...alsoAt].map(({ host }) => host).concat(local))],
    addresses({ address, port }) {
      const published = known.map(({ host, port: own }) => formatAddress({ host, port: own === 0 ? port : own }));
      return [...new Set([...published, address, ...alsoAt.map(formatAddress)])];
    },
  };
}
