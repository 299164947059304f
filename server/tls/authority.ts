/**
 * The coordinator's own authority, in the folder `tls` of its data directory: made at the first start that needs one, whole
 * or not at all. Its key signs the certificates of this coordinator, of its clients and of its operators, and nothing else.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { asideOf, putInPlace } from '../../shared/disk/aside.js';
import { type Files, systemFiles, writeFileDurably } from '../../shared/disk/files.js';
import { corrupt, FlError } from '../../shared/errors.js';
import { type KeyPair, newAuthority } from '../../shared/tls/certificate.js';
import { certificatesIn } from '../../shared/tls/subject.js';

/** Who vouches for whom. */
export interface Authority {
  /** What is issued now is signed by it. */
  readonly current: KeyPair;
  /** PEM: all that are trusted, the current one first. */
  readonly trusted: readonly string[];
}

const FOLDER = 'tls';
const KEY_FILE = 'authority.key';
const CERTIFICATE_FILE = 'authority.pem';

/** What is there, or a new one. @throws FlError corrupt · not-found: half of it is gone, which no new one can replace */
export async function openAuthority(dataDir: string, nowMs: number, files: Files = systemFiles): Promise<Authority> {
  const directory = join(dataDir, FOLDER);
  const stored = await readAuthority(directory, files);
  if (stored !== undefined) return stored;
  const made = await newAuthority(nowMs);
  const aside = await asideOf(directory);
  await files.makeDirectory(aside);
  await writeFileDurably(join(aside, CERTIFICATE_FILE), Buffer.from(made.certificate), files);
  await writeFileDurably(join(aside, KEY_FILE), Buffer.from(made.key), files);
  await putInPlace(files, aside, directory, KEY_FILE);
  return { current: made, trusted: [made.certificate] };
}

async function readAuthority(directory: string, files: Files): Promise<Authority | undefined> {
  const [certificatePath, keyPath] = [join(directory, CERTIFICATE_FILE), join(directory, KEY_FILE)];
  const [text, key] = await Promise.all([textOf(certificatePath, files), textOf(keyPath, files)]);
  if (text === undefined && key === undefined) return undefined;
  const restore = `restore ${directory} from a backup; without it every client has to join again`;
  if (text === undefined || key === undefined) {
    const path = text === undefined ? certificatePath : keyPath;
    throw new FlError('not-found', `${path}: expected the authority that clients know, got none; ${restore}`);
  }
  const trusted = certificatesIn(text);
  if (trusted.length === 0) throw corrupt(certificatePath, 'certificates, PEM', `none; ${restore}`);
  const [certificate] = trusted;
  if (!isPair(certificate, key)) throw corrupt(keyPath, `the key of ${certificatePath}`, `another; ${restore}`);
  return { current: { certificate, key }, trusted };
}

function isPair(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}

async function textOf(path: string, files: Files): Promise<string | undefined> {
  const bytes = await files.read(path);
  return bytes && new TextDecoder().decode(bytes);
}
