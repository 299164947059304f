/**
 * HTTP CONNECT proxies, for labs whose machines get out by one only: `https_proxy` and `no_proxy`, in small letters or
 * capitals, as curl and most other programs read them. What goes through is TLS to the coordinator, so a proxy learns the
 * coordinator's name and how much is sent, and no more.
 */
import { request } from 'node:http';
import { BlockList, isIP, type Socket } from 'node:net';
import { FlError, invalidArgument } from '../../shared/errors.js';
import { type Address, formatAddress, isIpAddress, isLoopback } from '../../shared/wire/address.js';

/** Where connections to others go out. */
export interface Proxy extends Address {
  /** `USER:PASSWORD`, for Basic authentication (RFC 7617). */
  readonly credentials?: string;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The proxy by which `host` is reached; undefined: directly, as this machine always is.
 * @throws FlError invalid-argument: `https_proxy` is no http://[USER:PASSWORD@]HOST[:PORT]; its text, which may hold a
 *   password, is not told
 */
export function proxyFor(host: string, env: Environment = process.env): Proxy | undefined {
  const text = env.https_proxy || env.HTTPS_PROXY || '';
  if (text === '' || isLoopback(host) || isExcepted(host, env.no_proxy || env.NO_PROXY || '')) return undefined;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol !== 'http:' || url.hostname === '') {
    throw invalidArgument(
      'https_proxy',
      'http://[USER:PASSWORD@]HOST[:PORT]',
      `${text.length} characters of another form`,
    );
  }
  const { username, password } = url;
  const credentials = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  const address = { host: url.hostname.replace(/^\[|\]$/g, ''), port: Number(url.port || 80) };
  return username === '' ? address : { ...address, credentials };
}

/** `*`, names with all that end in them, addresses, and blocks of addresses such as 10.0.0.0/8. */
function isExcepted(host: string, noProxy: string): boolean {
  const entries = noProxy.toLowerCase().split(/[\s,]+/);
  return entries.filter(Boolean).some((entry) => {
    if (entry === '*') return true;
    if (isIpAddress(host)) return isIn(host, entry);
    const name = entry.replace(/^\*?\./, '');
    return host === name || host.endsWith(`.${name}`);
  });
}

function isIn(address: string, entry: string): boolean {
  const [base, prefix] = entry.replace(/^\[|\]$/g, '').split('/');
  const family = isIP(base) === 6 ? 'ipv6' : 'ipv4';
  const bits = Number(prefix ?? (family === 'ipv6' ? 128 : 32));
  if (isIP(base) === 0 || !Number.isInteger(bits) || bits > (family === 'ipv6' ? 128 : 32)) return false;
  const block = new BlockList();
  block.addSubnet(base, bits, family);
  return block.check(address, isIP(address) === 6 ? 'ipv6' : 'ipv4');
}

/**
 * grpc-js asks a proxy itself, if it is told so. Its own reading of the environment is turned off: to it, `no_proxy=0.0.1`
 * is for 10.0.0.1 as well, an entry that is empty is for everybody, and there are no capitals and no blanks.
 * @throws FlError invalid-argument: an IPv6 address, which it does not manage
 */
export function proxyOptions({ credentials }: Proxy, target: Address): Readonly<Record<string, string>> {
  if (target.host.includes(':')) {
    throw invalidArgument('address', 'a name or an IPv4 address, where connections go by https_proxy', target.host); // grpc-js leaves the brackets out
  }
  return {
    'grpc.http_connect_target': `dns:${formatAddress(target)}`,
    'grpc.default_authority': formatAddress(target),
    ...(credentials !== undefined && { 'grpc.http_connect_creds': credentials }),
  };
}

/** A connection to `target` through the proxy. @throws FlError unavailable */
export function connectThrough(proxy: Proxy, target: Address, timeoutMs: number): Promise<Socket> {
  const path = formatAddress(target);
  const basic = proxy.credentials && `Basic ${Buffer.from(proxy.credentials).toString('base64')}`;
  const headers = { host: path, ...(basic && { 'proxy-authorization': basic }) };
  const { host, port } = proxy;
  return new Promise((resolve, reject) => {
    const fail = (why: string) => {
      asked.destroy();
      reject(
        new FlError(
          'unavailable',
          `the proxy ${formatAddress(proxy)} (https_proxy) does not connect to ${path}: ${why}`,
        ),
      );
    };
    const asked = request({ host, port, method: 'CONNECT', path, headers, timeout: timeoutMs, agent: false });
    asked.once('connect', ({ statusCode, statusMessage }, socket) => {
      if (statusCode === 200) return resolve(socket);
      socket.destroy();
      fail(`${statusCode} ${statusMessage}`);
    });
    asked.once('response', ({ statusCode, statusMessage }) => fail(`${statusCode} ${statusMessage}`));
    asked.once('timeout', () => fail(`no answer within ${timeoutMs / 1000} s`));
    asked.once('error', ({ message }) => fail(message));
    asked.end();
  });
}
