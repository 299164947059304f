/**
 * Addresses. Until connections carry mutual TLS, tokens, sessions and models cross them in plaintext: both sides refuse
 * any address that leaves the machine.
 */
import { FlError, invalidArgument } from '../errors.js';

/** Where a coordinator listens. */
export interface Address {
  /** A literal IP address. */
  readonly host: string;
  readonly port: number;
}

const HOST_PORT = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;
const LOOPBACK = /^(127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}|::1)$/;

/**
 * @param field names the setting in the error message
 * @throws FlError invalid-argument for anything but HOST:PORT, failed-precondition for a host that is not this machine
 */
export function parseLoopback(field: string, address: string): Address {
  const match = HOST_PORT.exec(address);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) throw invalidArgument(field, 'HOST:PORT', address);
  const name = match[1] ?? match[2];
  const host = name === 'localhost' ? '127.0.0.1' : name;
  if (!LOOPBACK.test(host)) {
    const why = 'until mutual TLS is built, connections are in plaintext and must not leave the machine';
    throw new FlError(
      'failed-precondition',
      `${field}: expected a loopback address (127.0.0.1, [::1]), got ${name}: ${why}`,
    );
  }
  return { host, port };
}

/** HOST:PORT, with brackets around IPv6. */
export function formatAddress({ host, port }: Address): string {
  return host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
}
