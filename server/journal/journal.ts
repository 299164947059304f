/**
 * The journal: an append-only file of JSON records that the state of a run is a fold over.
 *
 *     8 bytes "STARJNL1" | frame | frame | ...      frame = u32 LE length | u32 LE CRC-32 of payload | payload
 *
 * The payload is a JSON array: the records of one group commit. A group is *one* frame, written and fdatasynced before
 * the next is begun. So only the last frame can be torn, a group is there whole or not at all, and a damaged frame with
 * a good one behind it can only be damage to what was once durable: that is refused, never repaired.
 *
 * The length is below 2^24, so a frame's fourth byte is 0, which JSON text never contains: no byte inside a payload can
 * pass for the start of a frame, and the search for "a good one behind it" may go byte by byte.
 */
import { dirname } from 'node:path';
import { crc32 } from 'node:zlib';
import { diskError, type Files, type OpenFile, systemFiles, writeAll, writeDurably } from '../../shared/disk/files.js';
import { describe, FlError } from '../../shared/errors.js';

const MAGIC = Buffer.from('STARJNL1');
const HEADER_BYTES = 8;
/** A group closes when it passes this, so that one fdatasync never waits for an endless write. */
const GROUP_BYTES = 1 << 20;
/** One record: with a group's 1 MiB it stays below the 2^24 that the format allows. */
export const MAX_RECORD_BYTES = 8 << 20;
/** Appends that may wait for the disk; more is refused, since the disk has fallen behind for good. */
export const MAX_WAITING_BYTES = 64 << 20;

type Waiting = { readonly json: string; readonly sizeBytes: number; resolve(): void; reject(error: FlError): void };

/**
 * Opens or creates the journal at `path` (its folder must exist and be locked by the caller, see lock.ts).
 * `tornBytes` says how much of a torn last frame was cut off: records that no append had acknowledged.
 * `check` may refuse what it finds before a byte is changed.
 * @throws FlError corrupt: a bad frame before the end, with its byte offset, or not a journal at all.
 */
export async function openJournal(
  path: string,
  options: { files?: Files; check?: (records: readonly unknown[]) => void } = {},
): Promise<{ records: unknown[]; journal: Journal; tornBytes: number }> {
  const files = options.files ?? systemFiles;
  let content = await files.read(path);
  if (content === undefined) {
    const temporary = `${path}.tmp`;
    if ((await files.read(temporary)) !== undefined) await files.remove(temporary); // of a creation that was cut short
    await writeDurably(files, path, temporary, MAGIC);
    content = MAGIC;
  }
  const { records, endBytes } = parseJournal(content);
  options.check?.(records);
  const file = await files.open(path, 'existing');
  const tornBytes = content.length - endBytes;
  try {
    if (tornBytes > 0) {
      await file.truncate(endBytes);
      await file.datasync();
    }
    await files.syncDirectory(dirname(path)); // a creation may have stopped between rename and this
  } catch (error) {
    await file.close();
    throw diskError(`journal ${path}`, error);
  }
  return { records, journal: new Journal(file, endBytes, path), tornBytes };
}

/** Every record of a journal's bytes, and where the last whole frame ends. Pure; throws as {@link openJournal}. */
export function parseJournal(content: Uint8Array): { records: unknown[]; endBytes: number } {
  const bytes = Buffer.from(content.buffer, content.byteOffset, content.byteLength);
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) {
    throw new FlError('corrupt', `journal: expected "${MAGIC}" in its first ${MAGIC.length} bytes, got something else`);
  }
  const records: unknown[] = [];
  let offset = MAGIC.length;
  while (offset < bytes.length) {
    const payload = frameAt(bytes, offset);
    if (payload === undefined) {
      const next = nextFrame(bytes, offset + 1);
      if (next === undefined) break; // nothing whole behind it: the torn tail
      throw new FlError('corrupt', `journal: bad frame at byte ${offset}, though a good one follows at byte ${next}`);
    }
    for (const record of parsePayload(payload, offset)) records.push(record);
    offset += HEADER_BYTES + payload.length;
  }
  return { records, endBytes: offset };
}

/** `content` with the first bytes that every journal has, if a whole frame follows where the first one would; else itself. */
export function mendMagic(content: Uint8Array): Uint8Array {
  const bytes = Buffer.from(content);
  if (bytes.subarray(0, MAGIC.length).equals(MAGIC) || frameAt(bytes, MAGIC.length) === undefined) return content;
  MAGIC.copy(bytes);
  return bytes;
}

/** Appends records and makes them durable. Made by {@link openJournal}. */
export class Journal {
  readonly #file: OpenFile;
  readonly #path: string;
  #endBytes: number;
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  #failure: FlError | undefined;
  #closed = false;

  constructor(file: OpenFile, endBytes: number, path: string) {
    this.#file = file;
    this.#path = path;
    this.#endBytes = endBytes;
  }

