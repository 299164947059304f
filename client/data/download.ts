/**
 * One file from its source to its place: streamed to a temporary name beside it, hashed on the way, and renamed only when
 * size and SHA-256 are the listed ones, so that a file under its own name is always whole and right.
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { ReadableStream } from 'node:stream/web';
import { FlError } from '../../shared/errors.js';
import type { DataFile } from './registry.js';

/** Longest time for one file; the largest that we download has 1.6 MB. */
const TIMEOUT_MS = 300_000;

export interface Download {
  readonly file: DataFile;
  /** Where the file goes; its folder is made. */
  readonly path: string;
  readonly fetch: typeof fetch;
  readonly signal?: AbortSignal;
}

/** @throws FlError unavailable: the source cannot be reached or refuses · corrupt: it served other bytes than listed */
export async function download({ file, path, fetch, signal }: Download): Promise<void> {
  if (file.url === undefined) throw new FlError('failed-precondition', `${file.name} has no source to download from`);
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const part = `${path}.part-${process.pid}`;
  await mkdir(dirname(path), { recursive: true });
  try {
    const body = await open(file.url, fetch, signal === undefined ? limit : AbortSignal.any([signal, limit]));
    const hash = createHash('sha256');
    await pipeline(Readable.fromWeb(body), meter(file, hash), createWriteStream(part)).catch((cause) => {
      throw FlError.from(cause, 'unavailable');
    });
    const sha256 = hash.digest('hex');
    if (sha256 !== file.sha256) throw served(file, `SHA-256 ${file.sha256}`, sha256);
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
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
  return reply.body as ReadableStream;
}

/** Passes bytes on, hashes them, and stops a source that sends more than the file has. */
function meter(file: DataFile, hash: { update(bytes: Uint8Array): unknown }): Transform {
  let sizeBytes = 0;
  return new Transform({
    transform(chunk: Uint8Array, _encoding, done) {
      sizeBytes += chunk.length;
      if (sizeBytes > file.sizeBytes) return done(served(file, `${file.sizeBytes} bytes`, 'more'));
      hash.update(chunk);
      done(null, chunk);
    },
  });
}

function served(file: DataFile, expected: string, got: string): FlError {
  return new FlError('corrupt', `${file.url}: expected ${expected}, got ${got}`);
}
