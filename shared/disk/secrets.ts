/**
 * Files that hold a key or a token. With a key file (`--key-file`, STARLING_KEY_FILE, or `starling.key` among systemd's
 * credentials) they are sealed under it (shared/signing/sealed.ts); one that was there in the clear is sealed when it is
 * read next. Without one they are as they always were. A process has one key file, as it has one umask.
 */
import { readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { corrupt, FlError, invalidArgument } from '../errors.js';
import { isSealed, type Sealer, sealerOf } from '../signing/sealed.js';
import { type Files, systemFiles, writeFileDurably } from './files.js';

/** Among the credentials of a service of systemd. */
export const CREDENTIAL = 'starling.key';
/** A passphrase, or a file of random bytes. */
const MAX_KEY_BYTES = 4096;

/** What the command line has given. */
let given: string | undefined;
/** That was read last. */
let read: { readonly path: string; readonly sealer: Sealer } | undefined;

/** From now on secrets of this process are under what this file holds; `-` is standard input; undefined: as at its start. */
export function useKeyFile(path: string | undefined): void {
  given = path;
}

/** What this process seals by; undefined: nothing is sealed. @throws FlError invalid-argument: no such file, or nothing in it */
export function keyring(): Sealer | undefined {
  const path = given ?? process.env.STARLING_KEY_FILE ?? credentialPath();
  if (path === undefined) return undefined;
  if (read?.path !== path) read = { path, sealer: sealerIn(path) };
  return read.sealer;
}

/** The sealer of the passphrase in a file, without the line end after it. @throws FlError invalid-argument */
export function sealerIn(path: string): Sealer {
  let bytes: Buffer;
  try {
    bytes = readFileSync(path === '-' ? 0 : path);
  } catch (thrown) {
    throw invalidArgument(
      'key-file',
      'a file with the key of keys at rest',
      (thrown as { code?: string }).code ?? path,
    );
  }
  warnIfOpen(path);
  const end = bytes.at(-1) === 0x0a ? (bytes.at(-2) === 0x0d ? -2 : -1) : undefined;
  const passphrase = bytes.subarray(0, end);
  if (passphrase.length >= 1 && passphrase.length <= MAX_KEY_BYTES) return sealerOf(passphrase);
  throw invalidArgument('key-file', `1 to ${MAX_KEY_BYTES} bytes in ${path}`, passphrase.length);
}

/** Not refused: what a container is given as a secret is often readable by all in it. */
function warnIfOpen(path: string): void {
  if (path === '-' || (statSync(path).mode & 0o007) === 0) return;
  process.stderr.write(`starling: key-file: any user of this machine may read ${path}; next: chmod 600 ${path}\n`);
}

/** The credential, if there is one. */
function credentialPath(): string | undefined {
  const directory = process.env.CREDENTIALS_DIRECTORY;
  if (directory === undefined) return undefined;
  const path = join(directory, CREDENTIAL);
  try {
    readFileSync(path);
    return path;
  } catch (thrown) {
    if ((thrown as { code?: string }).code === 'ENOENT') return undefined;
    throw invalidArgument('key-file', `a credential that can be read, ${path}`, (thrown as { code?: string }).code);
  }
}

/**
 * What a file holds, opened; undefined: there is none.
 * @throws FlError invalid-argument: it is sealed, and there is no key file, or another · corrupt: it is damaged
 */
export async function readSecret(
  path: string,
  { files = systemFiles, sealer = keyring() }: { readonly files?: Files; readonly sealer?: Sealer } = {},
): Promise<Uint8Array | undefined> {
  const stored = await files.read(path);
  if (stored === undefined) return undefined;
  if (isSealed(stored)) return opened(path, stored, sealer);
  if (sealer !== undefined && stored.length > 0) await writeSecret(path, stored, { files, sealer });
  return stored;
}

/** As {@link readSecret}, of bytes that were read. */
export function opened(path: string, stored: Uint8Array, sealer: Sealer | undefined): Uint8Array {
  if (sealer === undefined) {
    const next = 'next: --key-file FILE, or STARLING_KEY_FILE, with the file that it was sealed by';
    throw new FlError('invalid-argument', `key-file: expected the one that ${path} is sealed by, got none; ${next}`);
  }
  const secret = sealer.open(nameOf(path), stored);
  if (secret === 'another-key') {
    throw new FlError('invalid-argument', `key-file: expected the one that ${path} is sealed by, got another`);
  }
  if (secret !== 'damaged') return secret;
  const next = 'it is cut short or changed: restore it from a backup';
  throw corrupt(path, 'a sealed file as it was written', `${stored.length} bytes that do not open; ${next}`);
}

/** Durable when it resolves, sealed if this process has a key file; what was there before is gone, or still there. */
export async function writeSecret(
  path: string,
  secret: Uint8Array,
  { files = systemFiles, sealer = keyring() }: { readonly files?: Files; readonly sealer?: Sealer } = {},
): Promise<void> {
  await writeFileDurably(path, sealer === undefined ? secret : sealer.seal(nameOf(path), secret), files);
}

/** By which a file is sealed: `identity.key` also while it is about to become that. */
function nameOf(path: string): string {
  return basename(path).replace(/\.next$/, '');
}

/**
 * Seals a secret by `to`, or opens it for good; whoever is killed in between of several says it again. False: there is no
 * such file, or it was so before.
 * @throws FlError as {@link readSecret}
 */
export async function reseal(path: string, to: Sealer | undefined): Promise<boolean> {
  const stored = await systemFiles.read(path);
  if (stored === undefined) return false;
  if (isSealed(stored) && to !== undefined && typeof to.open(nameOf(path), stored) !== 'string') return false;
  if (!isSealed(stored) && to === undefined) return false;
  const secret = isSealed(stored) ? opened(path, stored, keyring()) : stored;
  await writeFileDurably(path, to === undefined ? secret : to.seal(nameOf(path), secret));
  return true;
}
