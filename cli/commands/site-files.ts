/** `--tls-cert`, `--tls-key` and `--tls-ca`, which a coordinator and a client take alike: a site's own certificates. */
import type { Command } from 'commander';
import { invalidArgument } from '../../shared/errors.js';

/** As commander reads them. */
export interface SiteFilesGiven {
  readonly tlsCert?: string;
  readonly tlsKey?: string;
  readonly tlsCa?: string;
}

/** Adds the three options. */
export function withSiteFiles(command: Command): Command {
  return command
    .option('--tls-cert <FILE>', "a certificate of your site's own authority, with its chain, PEM")
    .option('--tls-key <FILE>', 'its private key, PEM')
    .option('--tls-ca <FILE>', 'the authorities that vouch for the other side, PEM');
}

/** Paths; undefined: none was given. @throws FlError invalid-argument: some, and not all */
export function siteFilesOf({ tlsCert: certificate, tlsKey: key, tlsCa: authorities }: SiteFilesGiven) {
  if (certificate !== undefined && key !== undefined && authorities !== undefined) {
    return { certificate, key, authorities };
  }
  const given = [certificate, key, authorities].filter((path) => path !== undefined);
  if (given.length === 0) return undefined;
  throw invalidArgument('--tls-cert, --tls-key, --tls-ca', 'all three, or none', `${given.length} of them`);
}
