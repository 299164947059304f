/**
 * What a journal held before its checkpoint: `history/N.jsonl.gz`, one JSON record a line, N from 1. Nobody needs it to go
 * on; the report, who watches late and `starling verify` read it when they are asked. A file is there whole or not at all.
 */
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gunzip, gzip } from 'node:zlib';
import { type Files, systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { corrupt, FlError } from '../../shared/errors.js';
import type { RunRecord } from './records.js';

/** In a run's directory. */
export const HISTORY_FOLDER = 'history';

/** Writes the N-th; one that a crash has left under its name is written over. Durable when it resolves. */
export async function writeSegment(
  directory: string,
  { number, records, files }: { number: number; records: readonly RunRecord[]; files: Files },
): Promise<void> {
  const folder = join(directory, HISTORY_FOLDER);
  await files.makeDirectory(folder);
  const bytes = await promisify(gzip)(records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  await writeFileDurably(join(folder, nameOf(number)), bytes, files);
  await files.syncDirectory(directory);
}

/** The records of the N-th, in order. @throws FlError corrupt, not-found: naming the file */
export async function readSegment(directory: string, number: number): Promise<RunRecord[]> {
  const name = `${HISTORY_FOLDER}/${nameOf(number)}`;
  const bytes = await systemFiles.read(join(directory, name));
  if (bytes === undefined)
    throw new FlError('not-found', `${name}: expected what the journal held before, got no file`);
  try {
    const lines = (await promisify(gunzip)(bytes)).toString('utf8').split('\n').slice(0, -1);
    return lines.map((line) => JSON.parse(line) as RunRecord);
  } catch (thrown) {
    throw corrupt(name, 'records of a journal', FlError.from(thrown).message);
  }
}

function nameOf(number: number): string {
  return `${number}.jsonl.gz`;
}
