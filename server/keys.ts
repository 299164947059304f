/**
 * What a coordinator keeps secret in its data directory: its key, and the operator's token. Its key is replaced by
 * {@link rotateIdentity}, and then there is a word of the old one on the new in `hand-overs.json`, which is no secret.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { entriesOf } from '../shared/disk/aside.js';
import { type Files, systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { readSecret, writeSecret } from '../shared/disk/secrets.js';
import { corrupt, FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import { rngFromEntropy } from '../shared/rng.js';
import { type HandOver, handOverSchema, keysFrom, MAX_HAND_OVERS, signHandOver } from '../shared/signing/hand-over.js';
import { allKeysOf, type Identity, identityFromSeed, newIdentitySeed } from '../shared/signing/identity.js';
import { HAND_OVERS_FILE } from './data-dir.js';

/** The seed of the coordinator's key, 32 bytes; mode 0600. */
export const KEY_FILE = 'identity.key';
/** One that is about to be the key: nobody has been told of it, unless the last of the hand-overs names it. */
export const NEXT_KEY_FILE = `${KEY_FILE}.next`;
const PUBLIC_FILE = 'identity.pub';
const RESTORE = 'from a backup; to begin anew, with clients that join again, take another data directory';

/** Every client knows this coordinator by its key: one that has been shown to anybody is never replaced without its word. */
export async function identityIn(dataDir: string, isKnown: boolean, files: Files = systemFiles): Promise<Identity> {
  const path = join(dataDir, KEY_FILE);
  const publicPath = join(dataDir, PUBLIC_FILE);
  const handOvers = await readHandOvers(dataDir, files);
  await endRotation(dataDir, handOvers, files);
  const stored = await readSecret(path, { files });
  const shown = await files.read(publicPath);
  const restore = `restore ${path} ${RESTORE}`;
  if (stored === undefined && (isKnown || shown !== undefined)) {
    throw new FlError(
      'not-found',
      `${path}: expected the key that clients know this coordinator by, got none; ${restore}`,
    );
  }
  const seed = stored ?? newIdentitySeed();
  if (seed.length !== 32) throw corrupt(path, '32 bytes', `${seed.length}; ${restore}`);
  const identity = { ...identityFromSeed(seed), ...(handOvers.length > 0 && { handOvers }) };
  const publicKey = toHex(identity.publicKey);
  if (handOvers.length > 0 && handOvers.at(-1)!.to !== publicKey) {
    throw corrupt(path, `the key that ${HAND_OVERS_FILE} ends with`, `another; restore both ${RESTORE}`);
  }
  const shownKey = shown && new TextDecoder().decode(shown);
  if (shownKey !== undefined && !allKeysOf(identity).includes(shownKey)) {
    throw corrupt(path, `the key of ${publicPath}`, `another; ${restore}`);
  }
  if (stored === undefined) await writeSecret(path, seed, { files });
  if (shownKey !== publicKey) await writeFileDurably(publicPath, new TextEncoder().encode(publicKey), files);
  return identity;
}

/**
 * Another key, which the one of now vouches for: clients follow it when they come next, and what was signed before stays
 * signed. Durable when it resolves; killed before that, it is the old key or the new one that the next start finds.
 * @throws FlError not-found: there is no key · failed-precondition: a run needs this key
 */
export async function rotateIdentity(dataDir: string, files: Files = systemFiles): Promise<Identity> {
  const old = await identityIn(dataDir, true, files);
  const before = old.handOvers ?? [];
  const run = await runThatNeedsKey(join(dataDir, 'runs'));
  if (run !== undefined) {
    const why = 'a run of version 0.1 has its noise from this key: let it end, or stop it';
    throw new FlError('failed-precondition', `${join(dataDir, 'runs', run)}: ${why}`);
  }
  if (before.length >= MAX_HAND_OVERS) {
    const next = 'take another data directory, whose clients join again';
    throw new FlError(
      'failed-precondition',
      `${dataDir}: the key was rotated ${MAX_HAND_OVERS} times, and no more go; next: ${next}`,
    );
  }
  const seed = newIdentitySeed();
  const next = identityFromSeed(seed);
  const handOvers = [...before, signHandOver('coordinator', old, next)];
  await writeSecret(join(dataDir, NEXT_KEY_FILE), seed, { files });
  const text = `${JSON.stringify(handOvers, null, 2)}\n`;
  await writeFileDurably(join(dataDir, HAND_OVERS_FILE), Buffer.from(text), files); // from here on it is the new one
  return identityIn(dataDir, true, files);
}

/** A rotation that was broken off: before its word was down there was none, after it there was. */
async function endRotation(dataDir: string, handOvers: readonly HandOver[], files: Files): Promise<void> {
  const next = join(dataDir, NEXT_KEY_FILE);
  const seed = await readSecret(next, { files });
  if (seed === undefined) return;
  const isGiven = seed.length === 32 && toHex(identityFromSeed(seed).publicKey) === handOvers.at(-1)?.to;
  if (isGiven) await files.rename(next, join(dataDir, KEY_FILE));
  else await files.remove(next);
  await files.syncDirectory(dataDir);
}

/** Oldest first. @throws FlError corrupt: not words of which each follows the one before */
export async function readHandOvers(dataDir: string, files: Files = systemFiles): Promise<readonly HandOver[]> {
  const path = join(dataDir, HAND_OVERS_FILE);
  const stored = await files.read(path);
  if (stored === undefined) return [];
  let handOvers: HandOver[];
  try {
    handOvers = z
      .array(handOverSchema)
      .max(MAX_HAND_OVERS)
      .parse(JSON.parse(new TextDecoder().decode(stored)));
  } catch {
    throw corrupt(path, 'the words of keys on those that followed them, as JSON', 'something else');
  }
  const [first] = handOvers;
  if (first === undefined || keysFrom('coordinator', first.from, handOvers).length === handOvers.length + 1) {
    return handOvers;
  }
  throw corrupt(path, 'words of which each follows the one before, signed by both keys', 'others');
}

/** Version 0.1 drew central noise from the key itself (server/run/noise.ts). */
async function runThatNeedsKey(runs: string): Promise<string | undefined> {
  for (const { name } of await entriesOf(runs)) {
    const names = new Set((await entriesOf(join(runs, name))).map((entry) => entry.name));
    if (names.has('noise.key') || names.has('finished.json') || !names.has('run.json')) continue;
    const about = await readFile(join(runs, name, 'run.json'), 'utf8').catch(() => '');
    if (/"mode": *"central"/.test(about) && !names.has('report.json')) return name;
  }
  return undefined;
}

/** The secret in `path`, made at the first start. */
export async function secretIn(path: string): Promise<string> {
  const stored = await readSecret(path);
  if (stored !== undefined) return new TextDecoder().decode(stored).trim();
  const secret = toHex(rngFromEntropy().bytes(32));
  await writeSecret(path, new TextEncoder().encode(secret));
  return secret;
}
