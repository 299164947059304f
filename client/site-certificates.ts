/**
 * A lab's certificates from its own authority, in files that something else renews: they are read for each control stream,
 * so that what is new is shown without a restart.
 */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { invalidArgument } from '../shared/errors.js';
import { certificatesIn } from '../shared/tls/subject.js';
import type { ClientTls } from './grpc/tls.js';

/** Paths; all PEM. */
export interface SiteFiles {
  /** The client's, with its chain; it names the client as URI `urn:starling:client:NAME`, or as common name. */
  readonly certificate: string;
  readonly key: string;
  /** Who vouches for the coordinator. */
  readonly authorities: string;
}

/** The same with full paths, so that they are found from another working directory. */
export function absolute({ certificate, key, authorities }: SiteFiles): SiteFiles {
  return { certificate: resolve(certificate), key: resolve(key), authorities: resolve(authorities) };
}

/**
 * What the files hold whenever it is asked for; what they held last, while one of them cannot be read.
 * @throws FlError invalid-argument naming a file, the first time
 */
export function siteTls(files: SiteFiles): () => ClientTls {
  let last = read(files);
  return () => {
    try {
      last = read(files);
    } catch {} // being written
    return last;
  };
}

function read({ certificate, key, authorities }: SiteFiles): ClientTls {
  const text = (path: string) => {
    try {
      return readFileSync(path, 'utf8');
    } catch (error) {
      throw invalidArgument(path, 'a file that can be read, PEM', (error as NodeJS.ErrnoException).code);
    }
  };
  const trusted = certificatesIn(text(authorities));
  if (trusted.length === 0) throw invalidArgument(authorities, 'certificates of authorities, PEM', 'none');
  return { certificate: text(certificate), key: text(key), authorities: trusted };
}
