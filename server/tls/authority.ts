/**
 * The coordinator's own authority, one file of its data directory: made at the first start that needs one, whole or not at
 * all. Its key signs the certificates of this coordinator, of its clients and of its operators, and nothing else. When it is
 * replaced, the one before vouches for it, so that clients who know that one alone still believe the coordinator.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { type Files, systemFiles } from '../../shared/disk/files.js';
import { readSecret, writeSecret } from '../../shared/disk/secrets.js';
import { corrupt, FlError } from '../../shared/errors.js';
import { crossSign, type KeyPair, newAuthority } from '../../shared/tls/certificate.js';
import { certificatesIn } from '../../shared/tls/subject.js';

/** Who vouches for whom; certificates are PEM. */
export interface Authority {
  /** What is issued now is signed by it. */
  readonly current: KeyPair;
  /** All that are trusted, the current one first; at most one before it. */
  readonly trusted: readonly string[];
  /** The current one's, by the one before it; absent when there is none. */
  readonly cross?: string;
}

/** The file: the key, the trusted authorities, and the word of the old on the new; mode 0600. */
export const AUTHORITY_FILE = 'authority.pem';

/** What is there, or a new one. @throws FlError corrupt */
export async function openAuthority(dataDir: string, nowMs: number, files: Files = systemFiles): Promise<Authority> {
  const stored = await readAuthority(dataDir, files);
  if (stored !== undefined) return stored;
  const current = await newAuthority(nowMs);
  return keep(dataDir, { current, trusted: [current.certificate] }, files);
}

/**
 * A new authority, for which the current one vouches, and which is trusted beside it. A third one, if there is, goes.
 * @throws FlError not-found: there is none to follow
 */
export async function rollAuthority(dataDir: string, nowMs: number, files: Files = systemFiles): Promise<Authority> {
  const { current: old } = await existing(dataDir, files);
  const current = await newAuthority(nowMs);
  const cross = await crossSign(old, current, nowMs);
  return keep(dataDir, { current, trusted: [current.certificate, old.certificate], cross }, files);
}

/** The one before the current is trusted no more: its clients who have not renewed since have to join again. */
export async function retireAuthority(dataDir: string, files: Files = systemFiles): Promise<Authority> {
  const { current } = await existing(dataDir, files);
  return keep(dataDir, { current, trusted: [current.certificate] }, files);
}

/** @throws FlError not-found · corrupt */
export async function existing(dataDir: string, files: Files = systemFiles): Promise<Authority> {
  const stored = await readAuthority(dataDir, files);
  if (stored !== undefined) return stored;
  const next = 'it is made at the first start with --public-address';
  throw new FlError('not-found', `${join(dataDir, AUTHORITY_FILE)}: expected an authority, got none; ${next}`);
}

async function keep(dataDir: string, authority: Authority, files: Files): Promise<Authority> {
  const { current, trusted, cross = '' } = authority;
  const text = [current.key, ...trusted, cross].join('');
  await writeSecret(join(dataDir, AUTHORITY_FILE), Buffer.from(text), { files });
  return authority;
}

async function readAuthority(dataDir: string, files: Files): Promise<Authority | undefined> {
  const path = join(dataDir, AUTHORITY_FILE);
  const bytes = await readSecret(path, { files });
  if (bytes === undefined) return undefined;
  const text = new TextDecoder().decode(bytes);
  const restore = 'restore it from a backup; without it every client has to join again';
  const certificates = certificatesIn(text);
  const trusted = certificates.filter(isRoot);
  const [certificate = ''] = trusted;
  const key = keyIn(text);
  if (key === undefined || !isPair(certificate, key)) {
    throw corrupt(path, 'the key of an authority and its certificate, PEM', `something else; ${restore}`);
  }
  const [cross] = certificates.filter((one) => !isRoot(one));
  return { current: { certificate, key }, trusted, ...(cross !== undefined && { cross }) };
}

function isRoot(pem: string): boolean {
  const { subject, issuer } = new X509Certificate(pem);
  return subject === issuer;
}

function keyIn(text: string): string | undefined {
  return /-----BEGIN PRIVATE KEY-----[^-]+-----END PRIVATE KEY-----\n/.exec(text)?.[0];
}

function isPair(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}
