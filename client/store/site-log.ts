/**
 * site-log.jsonl of a client: each plan that came and what was decided about it and why, what left the machine (its kind,
 * size and hash), what was charged, and what went wrong. For the site's own eyes: nothing of it is sent, and it holds no key,
 * share, update or example. A chain of lines signed by the client (shared/chain), so that none can be changed afterwards by
 * who has not the key; a line is durable before what it tells of leaves.
 *
 * Bounded: a file that would grow beyond its limit becomes site-log.N.jsonl, the next of a rising N, and the oldest beyond
 * {@link KEPT_FILES} goes. The chain runs on from file to file.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { checkLine, lineSchema, lineSha256, linesOf, signLine } from '../../shared/chain/chain.js';
import type { Clock } from '../../shared/clock.js';
import { diskError, systemFiles } from '../../shared/disk/files.js';
import { type LinesFile, openLines } from '../../shared/disk/lines.js';
import { corrupt, FlError } from '../../shared/errors.js';
import { HEX_32_BYTES } from '../../shared/hex.js';
import { parseCanonicalJson } from '../../shared/signing/canonical-json.js';
import type { Identity } from '../../shared/signing/identity.js';

/** The file in a client's directory that is being written. */
export const SITE_LOG_FILE = 'site-log.jsonl';
const OLDER = /^site-log\.([1-9][0-9]*)\.jsonl$/;
const FILE_BYTES = 8 << 20;
/** Full files, besides the one that is being written. */
const KEPT_FILES = 7;
/** What the first line of all follows. */
const FIRST_PREVIOUS = '0'.repeat(64);

const task = {
  run: z.string(),
  kind: z.enum(['train', 'evaluate']),
  round: z.int(),
  attempt: z.int(),
};
const siteEvent = z.discriminatedUnion('event', [
  z.looseObject({
    ...{ event: z.literal('plan'), ...task },
    modelSha256: z.string(),
    workload: z.string(),
    cohort: z.int(),
    secure: z.boolean(),
    /** Mode of differential privacy. */
    privacy: z.string().optional(),
    decision: z.enum(['followed', 'declined']),
    reason: z.string().optional(),
  }),
  /** `what` is the kind of frame or update. */
  z.looseObject({
    ...{ event: z.literal('sent'), ...task },
    ...{ what: z.string(), sizeBytes: z.int(), sha256: z.string() },
  }),
  /** What one example has been charged so far, over all runs. */
  z.looseObject({ event: z.literal('charged'), ...task, epsilon: z.number(), delta: z.number() }),
  /** What the client said to its terminal. */
  z.looseObject({ event: z.literal('noticed'), message: z.string(), fields: z.record(z.string(), z.unknown()) }),
]);
const entrySchema = z.intersection(
  z.looseObject({ version: z.literal(1), atMs: z.number(), previous: z.string().regex(HEX_32_BYTES) }),
  siteEvent,
);
const lineOf = lineSchema(entrySchema);

/** What is worth a line. */
export type SiteEvent = z.infer<typeof siteEvent>;
/** A line as it was written: the event, when, and the hash of the line before. */
export type SiteEntry = z.infer<typeof entrySchema>;

/** A log that is open. */
export interface SiteLog {
  /** Adds a line after all that were added before; durable when it resolves. @throws FlError: the disk failed */
  add(event: SiteEvent): Promise<void>;
}

interface SiteLogOptions {
  readonly identity: Identity;
  readonly clock: Clock;
  /** Sizes for tests. */
  readonly fileBytes?: number;
  readonly keptFiles?: number;
}

/** Opens the log in `directory`, or begins it; a last line that a crash cut short is cut off. @throws FlError as `add` */
export async function openSiteLog(directory: string, options: SiteLogOptions): Promise<SiteLog> {
  const { identity, clock, fileBytes = FILE_BYTES, keptFiles = KEPT_FILES } = options;
  const path = join(directory, SITE_LOG_FILE);
  const { content, lines } = await openLines(path);
  let file: LinesFile = lines;
  let sizeBytes = content.length;
  let previous = await lastHash(directory, content);
  let last: Promise<void> = Promise.resolve();

  async function write(event: SiteEvent): Promise<void> {
    const entry = { ...event, version: 1 as const, atMs: clock.nowMs(), previous } as SiteEntry;
    const text = signLine('site-log', entry, identity);
    const line = Buffer.from(`${text}\n`);
    if (sizeBytes > 0 && sizeBytes + line.length > fileBytes) {
      await rotate(directory, keptFiles);
      file = (await openLines(path)).lines;
      sizeBytes = 0;
    }
    await file.append(line);
    sizeBytes += line.length;
    previous = lineSha256(text);
  }

  return {
    add(event) {
      const added = last.then(() => write(event));
      last = added.catch(() => undefined); // whoever asked for it is told
      return added;
    },
  };
}

/** The entries of the log that are kept, oldest first. @throws FlError not-found; corrupt: file, line and what is wrong */
export async function* readSiteLog(directory: string, publicKey: Uint8Array): AsyncGenerator<SiteEntry> {
  const names = [...(await olderFiles(directory)), SITE_LOG_FILE];
  let previous: string | undefined; // what the oldest line follows may be gone
  for (const name of names) {
    const content = await systemFiles.read(join(directory, name));
    const whole = content?.subarray(0, content.lastIndexOf(0x0a) + 1);
    if (whole === undefined && names.length === 1)
      throw new FlError('not-found', `${directory}: no ${SITE_LOG_FILE} yet`);
    for (const [index, text] of linesOf(whole ?? new Uint8Array(0)).entries()) {
      try {
        const line = parseCanonicalJson(text, lineOf);
        checkLine('site-log', line, { key: publicKey, whose: 'this client', previous });
        previous = lineSha256(text);
        yield line.entry;
      } catch (error) {
        throw corrupt(`${name}, line ${index + 1}`, 'what this client wrote', FlError.from(error).message);
      }
    }
  }
}

/** Full files by age, oldest first. */
async function olderFiles(directory: string): Promise<string[]> {
  const numbers = (await systemFiles.list(directory)).flatMap((name) => OLDER.exec(name)?.[1] ?? []).map(Number);
  return numbers.sort((a, b) => a - b).map((number) => `site-log.${number}.jsonl`);
}

/** A crash between the two steps leaves one file too many until the next time. */
async function rotate(directory: string, keptFiles: number): Promise<void> {
  try {
    const older = await olderFiles(directory);
    const next = 1 + Number(OLDER.exec(older.at(-1) ?? '')?.[1] ?? 0);
    await systemFiles.rename(join(directory, SITE_LOG_FILE), join(directory, `site-log.${next}.jsonl`));
    for (const name of older.slice(0, Math.max(0, older.length + 1 - keptFiles))) {
      await systemFiles.remove(join(directory, name));
    }
    await systemFiles.syncDirectory(directory);
  } catch (error) {
    throw diskError(directory, error);
  }
}

/** Of the line that was written last, in this file or the one before it. */
async function lastHash(directory: string, content: Uint8Array): Promise<string> {
  const before = (await olderFiles(directory)).at(-1);
  for (const bytes of [content, before && (await systemFiles.read(join(directory, before)))]) {
    const text = Buffer.from(bytes || [])
      .toString('utf8')
      .split('\n')
      .at(-2);
    if (text !== undefined) return lineSha256(text);
  }
  return FIRST_PREVIOUS;
}
