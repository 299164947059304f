/**
 * The health port: plain HTTP for probes and supervisors. `/live` is whether the process answers at all, `/ready` whether it
 * can do its work, with the reason as JSON when it cannot; `/metrics` is for Prometheus. On the loopback address unless the
 * operator names another: what it says names directories and runs, and nothing secret.
 */
import { createServer, type Server, type ServerResponse } from 'node:http';
import { isIP } from 'node:net';
import { FlError, invalidArgument } from '../shared/errors.js';
import { formatAddress } from '../shared/wire/address.js';

/** What `/ready` says, beside `ready`. `reason` is empty when all is well. */
export interface Readiness {
  readonly reason: string;
  readonly running: number;
  /** Runs that wait for space on the disk. */
  readonly paused: readonly string[];
  /** Runs that were set aside. */
  readonly damaged: readonly string[];
}

/** A health port that listens. */
export interface HealthPort {
  /** HOST:PORT */
  readonly address: string;
  close(): Promise<void>;
}

/** A prober that does not read its answer is none. */
const REQUEST_LIMIT_MS = 5_000;
/** So that no crowd of probes takes descriptors from the runs. */
const MAX_PROBES = 8;

/** What `/metrics` says. */
export interface Figures {
  readonly contentType: string;
  text(): Promise<string>;
}

/**
 * @param listen PORT, on 127.0.0.1, or HOST:PORT; port 0 picks a free one
 * @throws FlError invalid-argument; unavailable: the port cannot be had
 */
export async function serveHealth(
  listen: string,
  ready: () => Promise<Readiness>,
  figures?: Figures,
): Promise<HealthPort> {
  const { host, port } = parseListen(listen);
  const server = createServer({ requestTimeout: REQUEST_LIMIT_MS }, (request, response) => {
    const path = (request.url ?? '').split('?')[0];
    if (request.method !== 'GET' && request.method !== 'HEAD') return answer(response, 405, { reason: 'use GET' });
    if (path === '/live') return answer(response, 200, { live: true });
    if (path === '/metrics' && figures !== undefined) return void answerFigures(response, figures);
    if (path !== '/ready') return answer(response, 404, { reason: 'ask for /live, /ready or /metrics' });
    asked().then(
      (readiness) =>
        answer(response, readiness.reason === '' ? 200 : 503, { ready: readiness.reason === '', ...readiness }),
      (thrown) => answer(response, 503, { ready: false, reason: FlError.from(thrown).message }),
    );
  });
  let asking: Promise<Readiness> | undefined;
  /** Whoever asks while an answer is looked for gets the same. */
  const asked = () => {
    asking ??= ready().finally(() => {
      asking = undefined;
    });
    return asking;
  };
  server.maxConnections = MAX_PROBES;
  const bound = await bind(server, host, port);
  return {
    address: formatAddress({ host, port: bound }),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function answer(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { 'content-type': 'application/json', 'cache-control': 'no-store', connection: 'close' });
  response.end(`${JSON.stringify(body)}\n`);
}

async function answerFigures(response: ServerResponse, { contentType, text }: Figures): Promise<void> {
  try {
    const body = await text();
    response.writeHead(200, { 'content-type': contentType, 'cache-control': 'no-store', connection: 'close' });
    response.end(body);
  } catch (thrown) {
    answer(response, 503, { reason: FlError.from(thrown).message });
  }
}

function parseListen(listen: string): { host: string; port: number } {
  const match = /^(?:(?:\[([^\]]+)\]|([^:[\]]+)):)?(\d{1,5})$/.exec(listen);
  const host = match?.[1] ?? match?.[2] ?? '127.0.0.1';
  const port = Number(match?.[3]);
  if (match === null || isIP(host) === 0 || port > 65_535)
    throw invalidArgument('health-port', 'PORT, or HOST:PORT with an IP address', listen);
  return { host, port };
}

function bind(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', (cause) =>
      reject(new FlError('unavailable', `health-port: listen on ${host}:${port}: ${cause.message}`, { cause })),
    );
    server.listen({ host, port }, () => {
      const address = server.address();
      resolve(typeof address === 'object' && address !== null ? address.port : port);
    });
  });
}
