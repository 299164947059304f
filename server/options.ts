/** What a coordinator is made of: its process, a simulation and tests give each their own. */
import type { Clock } from '../shared/clock.js';
import type { Files } from '../shared/disk/files.js';
import type { FlError } from '../shared/errors.js';
import type { Rng } from '../shared/rng.js';
import type { RunEvent } from '../shared/run/events.js';
import type { Issued } from '../shared/service.js';
import type { SignedNotice } from '../shared/signing/address-notice.js';
import type { Identity } from '../shared/signing/identity.js';
import type { Accounts } from './accounts.js';
import type { Logger } from './log.js';
import type { Registry } from './registry.js';
import type { Retention } from './retention.js';
import type { Run } from './run/run.js';
import type { Space } from './space.js';

/** Who makes the certificates of clients. */
export interface Issuer {
  /** What a join token pins it by: SHA-256 of its certificate, hex; `site`: the site's own, which clients are given. */
  readonly authorityFingerprint: string;
  /** @param publicKey Ed25519, 32 bytes, by which `client` is enrolled. Undefined: the site issues */
  issueFor(client: string, publicKey: Uint8Array): Promise<Issued | undefined>;
  /** A new key for an operator, its certificate and the authorities, PEM. */
  issueOperator?(name: string): Promise<string>;
}

/** What a coordinator stands on, and whom it tells. */
export interface CoordinatorOptions {
  readonly dataDir: string;
  readonly identity: Identity;
  readonly registry: Registry;
  /** Of operators; absent: there is nobody but `admin`. */
  readonly accounts?: Accounts;
  readonly clock: Clock;
  /** For nonces, sessions, tokens and run ids. */
  readonly rng: Rng;
  /** Noise of central privacy follows from `identity`: in a simulation, whose models follow from its seed. */
  readonly isNoiseSeeded?: boolean;
  readonly log: Logger;
  readonly inFlightBytes?: number;
  /** For tests: by which runs are written, and beyond how many bytes a journal is compacted. */
  readonly files?: Files;
  readonly journalBytes?: number;
  /** Where clients reach it; the first is what a join token says. Absent: in this process, without a network. */
  readonly addresses?: () => readonly string[];
  /** Makes certificates for clients that join; absent: connections are in plaintext. */
  readonly issuer?: Issuer;
  /** What clients are told of its addresses. */
  readonly notice?: () => SignedNotice | undefined;
  /** The disk of `dataDir`, when it may fill up: then no round begins without room for it. */
  readonly space?: Space;
  /** Which finished runs are kept whole; absent: all. */
  readonly retention?: Retention;
  /**
   * A run has ended, just now or in an earlier process that may have been killed before it could tell; never rejects, and
   * resolves when nothing more is written of it.
   */
  onRunEnded?(run: Run): Promise<void>;
  /** For counters: each event of a run, once, as it happens; it never throws. */
  onEvent?(run: Run, event: RunEvent): void;
  /** The disk failed or a bug struck; the process should end. */
  fatal(error: FlError): void;
}
