/** What joining has left in a client's directory, read. */
import { join } from 'node:path';
import { systemFiles } from '../shared/disk/files.js';
import { readSecret } from '../shared/disk/secrets.js';
import { corrupt } from '../shared/errors.js';
import { IDENTITY_FILE, MEMBERSHIP_FILE, type Membership, NEXT_KEY_FILE } from './join.js';
import { STATE_FILE } from './store/secagg.js';

/** The folder of a client's part in secure aggregation. */
export const SECAGG_FOLDER = 'secure';

/** What to do about a directory that is not whole: its key is the client, and a coordinator takes no other for it. */
const REJOIN = 'restore it from a backup, or move the directory away and join again with a new token';

/** @throws FlError corrupt · invalid-argument: it is sealed, and by another key file than is here */
export async function seedIn(directory: string): Promise<Uint8Array> {
  const path = join(directory, IDENTITY_FILE);
  const seed = await readSecret(path);
  if (seed?.length === 32) return seed;
  throw corrupt(path, "this client's key, 32 bytes", `${seed === undefined ? 'none' : seed.length}; ${REJOIN}`);
}

/** @throws FlError corrupt */
export async function membershipIn(directory: string): Promise<Membership> {
  const path = join(directory, MEMBERSHIP_FILE);
  const file = await systemFiles.read(path);
  try {
    return JSON.parse(new TextDecoder().decode(file)) as Membership;
  } catch {
    throw corrupt(path, 'what joining has written', `${file === undefined ? 'none' : 'no JSON'}; ${REJOIN}`);
  }
}

/** Paths of the files of a client that hold a key, which may be there. */
export function clientSecretsOf(directory: string): string[] {
  return [IDENTITY_FILE, NEXT_KEY_FILE, join(SECAGG_FOLDER, STATE_FILE)].map((name) => join(directory, name));
}
