/** What a coordinator keeps secret in its data directory: its key, and the operator's token. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { corrupt, FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import { rngFromEntropy } from '../shared/rng.js';
import { type Identity, identityFromSeed, newIdentitySeed } from '../shared/signing/identity.js';

/** Every client knows this coordinator by its key: one that has been shown to anybody is never replaced by a new one. */
export async function identityIn(dataDir: string, isKnown: boolean): Promise<Identity> {
  const path = join(dataDir, 'identity.key');
  const publicPath = join(dataDir, 'identity.pub');
  const stored = await systemFiles.read(path);
  const shown = await systemFiles.read(publicPath);
  const restore = `restore ${path} from a backup; to begin anew, with clients that join again, take another data directory`;
  if (stored === undefined && (isKnown || shown !== undefined)) {
    throw new FlError(
      'not-found',
      `${path}: expected the key that clients know this coordinator by, got none; ${restore}`,
    );
  }
  const seed = stored ?? newIdentitySeed();
  if (seed.length !== 32) throw corrupt(path, '32 bytes', `${seed.length}; ${restore}`);
  const identity = identityFromSeed(seed);
  const publicKey = toHex(identity.publicKey);
  const shownKey = shown && new TextDecoder().decode(shown);
  if (shownKey !== undefined && shownKey !== publicKey) {
    throw corrupt(path, `the key of ${publicPath}`, `another; ${restore}`);
  }
  if (stored === undefined) await writeFileDurably(path, seed);
  if (shown === undefined) await writeFileDurably(publicPath, new TextEncoder().encode(publicKey));
  return identity;
}

/** The secret in `path`, made at the first start. */
export async function secretIn(path: string): Promise<string> {
  const stored = await systemFiles.read(path);
  if (stored !== undefined) return (await readFile(path, 'utf8')).trim();
  const secret = toHex(rngFromEntropy().bytes(32));
  await writeFileDurably(path, new TextEncoder().encode(secret));
  return secret;
}
