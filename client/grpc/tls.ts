/**
 * How a client knows its coordinator, and shows itself, on a connection: TLS 1.3, the authorities that it was given when it
 * joined and no others, the name or address that it has dialled.
 */
import {
  type ConnectionOptions,
  checkServerIdentity,
  connect,
  createSecureContext,
  type PeerCertificate,
} from 'node:tls';
import { type ChannelCredentials, credentials } from '@grpc/grpc-js';
import { FlError } from '../../shared/errors.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { isIpAddress, parseAddress } from '../../shared/wire/address.js';
import { connectThrough, proxyFor } from './proxy.js';

/** Whom a connection trusts, and what it shows; PEM. */
export interface ClientTls {
  readonly authorities: readonly string[];
  /** With its chain, if there is one; absent while joining. */
  readonly certificate?: string;
  readonly key?: string;
  /** What the coordinator is told that is wanted of it (SNI), when that is not what was dialled. */
  readonly serverName?: string;
}

/** RFC 6066 allows no address as a server's name: then none that means anything is sent. */
const NAME_OF_ADDRESS = 'coordinator.starling.invalid';
/** For the one handshake by which a client that joins sees the authority. */
const PROBE_MS = 10_000;

/** For a channel to `host`, whose certificate must be for that name or address. */
export function secureCredentials(tls: ClientTls, host: string): ChannelCredentials {
  const { authorities, certificate, key, serverName } = tls;
  // Node adds a named context to the default one instead of replacing it, and of keys of two kinds OpenSSL likes P-256
  // best: who asks for the coordinator's own certificate by name says that it has to be Ed25519 as well
  const sigalgs = serverName === undefined ? undefined : 'ed25519';
  const context = createSecureContext({ ca: [...authorities], cert: certificate, key, sigalgs, minVersion: 'TLSv1.3' });
  // grpc-js gives what it has dialled, which is not what it has to be when that is an address
  const check = (_: string, peer: PeerCertificate) => checkServerIdentity(host, peer);
  return credentials.createFromSecureContext(context, { checkServerIdentity: check });
}

/** Options of a channel by {@link secureCredentials}. */
export function targetOptions(host: string, tls: ClientTls | undefined): Readonly<Record<string, string>> {
  const name = tls?.serverName ?? (isIpAddress(host) ? NAME_OF_ADDRESS : undefined);
  return name === undefined ? {} : { 'grpc.ssl_target_name_override': name };
}

/**
 * The certificate, PEM, of the authority of whoever is at an address, if that is the one that a join token pins. Nothing is
 * sent, and nothing is believed but the hash; the connection that counts is made after it.
 * @throws FlError permission-denied: another authority · unavailable: nobody, or nobody who speaks TLS 1.3
 */
export async function pinnedAuthority(address: string, fingerprint: string): Promise<string> {
  const { host, port } = parseAddress('address', address);
  const proxy = proxyFor(host);
  const through = proxy && { socket: await connectThrough(proxy, { host, port }, PROBE_MS) };
  const unchecked: ConnectionOptions = { rejectUnauthorized: false, minVersion: 'TLSv1.3', ALPNProtocols: ['h2'] };
  return new Promise((resolve, reject) => {
    const socket = connect(
      { host, port, ...through, ...(isIpAddress(host) ? {} : { servername: host }), ...unchecked },
      () => {
        const found = chainOf(socket.getPeerCertificate(true)).find((der) => sha256Hex(der) === fingerprint);
        if (found !== undefined) resolve(pemOf(found));
        else
          reject(new FlError('permission-denied', `the coordinator at ${address} is not the one that made this token`));
      },
    );
    // not before the coordinator has spoken: at its end, a handshake that is broken off looks like an attack
    socket.once('data', () => socket.end());
    const fail = (why: string) => {
      socket.destroy();
      reject(new FlError('unavailable', `the coordinator at ${address} cannot be reached by TLS 1.3: ${why}`));
    };
    socket.setTimeout(PROBE_MS, () => fail(`no answer within ${PROBE_MS / 1000} s`));
    socket.once('error', ({ message }) => fail(message.trim()));
    socket.once('close', () => fail('it was closed'));
  });
}

/** DER, from the peer's own on; the last one names itself as its issuer. */
function chainOf(peer: ReturnType<ReturnType<typeof connect>['getPeerCertificate']>): Uint8Array[] {
  const chain: Uint8Array[] = [];
  let one = peer as typeof peer & { readonly issuerCertificate?: typeof peer };
  while (one?.raw !== undefined && !chain.some((der) => Buffer.compare(der, one.raw) === 0)) {
    chain.push(one.raw);
    one = one.issuerCertificate as typeof one;
  }
  return chain;
}

function pemOf(der: Uint8Array): string {
  const lines =
    Buffer.from(der)
      .toString('base64')
      .match(/.{1,64}/g) ?? [];
  return `-----BEGIN CERTIFICATE-----\n${lines.join('\n')}\n-----END CERTIFICATE-----\n`;
}
