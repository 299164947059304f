/**
 * A site's own certificates in place of ours: the coordinator shows what its operator's files hold, and clients are vouched
 * for by the site's authorities. The files are read again while it runs, so whatever renews them renews the coordinator.
 * Operators on this machine still come by an authority of the coordinator's own.
 */
import { createPrivateKey, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { corrupt } from '../../shared/errors.js';
import { certificatesIn } from '../../shared/tls/subject.js';
import { type CertificateOptions, type Certificates, openCertificates } from './certificates.js';

/** Paths; all PEM. */
export interface SiteFiles {
  /** The coordinator's, with its chain. */
  readonly certificate: string;
  readonly key: string;
  /** Who vouches for clients. */
  readonly authorities: string;
}

/** What renewed a file is seen this late. */
const READ_MS = 60_000;

interface Read {
  readonly certificate: string;
  readonly key: string;
  readonly authorities: readonly string[];
}

/** @throws FlError corrupt, naming a file; what the system says of one that cannot be read */
export async function openSiteCertificates(files: SiteFiles, options: CertificateOptions): Promise<Certificates> {
  const { clock, onFault } = options;
  let read = await readFiles(files);
  const own = await openCertificates(options);
  const listeners: (() => void)[] = [];
  const tell = () => {
    for (const listener of listeners) listener();
  };
  own.onChange(tell);
  let isClosed = false;
  let cancel = () => {};
  const check = async () => {
    const again = await readFiles(files).catch((thrown) => {
      onFault(thrown); // half written, perhaps; what is shown goes on being shown
      return read;
    });
    const isNew = JSON.stringify(again) !== JSON.stringify(read);
    read = again;
    if (isNew) tell();
    watch();
  };
  const watch = () => {
    if (!isClosed) cancel = clock.after(READ_MS, () => void check());
  };
  watch();
  return {
    current() {
      const { certificate, key, authorities } = read;
      const { trusted, ...operator } = own.current();
      return { certificate, key, trusted: [...authorities, ...trusted], own: trusted, operator };
    },
    onChange: (listener) => void listeners.push(listener),
    issueFor: async () => undefined,
    authorityFingerprint: 'site',
    close() {
      isClosed = true;
      cancel();
      own.close();
    },
  };
}

async function readFiles(files: SiteFiles): Promise<Read> {
  const [certificate, key, authorities] = await Promise.all(
    [files.certificate, files.key, files.authorities].map((path) => readFile(path, 'utf8')),
  );
  const trusted = certificatesIn(authorities);
  if (trusted.length === 0) throw corrupt(files.authorities, 'certificates of authorities, PEM', 'none');
  if (!isPair(certificate, key)) {
    throw corrupt(files.key, `the private key of ${files.certificate}, both PEM`, 'another, or none');
  }
  return { certificate, key, authorities: trusted };
}

function isPair(certificate: string, key: string): boolean {
  try {
    return new X509Certificate(certificate).checkPrivateKey(createPrivateKey(key));
  } catch {
    return false;
  }
}
