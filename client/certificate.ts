/**
 * A client's certificate in its directory, beside the key that it is for: what it shows on its connections, and the
 * authorities by which it knows its coordinator.
 */
import { X509Certificate } from 'node:crypto';
import { join } from 'node:path';
import { type Files, systemFiles, writeFileDurably } from '../shared/disk/files.js';
import { corrupt, FlError } from '../shared/errors.js';
import { toHex } from '../shared/hex.js';
import type { Issued } from '../shared/service.js';
import { identityFromSeed, keyPemOf } from '../shared/signing/identity.js';
import { certificatesIn, peerOf } from '../shared/tls/subject.js';
import type { ClientTls } from './grpc/tls.js';

/** The client's certificate, and the authorities after it, PEM; absent where the coordinator is called in plaintext. */
export const CERTIFICATE_FILE = 'certificate.pem';

/** Writes it down, durable. @throws FlError permission-denied: it is not for the key of `seed` */
export async function keepCertificate(
  directory: string,
  issued: Issued | undefined,
  { seed, files = systemFiles }: { readonly seed: Uint8Array; readonly files?: Files },
): Promise<void> {
  const { publicKey = new Uint8Array(0) } = issued === undefined ? {} : peerOf(derOf(issued), issued.authorities);
  if (issued === undefined || toHex(publicKey) !== toHex(identityFromSeed(seed).publicKey)) {
    const got = issued === undefined ? 'none' : 'one for another';
    throw new FlError('permission-denied', `certificate: expected one for the key that was shown, got ${got}`);
  }
  const text = [issued.certificate, ...issued.authorities].join('');
  await writeFileDurably(join(directory, CERTIFICATE_FILE), Buffer.from(text), files);
}

/** What is there, with the key of `seed`; undefined: none is. @throws FlError corrupt */
export async function certificateIn(directory: string, seed: Uint8Array): Promise<ClientTls | undefined> {
  const path = join(directory, CERTIFICATE_FILE);
  const stored = await systemFiles.read(path);
  if (stored === undefined) return undefined;
  const [certificate, ...authorities] = certificatesIn(new TextDecoder().decode(stored));
  if (authorities.length === 0) throw corrupt(path, 'a certificate and its authorities, PEM', 'less');
  return { certificate, authorities, key: keyPemOf(seed) };
}

function derOf({ certificate }: Issued): Uint8Array {
  return new X509Certificate(certificate).raw;
}
