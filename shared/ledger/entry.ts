/**
 * One line of ledger.jsonl: what the coordinator states, and signs, about a run and each of its committed rounds. Lines are
 * those of a chain (shared/chain). docs/ledger.md has the format. Bytes are lower-case hex.
 */
import { z } from 'zod';
import { type ChainLine, lineSchema } from '../chain/chain.js';
import type { DropReason } from '../errors.js';
import { toHex } from '../hex.js';
import type { StoredRunSpec } from '../run/spec.js';
import type { Dropped } from '../run/summary.js';
import { canonicalJson, parseCanonicalJson } from '../signing/canonical-json.js';
import { handOverSchema, MAX_HAND_OVERS } from '../signing/hand-over.js';
import { sha256Hex } from '../signing/identity.js';
import { roundPrivacy } from './privacy.js';

const hexOf = (sizeBytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${2 * sizeBytes}}$`));
const hash = hexOf(32);
const name = z.string().min(1).max(256);
const count = z.int().min(1);
const common = { run: name, previous: hash, atMs: z.int() };

/** The first line: which run this is, and whose key signs it. */
const opened = z.strictObject({
  ...common,
  kind: z.literal('opened'),
  version: z.literal(1),
  /** Of the model that the run starts from. */
  modelSha256: hash,
  /** Ed25519. */
  coordinatorKey: hexOf(32),
});

const proof = {
  /** Clients that were invited to this aggregation. */
  cohort: count,
  /** Instead of the specification's, since an earlier round was clamped. */
  valueRange: z.number().positive().optional(),
  /** With run, round, attempt, model and specification it gives the aggregation's id. */
  nonce: hexOf(16),
  aggregationId: hash,
  paramsHash: hash,
  rosterRoot: hash,
  survivorRoot: hash,
  survivors: z.array(name).readonly(),
  sumHash: hash,
  /** In the order of the roster: who, and the Ed25519 key under which the coordinator has enrolled it. */
  roster: z.array(z.strictObject({ client: name, key: hexOf(32) })).readonly(),
  /** Bitmap over the roster: who had shared its secrets and could therefore be in the sum. */
  included: z.string().regex(/^([0-9a-f]{2})*$/),
  /** The survivors' own, over the survivor root. */
  signatures: z.array(z.strictObject({ client: name, signature: hexOf(64) })).readonly(),
};
const secureProof = z.strictObject(proof);
const signedProof = z.strictObject({ ...proof, coordinatorSignature: hexOf(64) });

const clientHandOver = z.strictObject({ client: name, ...handOverSchema.shape });
/** The word of a client's key on the one that followed it. */
export type ClientHandOver = Readonly<z.infer<typeof clientHandOver>>;

/** One committed round. */
const round = z.strictObject({
  ...common,
  kind: z.literal('round'),
  round: count,
  attempt: count,
  modelBefore: hash,
  modelAfter: hash,
  /** Clients that were invited: the survivors and the dropped. */
  cohort: count,
  /** Sorted by name. The hash is of the update's bytes; with secure aggregation nobody but the client knows them. */
  survivors: z.array(z.strictObject({ client: name, updateSha256: hash.optional() })).readonly(),
  dropped: z
    .array(z.strictObject({ client: name, reason: name as z.ZodType<string> as z.ZodType<DropReason> }))
    .readonly(),
  /** One for each secure aggregation of the round; none when the coordinator sees each update. */
  secure: z.array(signedProof).readonly(),
  /** Null in a run without differential privacy. */
  privacy: roundPrivacy.nullable(),
  /** How the key of the first line led to the one that signs this line; absent: it is that key. */
  handOvers: z.array(handOverSchema).min(1).max(MAX_HAND_OVERS).readonly().optional(),
  /** Of clients in the rosters of this round whose keys were replaced by their own word since the run began. */
  clientHandOvers: z.array(clientHandOver).min(1).readonly().optional(),
});

/** `previous` is the SHA-256 of the canonical JSON of the run's specification (`spec` in run.json). */
export type OpenedEntry = Readonly<z.infer<typeof opened>>;

/** `previous` is the SHA-256 of the line before, without its line end. */
export type RoundEntry = Readonly<z.infer<typeof round>>;

/** What a secure aggregation leaves behind, so that anyone can check it with the enrolment list alone. */
export type SecureProof = Readonly<z.infer<typeof secureProof>>;

/** A proof with the coordinator's signature over it, as shared/secagg has it: it can be handed on without its line. */
export type SignedProof = Readonly<z.infer<typeof signedProof>>;

/** What a line states. */
export type LedgerEntry = OpenedEntry | RoundEntry;

/** A line, read. */
export type LedgerLine = ChainLine<LedgerEntry>;

/** Of a line. */
const line = lineSchema<LedgerEntry>(z.discriminatedUnion('kind', [opened, round]));

/** A line without its end, read; its signature is not checked. @throws FlError corrupt naming what is not as it is written */
export function parseLine(text: string): LedgerLine {
  return parseCanonicalJson(text, line);
}

/** The first entry of a run's ledger. */
export function openedEntry(
  run: string,
  spec: StoredRunSpec,
  about: { modelSha256: string; coordinatorKey: Uint8Array; atMs: number },
): OpenedEntry {
  const { modelSha256, atMs } = about;
  const previous = specSha256(spec);
  const coordinatorKey = toHex(about.coordinatorKey);
  return { kind: 'opened', version: 1, run, previous, modelSha256, coordinatorKey, atMs };
}

/** What the first line holds of the specification; `spec` is a JSON value. */
export function specSha256(spec: unknown): string {
  return sha256Hex(canonicalJson(spec));
}

/** The dropped of a round, as its entry names them. */
export function droppedOf(dropped: readonly Dropped[]): RoundEntry['dropped'] {
  return dropped.map(({ client, reason }) => ({ client, reason })); // the detail is free text, and for the operator
}
