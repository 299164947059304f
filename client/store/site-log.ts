/**
 * site-log.jsonl of a client: each plan that came and what was decided about it and why, what left the machine (its kind,
 * size and hash), what was charged, and what went wrong. For the site's own eyes: nothing of it is sent, and it holds no key,
 * share, update or example. A chain of lines signed by the client (shared/chain), so that none can be changed afterwards by
 * who has not the key; a line is durable before what it tells of leaves.
 *
 * Bounded: a file that would grow beyond its limit becomes site-log.N.jsonl, the next of a rising N, and the oldest beyond
 * {@link KEPT_FILES} goes. The chain runs on from file to file.
 */
import { z } from 'zod';
import { openRolling, type RollingChain, readRolling } from '../../shared/chain/rolling.js';
import type { Clock } from '../../shared/clock.js';
import { HEX_32_BYTES } from '../../shared/hex.js';
import type { Identity } from '../../shared/signing/identity.js';

const NAME = 'site-log';
/** The file in a client's directory that is being written. */
export const SITE_LOG_FILE = `${NAME}.jsonl`;
const FILE_BYTES = 8 << 20;
/** Full files, besides the one that is being written. */
const KEPT_FILES = 7;

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

/** What is worth a line. */
export type SiteEvent = z.infer<typeof siteEvent>;
/** A line as it was written: the event, when, and the hash of the line before. */
export type SiteEntry = z.infer<typeof entrySchema>;

/** A log that is open. */
export type SiteLog = RollingChain<SiteEvent>;

interface SiteLogOptions {
  readonly identity: Identity;
  readonly clock: Clock;
  /** Sizes for tests. */
  readonly fileBytes?: number;
  readonly keptFiles?: number;
}

/** Opens the log in `directory`, or begins it; a last line that a crash cut short is cut off. @throws FlError as `add` */
export function openSiteLog(directory: string, options: SiteLogOptions): Promise<SiteLog> {
  return openRolling<SiteEvent>({ fileBytes: FILE_BYTES, keptFiles: KEPT_FILES, ...options, directory, name: NAME });
}

/** The entries of the log that are kept, oldest first. @throws FlError not-found; corrupt: file, line and what is wrong */
export async function* readSiteLog(directory: string, publicKey: Uint8Array): AsyncGenerator<SiteEntry> {
  const whose = 'this client';
  for await (const { entry } of readRolling({ directory, name: NAME, schema: entrySchema, key: publicKey, whose })) {
    yield entry;
  }
}
