/**
 * One file from its source to its place: streamed to a temporary name beside it, hashed on the way, and renamed only when
 * size and SHA-256 are the listed ones, so that a file under its own name is always whole and right.
 */
import { createHash, type Hash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rename, rm, writeFile } from 'node:fs/promises';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { FlError } from '../../shared/errors.js';
import type { DataFile } from './registry.js';

/** Longest time for one source; the largest has 26 MB. */
const TIMEOUT_MS = 300_000;

interface Download {
  readonly file: DataFile;
  /** Where the file goes; its folder is there. */
  readonly path: string;
  readonly fetch: typeof fetch;
  readonly signal?: AbortSignal;
}

/** @throws FlError unavailable: the source cannot be reached or refuses · corrupt: it served other bytes than listed */
export async function download({ file, path, fetch, signal }: Download): Promise<void> {
  if (file.url === undefined) throw new FlError('failed-precondition', `${file.name} has no source to download from`);
  const { url, sizeBytes } = file;
  const body = await open(url, fetch, limited(signal));
  await place(file, path, url, (part, hash) =>
    pipeline(Readable.fromWeb(body), meter(url, sizeBytes, hash), createWriteStream(part)),
  );
}

/** A source of unknown content in memory. @throws FlError unavailable · corrupt: it is larger than `maxBytes` */
export async function downloadBytes(
  url: string,
  { maxBytes, fetch, signal }: Pick<Download, 'fetch' | 'signal'> & { readonly maxBytes: number },
): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  const body = Readable.fromWeb(await open(url, fetch, limited(signal)));
  const collect = async (from: AsyncIterable<Uint8Array>) => {
    for await (const part of from) parts.push(part);
  };
  await pipeline(body, meter(url, maxBytes), collect).catch((cause) => {
    throw FlError.from(cause, 'unavailable');
  });
  return Buffer.concat(parts);
}

/** Bytes that came in another form to their place. @throws FlError corrupt: they are not the listed ones */
export function keep(file: DataFile, path: string, bytes: Uint8Array, source: string): Promise<void> {
  return place(file, path, source, async (part, hash) => {
    hash.update(bytes);
    await writeFile(part, bytes);
  });
}

async function place(
  file: DataFile,
  path: string,
  source: string,
  write: (part: string, hash: Hash) => Promise<void>,
): Promise<void> {
  const part = `${path}.part-${process.pid}`;
  try {
    const hash = createHash('sha256');
    await write(part, hash).catch((cause) => {
      throw FlError.from(cause, 'unavailable');
    });
    const sha256 = hash.digest('hex');
    if (sha256 !== file.sha256) throw served(`${source}: ${file.name}`, `SHA-256 ${file.sha256}`, sha256);
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
}

function limited(signal: AbortSignal | undefined): AbortSignal {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  return signal === undefined ? limit : AbortSignal.any([signal, limit]);
}

async function open(url: string, fetch: Download['fetch'], signal: AbortSignal): Promise<ReadableStream> {
  let reply: Response;
  try {
    reply = await fetch(url, { signal });
  } catch (cause) {
    const reason = (cause as Error).cause ?? cause; // fetch hides the network's own words one level down
    throw new FlError('unavailable', `${url}: ${(reason as Error).message}`, { cause });
  }
  if (!reply.ok || reply.body === null) throw new FlError('unavailable', `${url}: HTTP ${reply.status}`);
  return reply.body;
}

/** Passes bytes on, hashes them if asked to, and stops a source that sends more than is expected. */
function meter(url: string, mostBytes: number, hash?: Hash): Transform {
  let sizeBytes = 0;
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      sizeBytes += chunk.length;
      if (sizeBytes > mostBytes) return done(served(url, `${mostBytes} bytes`, 'more'));
      hash?.update(chunk);
      done(null, chunk);
    },
  });
}

function served(what: string, expected: string, got: string): FlError {
  return new FlError('corrupt', `${what}: expected ${expected}, got ${got}`);
}
