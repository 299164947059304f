/**
 * The keys that a client had before its own of now, which an operator has replaced: what it signed with them in its own
 * chains, charges and log, is still its own. Public keys, in its directory; whoever can write there can write the chains.
 */
import { join } from 'node:path';
import { z } from 'zod';
import { type Files, systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { corrupt } from '../shared/errors.js';
import { fromHex, HEX_32_BYTES, toHex } from '../shared/hex.js';

/** All public keys of a client, hex, as JSON; the newest first. */
export const KEYS_FILE = 'public-keys.json';

const keysSchema = z.array(z.string().regex(HEX_32_BYTES)).max(1000);

/** `own`, and those before it. Ed25519, 32 bytes each. @throws FlError corrupt */
export async function keysIn(directory: string, own: Uint8Array, files: Files = systemFiles): Promise<Uint8Array[]> {
  const known = await readKeys(directory, files);
  return [toHex(own), ...known.filter((key) => key !== toHex(own))].map(fromHex);
}

/**
 * Notes `own` as the newest key of the client whose directory this is, in a file of `target`; durable when it resolves.
 * @throws FlError corrupt
 */
export async function noteKey(
  directory: string,
  own: Uint8Array,
  { target = directory, files = systemFiles }: { readonly target?: string; readonly files?: Files } = {},
): Promise<void> {
  const keys = (await keysIn(directory, own, files)).map(toHex);
  if (target === directory && (await readKeys(directory, files))[0] === keys[0]) return;
  await writeFileDurably(join(target, KEYS_FILE), Buffer.from(`${JSON.stringify(keys)}\n`), files);
}

async function readKeys(directory: string, files: Files): Promise<string[]> {
  const path = join(directory, KEYS_FILE);
  const stored = await files.read(path);
  if (stored === undefined) return [];
  try {
    return keysSchema.parse(JSON.parse(new TextDecoder().decode(stored)));
  } catch {
    throw corrupt(path, 'public keys of this client, as JSON', 'something else');
  }
}
