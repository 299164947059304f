/**
 * Private tensors of a client between two rounds, by run and round: what of a model is its own and never leaves. Two rounds
 * are kept, so that one that is trained again starts from the same numbers.
 */
import { mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from '../../shared/disk/files.js';
import { type HostTensors, packTensors } from '../../shared/tensors/params.js';
import { decode, encode } from '../../shared/tensors/safetensors.js';

/** Of one client. */
export interface PrivateTensors {
  /** Private tensors as they were before `round` was trained; undefined before the first time. */
  privateTensorsBefore(run: string, round: number): Promise<HostTensors | undefined>;
  /** Durable when it resolves. Kept by round, so that a round that is trained again starts from the same numbers. */
  keepPrivateTensors(run: string, round: number, tensors: HostTensors): Promise<void>;
}

/** RUN.ROUND.safetensors, as we write it. */
const PRIVATE_FILE = /^([a-z0-9-]+)\.([1-9][0-9]*)\.safetensors$/;

/** Rounds whose private tensors no round needs any more: `round` may be trained again, from the last before it. */
function outlived(rounds: readonly number[], round: number): number[] {
  const before = rounds.filter((kept) => kept < round);
  const last = Math.max(...before);
  return before.filter((kept) => kept < last);
}

/** For clients that end with their process. */
export function memoryPrivateTensors(): PrivateTensors {
  const privateTensors = new Map<string, Map<number, HostTensors>>();
  return {
    async privateTensorsBefore(run, round) {
      const rounds = privateTensors.get(run) ?? new Map<number, HostTensors>();
      const last = Math.max(-1, ...[...rounds.keys()].filter((kept) => kept < round));
      return rounds.get(last);
    },
    async keepPrivateTensors(run, round, tensors) {
      const rounds = privateTensors.get(run) ?? new Map<number, HostTensors>();
      privateTensors.set(run, rounds.set(round, tensors));
      for (const old of outlived([...rounds.keys()], round)) rounds.delete(old);
    },
  };
}

/** A file for each round in `folder`, which is made with the first. */
export function filePrivateTensors(folder: string): PrivateTensors {
  const fileOf = (run: string, round: number) => join(folder, `${run}.${round}.safetensors`);
  const roundsOf = (run: string) => roundsIn(folder, run);
  return {
    async privateTensorsBefore(run, round) {
      const before = (await roundsOf(run)).filter((kept) => kept < round).at(-1);
      return before === undefined ? undefined : readTensors(fileOf(run, before));
    },
    async keepPrivateTensors(run, round, tensors) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      await writeFileDurably(fileOf(run, round), encode(packTensors(tensors)));
      for (const old of outlived(await roundsOf(run), round)) await unlink(fileOf(run, old));
    },
  };
}

async function roundsIn(folder: string, run: string): Promise<number[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
  const kept = names.map((name) => PRIVATE_FILE.exec(name)).filter((match) => match?.[1] === run);
  return kept.map((match) => Number(match![2])).sort((a, b) => a - b);
}

async function readTensors(path: string): Promise<HostTensors> {
  const { params } = decode(await readFile(path));
  const entries = params.layout.map(({ name, shape, offset, size }) => {
    return [name, { shape, data: params.values.slice(offset, offset + size) }] as const;
  });
  return Object.fromEntries(entries);
}
