/**
 * One line of ledger.jsonl: what the coordinator states, and signs, about a run and each of its committed rounds.
 *
 * A line is canonical JSON (shared/identity.ts), `{"entry":…,"signature":…}`, and a line end. `entry.previous` is the
 * SHA-256 of the line before, without its line end; in the first line, that of the run's specification. So there is one
 * spelling of each line, and none can be changed, moved or taken out without all after it. docs/ledger.md has the format.
 *
 * Bytes are lower-case hex.
 */
import { z } from 'zod';
import { type DropReason, FlError } from '../errors.js';
import { canonicalJson, type Identity, sha256Hex, signedBytes, verifySignature } from '../identity.js';
import type { Dropped, RunSpec } from '../run/plan.js';
import type { RoundPrivacy } from './privacy.js';

/** The first line: which run this is, and whose key signs it. */
export interface OpenedEntry {
  readonly kind: 'opened';
  readonly version: 1;
  readonly run: string;
  /** SHA-256 of the canonical JSON of the run's specification (`spec` in run.json). */
  readonly previous: string;
  /** Of the model that the run starts from. */
  readonly modelSha256: string;
  /** Ed25519. */
  readonly coordinatorKey: string;
  readonly atMs: number;
}

/** What a secure aggregation leaves behind, so that anyone can check it with the enrolment list alone. */
export interface SecureProof {
  /** Clients that were invited to this aggregation. */
  readonly cohort: number;
  /** With run, round, attempt, model and specification it gives the aggregation's id. */
  readonly nonce: string;
  readonly aggregationId: string;
  readonly paramsHash: string;
  readonly rosterRoot: string;
  readonly survivorRoot: string;
  readonly survivors: readonly string[];
  readonly sumHash: string;
  /** In the order of the roster: who, and the Ed25519 key under which the coordinator has enrolled it. */
  readonly roster: readonly { readonly client: string; readonly key: string }[];
  /** Bitmap over the roster: who had shared its secrets and could therefore be in the sum. */
  readonly included: string;
  /** The survivors' own, over the survivor root. */
  readonly signatures: readonly { readonly client: string; readonly signature: string }[];
}

/** A proof with the coordinator's signature over the receipt of shared/secagg: it can be handed on without its line. */
export interface SecureReceipt extends SecureProof {
  readonly coordinatorSignature: string;
}

/** One committed round. */
export interface RoundEntry {
  readonly kind: 'round';
  readonly run: string;
  readonly round: number;
  readonly attempt: number;
  readonly previous: string;
  readonly modelBefore: string;
  readonly modelAfter: string;
  /** Clients that were invited: the survivors and the dropped. */
  readonly cohort: number;
  /** Sorted by name. The hash is of the update's bytes; with secure aggregation nobody but the client knows them. */
  readonly survivors: readonly { readonly client: string; readonly updateSha256?: string }[];
  readonly dropped: readonly { readonly client: string; readonly reason: DropReason }[];
  /** One for each secure aggregation of the round; none when the coordinator sees each update. */
  readonly secure: readonly SecureReceipt[];
  /** Null in a run without differential privacy. */
  readonly privacy: RoundPrivacy | null;
  readonly atMs: number;
}

export type LedgerEntry = OpenedEntry | RoundEntry;

export interface LedgerLine {
  readonly entry: LedgerEntry;
  readonly signature: string;
}

export function openedEntry(
  run: string,
  spec: RunSpec,
  about: { modelSha256: string; coordinatorKey: Uint8Array; atMs: number },
): OpenedEntry {
  const { modelSha256, atMs } = about;
  const previous = specSha256(spec);
  const coordinatorKey = hex(about.coordinatorKey);
  return { kind: 'opened', version: 1, run, previous, modelSha256, coordinatorKey, atMs };
}

/** What the first line holds of the specification; `spec` is a JSON value. */
export function specSha256(spec: unknown): string {
  return sha256Hex(canonicalJson(spec));
}

export function droppedOf(dropped: readonly Dropped[]): RoundEntry['dropped'] {
  return dropped.map(({ client, reason }) => ({ client, reason })); // the detail is free text, and for the operator
}

/** The line, without its line end. */
export function signLine(entry: LedgerEntry, identity: Identity): string {
  return canonicalJson({ entry, signature: hex(identity.sign(signedBytes('ledger', entry))) });
}

export function isSignedBy({ entry, signature }: LedgerLine, coordinatorKey: string): boolean {
  return verifySignature(bytes(coordinatorKey), signedBytes('ledger', entry), bytes(signature));
}

/** What the next line holds of this one. */
export function lineSha256(line: string): string {
  return sha256Hex(line);
}

/** @throws FlError corrupt for anything that {@link signLine} would not have written; the signature is not checked. */
export function parseLine(text: string): LedgerLine {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FlError('corrupt', 'expected JSON, got something else', { cause });
  }
  const result = line.safeParse(value);
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new FlError('corrupt', `${issue.path.join('.') || 'line'}: ${issue.message}`);
  }
  if (canonicalJson(result.data) !== text)
    throw new FlError('corrupt', 'expected canonical JSON, got another spelling');
  return result.data as LedgerLine;
}

const hexOf = (sizeBytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * sizeBytes}}$`));
const hash = hexOf(32);
const name = z.string().min(1).max(256);
const count = z.int().min(1);
const common = { run: name, previous: hash, atMs: z.int() };
const opened = z.strictObject({
  ...common,
  kind: z.literal('opened'),
  version: z.literal(1),
  modelSha256: hash,
  coordinatorKey: hexOf(32),
});
const secure = z.strictObject({
  cohort: count,
  nonce: hexOf(16),
  aggregationId: hash,
  paramsHash: hash,
  rosterRoot: hash,
  survivorRoot: hash,
  survivors: z.array(name),
  sumHash: hash,
  roster: z.array(z.strictObject({ client: name, key: hexOf(32) })),
  included: z.string().regex(/^([0-9a-f]{2})*$/),
  signatures: z.array(z.strictObject({ client: name, signature: hexOf(64) })),
  coordinatorSignature: hexOf(64),
});
const privacy = z.strictObject({
  unit: z.enum(['client', 'example']),
  clippingBound: z.number().positive(),
  spend: z.strictObject({
    release: z.discriminatedUnion('mechanism', [
      z.strictObject({
        mechanism: z.literal('gaussian'),
        noiseMultiplier: z.number().positive(),
        samplingRate: z.number().gt(0).max(1).optional(),
      }),
      z.strictObject({ mechanism: z.literal('zcdp'), rho: z.number().positive() }),
    ]),
    count,
  }),
  tree: z.strictObject({ rounds: count, separation: count }).optional(),
  delta: z.number().gt(0).lt(1),
  accountant: z.enum(['pld', 'rdp']),
  chargedElsewhere: z.array(name),
  mostRounds: count,
  epsilon: z.number().min(0),
});
const round = z.strictObject({
  ...common,
  kind: z.literal('round'),
  round: count,
  attempt: count,
  modelBefore: hash,
  modelAfter: hash,
  cohort: count,
  survivors: z.array(z.strictObject({ client: name, updateSha256: hash.optional() })),
  dropped: z.array(z.strictObject({ client: name, reason: name })),
  secure: z.array(secure),
  privacy: privacy.nullable(),
});
const line = z.strictObject({ entry: z.discriminatedUnion('kind', [opened, round]), signature: hexOf(64) });

export function hex(value: Uint8Array): string {
  return Buffer.from(value).toString('hex');
}

export function bytes(value: string): Uint8Array {
  return Buffer.from(value, 'hex');
}
