/** Which peers count as one: all ports of an IPv4 address, and the 64 bits of IPv6 that one subscriber has. */
import { isIPv6, type Socket } from 'node:net';

/** ADDRESS:PORT, as grpc-js names a peer. */
export function nameOf({ remoteAddress, remotePort }: Pick<Socket, 'remoteAddress' | 'remotePort'>): string {
  return `${remoteAddress}:${remotePort}`;
}

/** Of a peer as {@link nameOf} names it. */
export function addressOf(peer: string): string {
  const host = peer.slice(0, peer.lastIndexOf(':')).replace(/^::ffff:(?=\d+\.)/i, '');
  if (!isIPv6(host)) return host;
  const [front, back] = host.split('::');
  const left = front === '' ? [] : front.split(':');
  const zeros = back === undefined ? 0 : 8 - left.length - (back === '' ? 0 : back.split(':').length);
  const groups = [...left, ...Array<string>(zeros).fill('0'), ...(back ?? '').split(':')];
  return `${groups.slice(0, 4).join(':')}::/64`;
}
