/**
 * A chain of signed lines in files of bounded size: NAME.jsonl is being written, and when it would grow beyond its limit it
 * becomes NAME.N.jsonl, the next of a rising N. The oldest go when there are too many. The chain runs on from file to file.
 */
import { join } from 'node:path';
import type { z } from 'zod';
import type { Clock } from '../clock.js';
import { diskError, systemFiles } from '../disk/files.js';
import { type LinesFile, openLines } from '../disk/lines.js';
import { corrupt, FlError } from '../errors.js';
import { parseCanonicalJson } from '../signing/canonical-json.js';
import type { Identity } from '../signing/identity.js';
import { type ChainEntry, type ChainKind, checkLine, lineSchema, lineSha256, linesOf, signLine } from './chain.js';

/** What the first line of all follows. */
const FIRST_PREVIOUS = '0'.repeat(64);

/** Which chain, where, and how much of it is kept. */
export interface RollingOptions {
  readonly directory: string;
  /** Of its files, and of what is signed. */
  readonly name: ChainKind;
  readonly identity: Identity;
  readonly clock: Clock;
  /** A file holds no more, unless one line does. */
  readonly fileBytes: number;
  /** Full files, besides the one that is being written. */
  readonly keptFiles: number;
}

/** A chain that is open. */
export interface RollingChain<Event extends object> {
  /** Adds a line after all that were added before; durable when it resolves. @throws FlError: the disk failed */
  add(event: Event): Promise<void>;
}

/** Opens the chain, or begins it; a last line that a crash cut short is cut off. @throws FlError as `add` */
export async function openRolling<Event extends object>(options: RollingOptions): Promise<RollingChain<Event>> {
  const { directory, name, identity, clock, fileBytes } = options;
  const path = join(directory, fileOf(name));
  const { content, lines } = await openLines(path);
  let file: LinesFile = lines;
  let sizeBytes = content.length;
  let previous = await lastHash(options, content);
  let last: Promise<void> = Promise.resolve();

  async function write(event: Event): Promise<void> {
    const entry = { ...event, version: 1 as const, atMs: clock.nowMs(), previous };
    const text = signLine(name, entry, identity);
    const line = Buffer.from(`${text}\n`);
    if (sizeBytes > 0 && sizeBytes + line.length > fileBytes) {
      await rotate(options);
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

/** A line that was read and checked. */
export interface RollingLine<Entry> {
  readonly entry: Entry;
  /** SHA-256 of the line, hex: what the next one names. */
  readonly sha256: string;
  readonly file: string;
}

/** The lines that are kept, oldest first. @throws FlError not-found; corrupt: file, line and what is wrong */
export async function* readRolling<Entry extends ChainEntry>(options: {
  readonly directory: string;
  readonly name: ChainKind;
  readonly schema: z.ZodType<Entry>;
  /** Ed25519, 32 bytes, and whose it is in words. */
  readonly key: Uint8Array;
  readonly whose: string;
}): AsyncGenerator<RollingLine<Entry>> {
  const { directory, name, schema, key, whose } = options;
  const lineOf = lineSchema(schema);
  const files = [...(await olderFiles(directory, name)), fileOf(name)];
  let previous: string | undefined; // what the oldest line follows may be gone
  for (const file of files) {
    const content = await systemFiles.read(join(directory, file));
    const whole = content?.subarray(0, content.lastIndexOf(0x0a) + 1);
    if (whole === undefined && files.length === 1) throw new FlError('not-found', `${directory}: no ${file} yet`);
    for (const [index, text] of linesOf(whole ?? new Uint8Array(0)).entries()) {
      try {
        const line = parseCanonicalJson(text, lineOf);
        checkLine(name, line, { key, whose, previous });
        previous = lineSha256(text);
        yield { entry: line.entry, sha256: previous, file };
      } catch (error) {
        throw corrupt(`${file}, line ${index + 1}`, `what ${whose} wrote`, FlError.from(error).message);
      }
    }
  }
}

function fileOf(name: ChainKind, number?: number): string {
  return number === undefined ? `${name}.jsonl` : `${name}.${number}.jsonl`;
}

/** Full files by age, oldest first. */
async function olderFiles(directory: string, name: ChainKind): Promise<string[]> {
  const numbers = (await systemFiles.list(directory)).flatMap((file) => numberOf(file, name) ?? []);
  return numbers.sort((a, b) => a - b).map((number) => fileOf(name, number));
}

function numberOf(file: string, name: ChainKind): number | undefined {
  const [digits] = /[1-9][0-9]*/.exec(file) ?? [];
  return digits !== undefined && file === fileOf(name, Number(digits)) ? Number(digits) : undefined;
}

/** A crash between the two steps leaves one file too many until the next time. */
async function rotate({ directory, name, keptFiles }: RollingOptions): Promise<void> {
  try {
    const older = await olderFiles(directory, name);
    const next = 1 + (numberOf(older.at(-1) ?? '', name) ?? 0);
    await systemFiles.rename(join(directory, fileOf(name)), join(directory, fileOf(name, next)));
    for (const file of older.slice(0, Math.max(0, older.length + 1 - keptFiles))) {
      await systemFiles.remove(join(directory, file));
    }
    await systemFiles.syncDirectory(directory);
  } catch (error) {
    throw diskError(directory, error);
  }
}

/** Of the line that was written last, in this file or the one before it. */
async function lastHash({ directory, name }: RollingOptions, content: Uint8Array): Promise<string> {
  const before = (await olderFiles(directory, name)).at(-1);
  for (const bytes of [content, before && (await systemFiles.read(join(directory, before)))]) {
    const text = Buffer.from(bytes || [])
      .toString('utf8')
      .split('\n')
      .at(-2);
    if (text !== undefined) return lineSha256(text);
  }
  return FIRST_PREVIOUS;
}
