/**
 * What the coordinator shows on its connections and whom it trusts there, for as long as it runs: its own certificate is
 * made in memory from the authority, again after two thirds of its life, and connections made from then on are shown the
 * new one. No restart, no key on the disk but the authority's and the operator's.
 */
import { join } from 'node:path';
import type { Clock } from '../../shared/clock.js';
import { writeSecret } from '../../shared/disk/secrets.js';
import type { Issued } from '../../shared/service.js';
import { issue, issueFor, type KeyPair } from '../../shared/tls/certificate.js';
import { fingerprintOf, renewAtMs } from '../../shared/tls/subject.js';
import { ROOT } from '../accounts.js';
import { OPERATOR_FILE } from '../data-dir.js';
import { type Authority, openAuthority } from './authority.js';

/** What a server shows and trusts now; PEM. */
export interface Shown extends KeyPair {
  /** Authorities: a client whose certificate none of them has issued has none. */
  readonly trusted: readonly string[];
  /** Those of them that are the coordinator's own: a key that they vouch for is one that is enrolled. */
  readonly own: readonly string[];
  /** What operators on this machine are shown, when it is something else. */
  readonly operator?: KeyPair;
}

/** The certificates of a coordinator that runs. */
export interface Certificates {
  current(): Shown;
  /** Calls `listener` whenever `current` has changed. */
  onChange(listener: () => void): void;
  /** For the key that a client is enrolled by; undefined: the site issues its own. */
  issueFor(client: string, publicKey: Uint8Array): Promise<Issued | undefined>;
  /** For a new key, which is made here: key, certificate and authorities, PEM. */
  issueOperator(name: string): Promise<string>;
  /** What a join token pins: SHA-256 of the authority's certificate, hex; or `site`. */
  readonly authorityFingerprint: string;
  close(): void;
}

/** Timers of the system hold 24 days, and a machine may sleep: it is looked at this often whether something is due. */
const CHECK_MS = 6 * 3_600_000;

/** What certificates are made for. */
export interface CertificateOptions {
  readonly dataDir: string;
  /** Names and addresses by which clients and operators reach this coordinator. */
  readonly hosts: readonly string[];
  readonly clock: Clock;
  readonly onFault: (thrown: unknown) => void;
}

/** Opens or makes the authority of a data directory. @throws FlError corrupt or not-found, of the authority */
export async function openCertificates(options: CertificateOptions): Promise<Certificates> {
  const { dataDir, clock, onFault } = options;
  const authority = await openAuthority(dataDir, clock.nowMs());
  const listeners: (() => void)[] = [];
  let shown = await show(options, authority);
  let cancel = () => {};
  let isClosed = false;
  const renew = async () => {
    shown = await show(options, authority);
    for (const listener of listeners) listener();
  };
  const check = async () => {
    if (clock.nowMs() >= renewAtMs(shown.certificate)) await renew().catch(onFault);
    if (!isClosed) cancel = clock.after(CHECK_MS, () => void check());
  };
  await check();
  return {
    current: () => shown,
    onChange: (listener) => void listeners.push(listener),
    async issueFor(client, publicKey) {
      const subject = { kind: 'client', name: client } as const;
      const certificate = await issueFor(authority.current, { subject, publicKey, nowMs: clock.nowMs() });
      return { certificate, authorities: authority.trusted };
    },
    issueOperator: (name) => operatorPem(name, authority, clock.nowMs()),
    authorityFingerprint: fingerprintOf(authority.trusted.at(-1)!), // it is what every client finds in the chain
    close() {
      isClosed = true;
      cancel();
    },
  };
}

/** New keys and certificates for this coordinator and, in a file of its data directory, for the operator's commands. */
async function show({ dataDir, hosts, clock }: CertificateOptions, authority: Authority): Promise<Shown> {
  const { current, trusted, cross } = authority;
  const nowMs = clock.nowMs();
  const server = await issue(current, { subject: { kind: 'server', hosts }, nowMs });
  await writeSecret(join(dataDir, OPERATOR_FILE), Buffer.from(await operatorPem(ROOT, authority, nowMs)));
  // the oldest that is trusted ends the chain: a client that joins knows its hash, one that was away knows it alone
  const chain = [server.certificate, ...(cross === undefined ? [] : [cross]), trusted.at(-1)].join('');
  return { ...server, certificate: chain, trusted, own: trusted };
}

async function operatorPem(name: string, { current, trusted }: Authority, nowMs: number): Promise<string> {
  const { key, certificate } = await issue(current, { subject: { kind: 'operator', name }, nowMs });
  return [key, certificate, ...trusted].join('');
}
