/**
 * Addresses. A connection that leaves the machine carries mutual TLS; without it, tokens, sessions and models would cross
 * in plaintext, so that is for loopback only.
 */
import { isIP } from 'node:net';
import { FlError, invalidArgument } from '../errors.js';

/** Where a coordinator listens, or is reached. */
export interface Address {
  /** A literal IP address, or a host name. */
  readonly host: string;
  readonly port: number;
}

const HOST_PORT = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/;
const LOOPBACK = /^(127(\.(25[0-5]|2[0-4]\d|1?\d?\d)){3}|::1)$/;
/** RFC 1123, 2.1: labels of letters, digits and dashes, the last of which is no number. */
const HOST_NAME = /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/i;

/**
 * HOST:PORT, the host an IP address or a name.
 * @param field names the setting in the error message
 * @throws FlError invalid-argument for anything else
 */
export function parseAddress(field: string, address: string): Address {
  const match = HOST_PORT.exec(address);
  const port = Number(match?.[3]);
  const host = match?.[1] ?? match?.[2] ?? '';
  const isBracketed = match?.[1] !== undefined;
  const isHost = isBracketed ? isIPv6(host) : isIP(host) === 4 || HOST_NAME.test(host);
  if (port > 65_535 || !isHost) throw invalidArgument(field, 'HOST:PORT', address);
  return { host: host.toLowerCase(), port };
}

/**
 * HOST, or HOST:PORT; an IPv6 address may stand without brackets when it has no port.
 * @throws FlError invalid-argument
 */
export function parseHost(field: string, text: string, defaultPort: number): Address {
  if (isIPv6(text)) return { host: text.toLowerCase(), port: defaultPort };
  return parseAddress(field, /:\d+$/.test(text) ? text : `${text}:${defaultPort}`);
}

/** Without a zone, which means something on one machine only. */
function isIPv6(host: string): boolean {
  return isIP(host) === 6 && !host.includes('%');
}

/** A literal address, rather than a name. */
export function isIpAddress(host: string): boolean {
  return isIP(host) !== 0;
}

/** Whether what is sent there stays on this machine. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || LOOPBACK.test(host);
}

/** An address that listens everywhere leads nowhere: this machine's own is dialled instead. */
export function localHostOf(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1';
  return host === '::' ? '::1' : host;
}

/**
 * An address for a connection in plaintext.
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
    const why = 'without TLS a connection is in plaintext and must not leave the machine (next: --public-address)';
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
