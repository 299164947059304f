/**
 * openings.jsonl: which sums of which base models the clients of this home have helped to open (round/differencing.ts says
 * why). One file for all memberships of a home, so that two coordinators who work together see one lab and not two.
 *
 * Several processes append to it. A line is one write at the end of the file (O_APPEND, on a local disk), durable before
 * the file is read again; what stands *before* one's own line decides, so of two that conflict exactly the first goes on,
 * and no lock can be left behind by a crash. The second takes its line back by another. A line that a crash has cut short
 * belongs to a signature that never left, and every line starts with a line end, so that it spoils no other.
 *
 * It only grows: what is forgotten could be asked for again. A line takes some 230 bytes and 24 for each survivor.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { diskError, systemFiles } from '../../shared/disk/files.js';
import { corrupt } from '../../shared/errors.js';
import { HEX_32_BYTES } from '../../shared/hex.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { type Conflict, conflictOf, type Opening } from '../round/differencing.js';

/** In the folder of all clients of a home; the dot tells it from a client. */
export const OPENINGS_FILE = '.openings/openings.jsonl';

/** What a home has helped to open. */
export interface Openings {
  /** What speaks against this opening now; nothing is remembered. */
  conflict(next: Opening, minDifference: number): Promise<Conflict | undefined>;
  /** The same; and if nothing does, it is remembered, durably when this resolves. @throws FlError: the disk failed */
  admit(next: Opening, minDifference: number): Promise<Conflict | undefined>;
}

const MEMBER_DIGITS = 24;

/** 12 bytes of the hash of an enrolled Ed25519 key, hex: another lab of the same id would take 2^96 tries. */
export function memberIdOf(enrolledKey: Uint8Array): string {
  return sha256Hex(enrolledKey).slice(0, MEMBER_DIGITS);
}

/** For clients that end with their process. */
export function memoryOpenings(): Openings {
  const known = new Known();
  return {
    conflict: async (next, minDifference) => known.conflict(next, minDifference),
    async admit(next, minDifference) {
      const found = known.conflict(next, minDifference);
      if (found === undefined && !known.has(next)) known.add(lineOf(next));
      return found;
    },
  };
}

/** For virtual clients: who simulates them all has every update anyway, and learns nothing from a difference. */
export const noOpenings: Openings = { conflict: async () => undefined, admit: async () => undefined };

/** Opens the file, or begins it. @throws FlError: the disk failed */
export async function fileOpenings(path: string): Promise<Openings> {
  const known = new Known();
  let readBytes = 0;
  let last: Promise<unknown> = Promise.resolve();
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await append(path, '');
  await systemFiles.syncDirectory(dirname(path));

  /** Takes in what was appended since, by whomever; with `until`, what stands before that line, if it is there. */
  async function catchUp(until?: string): Promise<boolean> {
    const added = await readFrom(path, readBytes);
    const lines = added.toString('latin1').split('\n').slice(0, -1);
    for (const text of lines) {
      if (text === until) return true;
      readBytes += text.length + 1;
      known.add(parse(text));
    }
    return false;
  }

  async function admit(next: Opening, minDifference: number): Promise<Conflict | undefined> {
    await catchUp();
    const early = known.conflict(next, minDifference);
    if (early !== undefined || known.has(next)) return early;
    const claim = lineOf(next);
    const text = canonicalJson(claim);
    await append(path, text);
    if (!(await catchUp(text))) throw corrupt(path, 'the line that was just added', 'a file that others have cut');
    const found = known.conflict(next, minDifference);
    if (found !== undefined) await append(path, canonicalJson({ takenBack: claim.claim }));
    return found;
  }

  /** One after the other: each must see what the one before has added. */
  function inTurn<T>(act: () => Promise<T>): Promise<T> {
    const done = last.then(act);
    last = done.catch(() => undefined); // whoever asked for it is told
    return done;
  }

  return {
    conflict: (next, minDifference) => inTurn(() => catchUp().then(() => known.conflict(next, minDifference))),
    admit: (next, minDifference) => inTurn(() => admit(next, minDifference)),
  };
}

/** An opening as it is written; `claim` is its own, for it to be taken back by. */
const openingLine = z.object({
  claim: z.string(),
  kind: z.enum(['train', 'evaluate']),
  modelSha256: z.string().regex(HEX_32_BYTES),
  own: z.string(),
  /** Side by side. */
  members: z.string().regex(/^([0-9a-f]{24})+$/),
  isNoised: z.boolean(),
});
const line = z.union([openingLine, z.object({ takenBack: z.string() })]);
type OpeningLine = z.infer<typeof openingLine>;

function lineOf({ kind, modelSha256, own, members, isNoised }: Opening): OpeningLine {
  return { claim: randomUUID(), kind, modelSha256, own, members: members.join(''), isNoised };
}

/** Undefined: empty, or what a crash has left of a line. */
function parse(text: string): z.infer<typeof line> | undefined {
  try {
    return line.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

/** All lines so far, by kind and model: nothing else is ever compared. */
class Known {
  readonly #lines = new Map<string, OpeningLine[]>();
  readonly #placeOf = new Map<string, string>();

  add(added: z.infer<typeof line> | undefined): void {
    if (added === undefined) return;
    if ('takenBack' in added) {
      const place = this.#placeOf.get(added.takenBack) ?? '';
      const rest = this.#at(place).filter(({ claim }) => claim !== added.takenBack);
      return void this.#lines.set(place, rest);
    }
    const place = placeOf(added);
    this.#placeOf.set(added.claim, place);
    this.#lines.set(place, [...this.#at(place), added]);
  }

  has(next: Opening): boolean {
    const members = next.members.join('');
    return this.#at(placeOf(next)).some(
      (known) => known.own === next.own && known.isNoised === next.isNoised && known.members === members,
    );
  }

  conflict(next: Opening, minDifference: number): Conflict | undefined {
    for (const { members, ...known } of this.#at(placeOf(next))) {
      const ids = members.match(/.{24}/g) ?? [];
      const found = conflictOf({ ...known, members: ids }, next, minDifference);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  #at(place: string): readonly OpeningLine[] {
    return this.#lines.get(place) ?? [];
  }
}

function placeOf({ kind, modelSha256 }: Pick<Opening, 'kind' | 'modelSha256'>): string {
  return `${kind}/${modelSha256}`;
}

/** Durable when it resolves. */
async function append(path: string, text: string): Promise<void> {
  const bytes = Buffer.from(`\n${text}\n`);
  try {
    const file = await open(path, constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT, 0o600);
    try {
      const { bytesWritten } = await file.write(bytes);
      if (bytesWritten !== bytes.length) throw new Error(`${bytesWritten} of ${bytes.length} bytes were written`);
      await file.datasync();
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskError(path, error);
  }
}

async function readFrom(path: string, position: number): Promise<Buffer> {
  try {
    const file = await open(path, 'r');
    try {
      const bytes = Buffer.alloc(Math.max(0, (await file.stat()).size - position));
      const { bytesRead } = await file.read(bytes, 0, bytes.length, position);
      return bytes.subarray(0, bytesRead);
    } finally {
      await file.close();
    }
  } catch (error) {
    throw diskError(path, error);
  }
}
