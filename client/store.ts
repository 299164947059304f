/**
 * What a client keeps between two rounds: updates that the coordinator has not confirmed, and private tensors that never
 * leave. On disk for a real client, in memory for a virtual one; the same interface.
 */
import { mkdir, readdir, readFile, unlink } from 'node:fs/promises';
import { join } from 'node:path';
import { bytesOf, valuesOf } from '../shared/codecs/bytes.js';
import { decode, encode } from '../shared/codecs/safetensors.js';
import { writeFileDurably } from '../shared/disk/files.js';
import { canonicalJson } from '../shared/identity.js';
import { type HostTensors, packTensors } from '../shared/params.js';
import type { UpdateHeader } from '../shared/round.js';
import type { PendingUpdate } from '../shared/service.js';

export interface StoredUpdate {
  readonly header: UpdateHeader;
  readonly values: Float32Array;
}

export interface ClientStore {
  /** The updates without a receipt. */
  list(): Promise<readonly PendingUpdate[]>;
  /** Durable when it resolves. */
  keep(update: StoredUpdate): Promise<void>;
  read(update: PendingUpdate): Promise<StoredUpdate>;
  forget(update: PendingUpdate): Promise<void>;
  /** Private tensors as they were before `round` was trained; undefined before the first time. */
  ownBefore(run: string, round: number): Promise<HostTensors | undefined>;
  /** Durable when it resolves. Kept by round, so that a round that is trained again starts from the same numbers. */
  keepOwn(run: string, round: number, own: HostTensors): Promise<void>;
}

export function memoryStore(): ClientStore {
  const updates = new Map<string, StoredUpdate>();
  const own = new Map<string, Map<number, HostTensors>>();
  return {
    list: async () => [...updates.values()].map(({ header }) => pendingOf(header)),
    keep: async (update) => void updates.set(fileOf(update.header), update),
    read: async (update) => updates.get(fileOf(update))!,
    forget: async (update) => void updates.delete(fileOf(update)),
    async ownBefore(run, round) {
      const rounds = own.get(run) ?? new Map<number, HostTensors>();
      const last = Math.max(-1, ...[...rounds.keys()].filter((kept) => kept < round));
      return rounds.get(last);
    },
    async keepOwn(run, round, tensors) {
      const rounds = own.get(run) ?? new Map<number, HostTensors>();
      own.set(run, rounds.set(round, tensors));
      for (const old of rounds.keys()) if (old < round - 1) rounds.delete(old);
    },
  };
}

/** A store in `directory`; one file for each update and each round's private tensors. */
export async function fileStore(directory: string): Promise<ClientStore> {
  const updates = join(directory, 'updates');
  const own = join(directory, 'own');
  await mkdir(updates, { recursive: true, mode: 0o700 });
  await mkdir(own, { recursive: true, mode: 0o700 });

  async function rounds(run: string): Promise<number[]> {
    const names = await readdir(own);
    const ofRun = names.filter((name) => name.startsWith(`${run}.`) && name.endsWith('.safetensors'));
    return ofRun.map((name) => Number(name.slice(run.length + 1, -'.safetensors'.length))).sort((a, b) => a - b);
  }
  const ownFile = (run: string, round: number) => join(own, `${run}.${round}.safetensors`);

  return {
    async list() {
      const names = (await readdir(updates)).filter((name) => name.endsWith('.update'));
      return Promise.all(
        names.sort().map(async (name) => pendingOf(parseUpdate(await readFile(join(updates, name))).header)),
      );
    },
    keep: (update) => writeFileDurably(join(updates, fileOf(update.header)), renderUpdate(update)),
    read: async (update) => parseUpdate(await readFile(join(updates, fileOf(update)))),
    forget: (update) => unlink(join(updates, fileOf(update))),
    async ownBefore(run, round) {
      const last = (await rounds(run)).filter((kept) => kept < round).at(-1);
      if (last === undefined) return undefined;
      const { params } = decode(await readFile(ownFile(run, last)));
      const entries = params.layout.map(({ name, shape, offset, size }) => {
        return [name, { shape, data: params.values.slice(offset, offset + size) }] as const;
      });
      return Object.fromEntries(entries);
    },
    async keepOwn(run, round, tensors) {
      await writeFileDurably(ownFile(run, round), encode(packTensors(tensors)));
      for (const old of await rounds(run)) if (old < round - 1) await unlink(ownFile(run, old));
    },
  };
}

function pendingOf({ run, round, attempt, sha256 }: UpdateHeader): PendingUpdate {
  return { run, round, attempt, sha256 };
}

function fileOf({ run, round, attempt }: Omit<PendingUpdate, 'sha256'>): string {
  return `${run}.${round}.${attempt}.update`;
}

/** One line of JSON, then the values. */
function renderUpdate({ header, values }: StoredUpdate): Uint8Array {
  return Buffer.concat([Buffer.from(`${canonicalJson(header)}\n`), bytesOf(values)]);
}

function parseUpdate(file: Buffer): StoredUpdate {
  const end = file.indexOf(0x0a);
  const header = JSON.parse(file.subarray(0, end).toString()) as UpdateHeader;
  return { header, values: valuesOf(file.subarray(end + 1)) };
}
