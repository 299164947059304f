/**
 * security-log.jsonl of a coordinator: who joined, who was refused and why, what operators did, which plans were signed. A
 * chain of lines signed by the coordinator's key: none can be changed, moved or taken out afterwards by who has not the
 * key. It holds no token, key or session.
 */
import { z } from 'zod';
import { openRolling, type RollingChain, type RollingLine, readRolling } from '../../shared/chain/rolling.js';
import type { Clock } from '../../shared/clock.js';
import { HEX_32_BYTES } from '../../shared/hex.js';
import type { Identity } from '../../shared/signing/identity.js';

const NAME = 'security-log';
const FILE_BYTES = 8 << 20;
/** Full files, besides the one that is being written: half a gigabyte in all. */
const KEPT_FILES = 63;

const securityEvent = z.discriminatedUnion('event', [
  /** The process began, or ended as it should. */
  z.looseObject({ event: z.literal('started'), program: z.string(), address: z.string(), secure: z.boolean() }),
  z.looseObject({ event: z.literal('stopped') }),
  z.looseObject({ event: z.literal('joined'), peer: z.string(), client: z.string() }),
  /** One key took the place of another, by the word of both: of a client, or of the coordinator, which has no `client`. */
  z.looseObject({
    ...{ event: z.literal('rotated'), peer: z.string().optional(), client: z.string().optional() },
    ...{ from: z.string().regex(HEX_32_BYTES), to: z.string().regex(HEX_32_BYTES) },
  }),
  /** A connection, join, login or call. */
  z.looseObject({ event: z.literal('refused'), peer: z.string(), reason: z.string() }),
  /** Refusals beyond those that have a line each, since `sinceMs`; `addresses` are those of most. */
  z.looseObject({
    ...{ event: z.literal('refused-more'), times: z.int(), sinceMs: z.number() },
    addresses: z.record(z.string(), z.int()),
  }),
  /** What an operator did, and its outcome: `ok`, or the error. */
  z.looseObject({
    ...{ event: z.literal('action'), account: z.string(), peer: z.string(), action: z.string() },
    ...{ about: z.record(z.string(), z.unknown()), outcome: z.string() },
  }),
  /** A plan goes to its cohort; the hash is of its canonical JSON, which is signed. */
  z.looseObject({
    ...{ event: z.literal('plan'), run: z.string(), kind: z.string(), round: z.int(), attempt: z.int() },
    planSha256: z.string().regex(HEX_32_BYTES),
  }),
]);
const entrySchema = z.intersection(
  z.looseObject({ version: z.literal(1), atMs: z.number(), previous: z.string().regex(HEX_32_BYTES) }),
  securityEvent,
);

/** What is worth a line. */
export type SecurityEvent = z.infer<typeof securityEvent>;
/** A line as it was written. */
export type SecurityEntry = z.infer<typeof entrySchema>;

/** Opens the log of a data directory, or begins it. @throws FlError: the disk failed */
export function openSecurityLog(
  directory: string,
  options: {
    readonly identity: Identity;
    readonly clock: Clock;
    /** Sizes for tests. */
    readonly fileBytes?: number;
    readonly keptFiles?: number;
  },
): Promise<RollingChain<SecurityEvent>> {
  const sizes = { fileBytes: options.fileBytes ?? FILE_BYTES, keptFiles: options.keptFiles ?? KEPT_FILES };
  return openRolling({ ...options, ...sizes, directory, name: NAME });
}

/**
 * What is kept of it, oldest first; each line is checked to be by one of these keys, of now and of before.
 * @throws FlError not-found; corrupt: file, line and what is wrong
 */
export function readSecurityLog(
  directory: string,
  key: Uint8Array | readonly Uint8Array[],
): AsyncGenerator<RollingLine<SecurityEntry>> {
  return readRolling({ directory, name: NAME, schema: entrySchema, key, whose: 'this coordinator' });
}
