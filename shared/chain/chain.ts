/**
 * An append-only chain of signed lines. Each holds the SHA-256 of the line before, so that none can be changed, moved or
 * taken out without all after it. The ledger of a run, and the privacy charges and the log of a client, are such chains; what their
 * entries say, and what the first of them follows, is theirs to check.
 *
 * A line is canonical JSON, `{"entry":…,"signature":…}`, and a line end: there is one spelling of each. What a chain
 * alone cannot show is that lines were cut off its end: compare its last hash with one that was kept elsewhere.
 */
import { z } from 'zod';
import { corrupt, FlError } from '../errors.js';
import { fromHex, toHex } from '../hex.js';
import { canonicalJson } from '../signing/canonical-json.js';
import { type Identity, sha256Hex, signedBytes, verifySignature } from '../signing/identity.js';

/** Of which chain a line is; no signature is good for two. */
export type ChainKind = 'ledger' | 'privacy-charge' | 'site-log' | 'security-log';

/** What the entries of every chain have. */
export interface ChainEntry {
  /** SHA-256 of the line before, without its line end, hex. */
  readonly previous: string;
}

/** An entry and who says it. */
export interface ChainLine<Entry extends ChainEntry> {
  readonly entry: Entry;
  /** Ed25519 over the kind and the canonical JSON of `entry`, hex. */
  readonly signature: string;
}

/** The entry with its signature. The same entry and key give the same line: Ed25519 draws no random numbers. */
export function signEntry<Entry extends ChainEntry>(
  kind: ChainKind,
  entry: Entry,
  identity: Identity,
): ChainLine<Entry> {
  return { entry, signature: toHex(identity.sign(signedBytes(kind, entry))) };
}

/** A signed entry as it is written, without its line end. */
export function signLine<Entry extends ChainEntry>(kind: ChainKind, entry: Entry, identity: Identity): string {
  return canonicalJson(signEntry(kind, entry, identity));
}

/** Of the lines of a chain whose entries are these: for {@link parseCanonicalJson}, which checks neither key nor chain. */
export function lineSchema<Entry extends ChainEntry>(entry: z.ZodType<Entry>): z.ZodType<ChainLine<Entry>> {
  return z.strictObject({ entry, signature: z.string().regex(/^[0-9a-f]{128}$/) });
}

/** Whether a line is by this Ed25519 key, 32 bytes. */
export function isSignedBy(kind: ChainKind, { entry, signature }: ChainLine<ChainEntry>, key: Uint8Array): boolean {
  return verifySignature(key, signedBytes(kind, entry), fromHex(signature));
}

/**
 * That a line is by this key, `whose` in words, and, unless it is the first, follows the line of this hash.
 * @throws FlError corrupt: signature, previous
 */
export function checkLine(
  kind: ChainKind,
  line: ChainLine<ChainEntry>,
  { key, whose, previous }: { readonly key: Uint8Array; readonly whose: string; readonly previous: string | undefined },
): void {
  if (!isSignedBy(kind, line, key)) throw corrupt('signature', `one by ${whose}`, 'another');
  if (previous === undefined || previous === line.entry.previous) return;
  throw corrupt('previous', previous, line.entry.previous);
}

/** What the next line holds of this one, hex; `line` is without its line end. */
export function lineSha256(line: string): string {
  return sha256Hex(line);
}

/** The lines of a file, without their ends. @throws FlError corrupt: not UTF-8, or the last line has no end. */
export function linesOf(content: Uint8Array): string[] {
  let text: string;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(content);
  } catch (cause) {
    throw new FlError('corrupt', 'expected UTF-8, got other bytes', { cause });
  }
  if (text === '') return [];
  if (!text.endsWith('\n')) throw new FlError('corrupt', 'expected a line end after the last line, got none');
  return text.slice(0, -1).split('\n');
}
