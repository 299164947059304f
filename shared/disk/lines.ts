/** A file of lines that is only ever added to: a ledger, heads of one, charges. Mode 0600. */
import { dirname } from 'node:path';
import { diskError, type Files, systemFiles, writeAll } from './files.js';

/** An open one. It holds no handle: there is nothing to close. */
export interface LinesFile {
  /** Adds one line, its end included, after all that were added before; durable when it resolves. */
  append(line: Uint8Array): Promise<void>;
}

/** How a file of lines is opened. */
export interface LinesOptions {
  readonly files?: Files;
  /** How many bytes of what is there are whole; default: up to the last line end. What it throws leaves the file as it is. */
  readonly wholeBytes?: (content: Uint8Array) => number;
}

/**
 * Opens the file, or begins it; what a crash cut short at its end is cut off. `content` is what was there and is kept; it is
 * the caller's alone, so that a file that has grown for years is not held in memory.
 * @throws FlError resource-exhausted or internal, as `append` does: the disk failed
 */
export async function openLines(
  path: string,
  { files = systemFiles, wholeBytes = (content) => content.lastIndexOf(0x0a) + 1 }: LinesOptions = {},
): Promise<{ readonly content: Uint8Array; readonly lines: LinesFile }> {
  const found = await files.read(path);
  let sizeBytes = wholeBytes(found ?? new Uint8Array(0));
  let last: Promise<void> = Promise.resolve();

  /** What a crash, or an append that failed, has left behind the last whole line is overwritten. */
  async function write(line: Uint8Array, mode: 'create' | 'existing' = 'existing'): Promise<void> {
    try {
      const file = await files.open(path, mode);
      try {
        await file.truncate(sizeBytes);
        await writeAll(file, line, sizeBytes);
        await file.datasync();
      } finally {
        await file.close();
      }
      if (mode === 'create') await files.syncDirectory(dirname(path));
    } catch (error) {
      throw diskError(path, error);
    }
    sizeBytes += line.length;
  }

  const content = found?.subarray(0, sizeBytes) ?? new Uint8Array(0);
  await write(new Uint8Array(0), found === undefined ? 'create' : 'existing');
  const lines: LinesFile = {
    append(line) {
      const added = last.then(() => write(line));
      last = added.catch(() => undefined); // whoever asked for it is told
      return added;
    },
  };
  return { content, lines };
}