  /**
   * Resolves when `record` (any JSON value; read now, not later) is on the disk. Appends that wait together share one
   * fdatasync; records keep the order of the calls.
   * @throws FlError resource-exhausted or internal when the disk failed: what it holds now is unknown (after a failed
   *   fsync the kernel may have dropped the pages), so this and every later append is refused with that same error.
   */
  append(record: unknown): Promise<void> {
    const json = JSON.stringify(record) as string | undefined;
    if (json === undefined) throw new TypeError(`record: expected a JSON value, got ${describe(record)}`);
    const sizeBytes = Buffer.byteLength(json);
    if (sizeBytes > MAX_RECORD_BYTES) {
      throw new RangeError(`record: expected at most ${MAX_RECORD_BYTES} bytes of JSON, got ${sizeBytes}`);
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure);
    if (this.#closed) return Promise.reject(new FlError('failed-precondition', 'journal: already closed'));
    if (this.#waitingBytes + sizeBytes > MAX_WAITING_BYTES) {
      return Promise.reject(
        new FlError('resource-exhausted', `journal: over ${MAX_WAITING_BYTES} bytes wait for the disk`),
      );
    }
    return new Promise((resolve, reject) => {
      this.#waiting.push({ json, sizeBytes, resolve, reject });
      this.#waitingBytes += sizeBytes;
      this.#writing ??= this.#drain();
    });
  }

  /** What the file holds, durably. */
  get sizeBytes(): number {
    return this.#endBytes;
  }

  /** Waits for what was appended, then closes. Every later append is refused; closing twice is no error. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#writing;
    await this.#file.close();
  }

  async #drain(): Promise<void> {
    await undefined; // lets every append of this turn of the event loop join the first group
    while (this.#waiting.length > 0) {
      const group = this.#takeGroup();
      try {
        const frame = encodeFrame(group.map(({ json }) => json));
        await writeAll(this.#file, frame, this.#endBytes);
        await this.#file.datasync();
        this.#endBytes += frame.length;
      } catch (error) {
        this.#fail(diskError(this.#path, error), group);
        break;
      }
      for (const { resolve } of group) resolve();
    }
    this.#writing = undefined;
  }

  #takeGroup(): Waiting[] {
    let count = 0;
    let sizeBytes = 0;
    while (count < this.#waiting.length && sizeBytes < GROUP_BYTES) sizeBytes += this.#waiting[count++].sizeBytes + 1;
    const group = this.#waiting.slice(0, count);
    this.#waiting = this.#waiting.slice(count);
    for (const { sizeBytes } of group) this.#waitingBytes -= sizeBytes;
    return group;
  }

  #fail(failure: FlError, group: Waiting[]): void {
    this.#failure = failure;
    for (const { reject } of [...group, ...this.#waiting]) reject(failure);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }
}

/**
 * The bytes of a journal that holds `records` and nothing more; undefined when one of them is too large for it. A frame each.
 */
export function encodeJournal(records: readonly unknown[]): Uint8Array | undefined {
  const jsons = records.map((record) => JSON.stringify(record));
  if (jsons.some((json) => Buffer.byteLength(json) > MAX_RECORD_BYTES)) return undefined;
  return Buffer.concat([MAGIC, ...jsons.map((json) => encodeFrame([json]))]);
}

function encodeFrame(jsons: readonly string[]): Uint8Array {
  const payload = Buffer.from(`[${jsons.join(',')}]`);
  const frame = Buffer.allocUnsafe(HEADER_BYTES + payload.length);
  frame.writeUInt32LE(payload.length, 0);
  frame.writeUInt32LE(crc32(payload), 4);
  payload.copy(frame, HEADER_BYTES);
  return frame;
}

/** The payload of the frame at `offset` if it is whole and its checksum agrees. */
function frameAt(bytes: Buffer, offset: number): Buffer | undefined {
  const start = offset + HEADER_BYTES;
  if (start > bytes.length) return undefined;
  const length = bytes.readUInt32LE(offset);
  if (length < 2 || length >= 1 << 24 || start + length > bytes.length) return undefined;
  if (bytes[start] !== 0x5b || bytes[start + length - 1] !== 0x5d) return undefined; // [ and ]: spares most checksums
  const payload = bytes.subarray(start, start + length);
  return crc32(payload) === bytes.readUInt32LE(offset + 4) ? payload : undefined;
}

function nextFrame(bytes: Buffer, from: number): number | undefined {
  for (let offset = from; offset + HEADER_BYTES <= bytes.length; offset++) {
    if (bytes[offset + 3] === 0 && frameAt(bytes, offset) !== undefined) return offset;
  }
  return undefined;
}

function parsePayload(payload: Buffer, offset: number): unknown[] {
  try {
    return JSON.parse(payload.toString('utf8')) as unknown[];
  } catch (cause) {
    throw new FlError('corrupt', `journal: frame at byte ${offset} has a good checksum but is no JSON`, { cause });
  }
}
