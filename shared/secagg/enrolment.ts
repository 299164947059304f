/**
 * The list of clients that may take part, each with its long-term Ed25519 key. Pinned at the sites, not fetched from the
 * coordinator: without it a lying server could fill a cohort with clients of its own.
 */
import { invalidArgument } from '../errors.js';
import { checkEd25519Key } from '../signing/strict.js';
import { LIMIT } from './constants.js';
import { memberTag } from './derive.js';
import type { CryptoSuite } from './suite.js';

/** Who may be in a cohort, as one client knows it. */
export interface Enrolment {
  /** The Ed25519 public key under which `id` is enrolled. */
  keyOf(id: string): Uint8Array | undefined;
  /** Whether a roster tag belongs to an enrolled client. */
  hasTag(tag: Uint8Array): boolean;
}

/**
 * An enrolment list under one suite.
 * @throws FlError `invalid-argument` for ids that are empty or too long, and keys that are weak
 *   (shared/signing/strict.ts) or enrolled twice
 */
export function createEnrolment(suite: CryptoSuite, clients: ReadonlyMap<string, Uint8Array>): Enrolment {
  const tags = new Set<string>();
  const keys = new Set<string>();
  for (const [id, key] of clients) {
    const idBytes = new TextEncoder().encode(id).length;
    if (idBytes === 0 || idBytes > LIMIT.idBytes) throw invalidArgument('client id', `1..${LIMIT.idBytes} bytes`, id);
    checkEd25519Key(`enrolled key of ${id}`, key);
    if (keys.has(compact(key))) throw invalidArgument('enrolled key', 'its own 32 bytes', key);
    keys.add(compact(key));
    tags.add(compact(memberTag(suite, id, key)));
  }
  return { keyOf: (id) => clients.get(id), hasTag: (tag) => tags.has(compact(tag)) };
}

/** Bytes as a map key. */
const compact = (bytes: Uint8Array): string => String.fromCharCode.apply(null, bytes as unknown as number[]);
