/**
 * What a client keeps between two rounds: updates that the coordinator has not confirmed, and private tensors that never
 * leave. On disk for a real client, in memory for a virtual one; the same interface.
 */
import { mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { writeFileDurably } from '../../shared/disk/files.js';
import { FlError } from '../../shared/errors.js';
import type { UpdateHeader } from '../../shared/run/plan.js';
import type { PendingUpdate } from '../../shared/service.js';
import { canonicalJson } from '../../shared/signing/canonical-json.js';
import { sha256Hex } from '../../shared/signing/identity.js';
import { filePrivateTensors, memoryPrivateTensors, type PrivateTensors } from './private-tensors.js';

interface StoredUpdate {
  readonly header: UpdateHeader;
  /** The values as they are sent. */
  readonly bytes: Uint8Array;
}

/** A client's updates by run, round and attempt, and its private tensors by run and round. */
export interface ClientStore extends PrivateTensors {
  /** The updates without a receipt. @throws FlError corrupt naming the file that is damaged. */
  list(): Promise<readonly PendingUpdate[]>;
  /** Durable when it resolves. The bytes are the store's from now on: nobody may change them. */
  keep(update: StoredUpdate): Promise<void>;
  /** A kept update, whose bytes nobody may change. @throws FlError not-found, corrupt. */
  read(update: PendingUpdate): Promise<StoredUpdate>;
  /** No error when it is not kept. */
  forget(update: PendingUpdate): Promise<void>;
}

/**
 * @param options.readOnce an update's bytes are gone once they were read, its name stays: where nothing is sent twice
 * @param options.privateTensors where these are kept; default: in memory too
 */
export function memoryStore({ readOnce = false, privateTensors = memoryPrivateTensors() } = {}): ClientStore {
  const updates = new Map<string, StoredUpdate>();
  return {
    list: async () => [...updates.values()].map(({ header }) => pendingOf(header)),
    keep: async (update) => void updates.set(fileOf(update.header), update),
    async read(update) {
      const kept = updates.get(fileOf(update));
      if (kept === undefined) throw notKept(update);
      if (readOnce) updates.set(fileOf(update), { header: kept.header, bytes: new Uint8Array(0) });
      return kept;
    },
    forget: async (update) => void updates.delete(fileOf(update)),
    ...privateTensors,
  };
}

/**
 * A store in `directory`; one file for each update and each round's private tensors. The update that was kept last stays in
 * memory until it is forgotten: it is sent at once, in the common case, and then nothing is read back and hashed again.
 */
export async function fileStore(directory: string): Promise<ClientStore> {
  const updates = join(directory, 'updates');
  const privateFolder = join(directory, 'own');
  await mkdir(updates, { recursive: true, mode: 0o700 });
  await mkdir(privateFolder, { recursive: true, mode: 0o700 });
  let last: StoredUpdate | undefined;

  return {
    async list() {
      const names = (await readdir(updates)).filter((name) => name.endsWith('.update'));
      const kept = await Promise.all(names.sort().map((name) => readUpdate(join(updates, name))));
      return kept.flatMap((update) => (update === undefined ? [] : pendingOf(update.header)));
    },
    async keep(update) {
      await writeFileDurably(join(updates, fileOf(update.header)), renderUpdate(update));
      last = update;
    },
    async read(update) {
      if (last !== undefined && fileOf(last.header) === fileOf(update)) return last;
      const kept = await readUpdate(join(updates, fileOf(update)));
      if (kept === undefined) throw notKept(update);
      return kept;
    },
    async forget(update) {
      if (last !== undefined && fileOf(last.header) === fileOf(update)) last = undefined;
      await rm(join(updates, fileOf(update)), { force: true });
    },
    ...filePrivateTensors(privateFolder),
  };
}

function pendingOf({ run, round, attempt, sha256 }: UpdateHeader): PendingUpdate {
  return { run, round, attempt, sha256 };
}

function fileOf({ run, round, attempt }: Omit<PendingUpdate, 'sha256'>): string {
  return `${run}.${round}.${attempt}.update`;
}

/** One line of JSON, then the bytes. */
function renderUpdate({ header, bytes }: StoredUpdate): Uint8Array {
  return Buffer.concat([Buffer.from(`${canonicalJson(header)}\n`), bytes]);
}

/** The update in a file, or undefined when there is no such file. */
async function readUpdate(path: string): Promise<StoredUpdate | undefined> {
  const file = await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (file === undefined) return undefined;
  const update = parseUpdate(file);
  if (update !== undefined) return update;
  throw new FlError('corrupt', `${path}: damaged; delete it, and the round is trained again if it is still wanted`);
}

/** Undefined when anything is not as it was written. */
function parseUpdate(file: Buffer): StoredUpdate | undefined {
  try {
    const end = file.indexOf(0x0a);
    const header = JSON.parse(file.subarray(0, end).toString()) as UpdateHeader;
    const bytes = new Uint8Array(file.subarray(end + 1));
    return header.sha256 === sha256Hex(bytes) ? { header, bytes } : undefined;
  } catch {
    return undefined;
  }
}

function notKept({ run, round, attempt }: PendingUpdate): FlError {
  return new FlError('not-found', `update of ${run}, round ${round}, attempt ${attempt}: not kept here`);
}
