/**
 * The part of a ledger line that speaks of a secure aggregation: made from what the server machine ends with, and checked
 * by someone who has only the specification and the enrolment list.
 *
 * What is recomputed: the aggregation's id, from run, round, attempt, model, specification and nonce; the order of the
 * roster, from names and enrolled keys; the survivor root, from the names of the survivors. What is verified: the
 * coordinator's signature over the proof, and each survivor's own over the survivor root. The roster root stands for
 * keys that lived for one round and are gone, so it is checked only in that the survivors have signed it.
 */
import { corrupt, FlError } from '../errors.js';
import { fromHex, toHex } from '../hex.js';
import type { RoundPlan } from '../run/plan.js';
import { type SecaggSetup, secaggSetupOf } from '../run/secagg-params.js';
import type { RunSpec } from '../run/spec.js';
import { bitmapHas, bitmapOf, compareBytes } from '../secagg/codec.js';
import { memberTag, survivorRootOf } from '../secagg/derive.js';
import {
  aggregationIdOf,
  createEnrolment,
  encodeParams,
  graphParameters,
  nodeSuite,
  type SumProofBody,
  sumProofFault,
} from '../secagg/index.js';
import { sumProofBytes } from '../secagg/proof.js';
import type { Identity } from '../signing/identity.js';
import type { RoundEntry, SecureProof, SignedProof } from './entry.js';

/** What an aggregation ended with. */
export interface SecureEnd {
  readonly aggregationId: Uint8Array;
  readonly rosterRoot: Uint8Array;
  readonly survivorRoot: Uint8Array;
  readonly survivorIds: readonly string[];
  readonly rosterIds: readonly string[];
  readonly included: Uint8Array;
  readonly signatures: readonly { readonly id: string; readonly signature: Uint8Array }[];
  /** The unmasked sum. */
  readonly integers: Int32Array;
}

/** In place of a hash. */
const WITHHELD = '0'.repeat(64);

/** The proof of a secure aggregation of this plan that has come to its end. */
export function proofOf(plan: RoundPlan, { params }: SecaggSetup, end: SecureEnd): SecureProof {
  const { integers } = end;
  const { nonce = '', enrolled = {} } = plan.secure ?? {};
  const sumBytes = new Uint8Array(integers.buffer, integers.byteOffset, integers.byteLength);
  return {
    cohort: plan.cohort,
    ...(plan.valueRange !== undefined && { valueRange: plan.valueRange }),
    nonce,
    aggregationId: toHex(end.aggregationId),
    paramsHash: toHex(nodeSuite.hash(encodeParams(params))),
    rosterRoot: toHex(end.rosterRoot),
    survivorRoot: toHex(end.survivorRoot),
    survivors: [...end.survivorIds].sort(),
    // before the coordinator's noise a hash would confirm a guess of the sum, and of one survivor to who knows the others
    sumHash: plan.work.privacy?.mode === 'central' ? WITHHELD : toHex(nodeSuite.hash(sumBytes)),
    roster: end.rosterIds.map((client) => ({ client, key: enrolled[client] })),
    included: toHex(end.included),
    signatures: end.signatures.map(({ id, signature }) => ({ client: id, signature: toHex(signature) })),
  };
}

/** The proof, under the coordinator's signature. */
export function signProof(proof: SecureProof, identity: Identity): SignedProof {
  return { ...proof, coordinatorSignature: toHex(identity.sign(sumProofBytes(bodyOf(proof)))) };
}

/** @throws FlError corrupt, saying what is wrong with a proof of this entry; `spec` may be left out. */
export function checkSecure(
  entry: RoundEntry,
  proof: SignedProof,
  { spec, coordinatorKey }: { readonly spec: RunSpec | undefined; readonly coordinatorKey: string },
): void {
  const keys = new Map(proof.roster.map(({ client, key }) => [client, fromHex(key)] as const));
  if (keys.size !== proof.roster.length) throw corrupt('roster', 'each client once', 'a name twice');
  const enrolment = createEnrolment(nodeSuite, keys);
  const fault = sumProofFault(
    nodeSuite,
    { ...bodyOf(proof), coordinatorSignature: fromHex(proof.coordinatorSignature) },
    { coordinatorKey: fromHex(coordinatorKey), enrolment, signaturesMin: spec ? thresholdOf(proof, spec) : 1 },
  );
  if (fault !== undefined) throw new FlError('corrupt', `secure proof: ${fault}`);
  const survivors = new Set(proof.survivors);
  const stranger = proof.signatures.find(({ client }) => !survivors.has(client));
  if (stranger !== undefined) throw corrupt('signatures', 'survivors only', stranger.client);
  checkSurvivorRoot(proof, keys);
  if (spec !== undefined) checkAggregation(entry, proof, spec);
}

/** Fewer signatures than the threshold of the graph, and no honest survivor gives a share. */
function thresholdOf({ roster }: SecureProof, { work }: RunSpec): number {
  if (work.secure === undefined) throw corrupt('secure', 'none, as the specification says', 'a proof');
  return graphParameters(roster.length, work.secure).threshold;
}

/** That the survivors named are those that the survivors signed. */
function checkSurvivorRoot(proof: SignedProof, keys: ReadonlyMap<string, Uint8Array>): void {
  const ids = proof.roster.map(({ client }) => client);
  const tags = ids.map((id) => memberTag(nodeSuite, id, keys.get(id)!));
  if (tags.some((tag, i) => i > 0 && compareBytes(tags[i - 1], tag) >= 0)) {
    throw corrupt('roster', 'the order that names and keys give', 'another');
  }
  const indices = proof.survivors.map((id) => ids.indexOf(id));
  const included = fromHex(proof.included);
  if (included.length !== Math.ceil(ids.length / 8)) throw corrupt('included', `${ids.length} bits`, 'another number');
  const stranger = indices.findIndex((index) => index < 0 || !bitmapHas(included, index));
  if (stranger >= 0) throw corrupt('survivors', 'clients that shared their secrets', proof.survivors[stranger]);
  const transcript = { aggregationId: fromHex(proof.aggregationId), rosterRoot: fromHex(proof.rosterRoot) };
  const root = toHex(survivorRootOf(nodeSuite, transcript, { included, survivors: bitmapOf(indices, ids.length) }));
  if (root !== proof.survivorRoot) throw corrupt('survivorRoot', `${root}, from the names`, proof.survivorRoot);
}

/** That the aggregation was this round's, from this model and under this specification. */
function checkAggregation(entry: RoundEntry, proof: SignedProof, { work }: RunSpec): void {
  const { run, round, attempt, modelBefore: modelSha256 } = entry;
  const { cohort, nonce, valueRange } = proof;
  const plan = { run, kind: 'train' as const, round, attempt, modelSha256, cohort, work };
  const bound = work.privacy?.adaptive && entry.privacy ? { clippingBound: entry.privacy.clippingBound } : {};
  const { params, aggregation } = secaggSetupOf({ ...plan, ...bound, valueRange, secure: { nonce, enrolled: {} } });
  const paramsHash = toHex(nodeSuite.hash(encodeParams(params)));
  if (paramsHash !== proof.paramsHash) throw corrupt('paramsHash', paramsHash, proof.paramsHash);
  const id = toHex(aggregationIdOf(nodeSuite, params, aggregation));
  if (id !== proof.aggregationId) throw corrupt('aggregationId', id, proof.aggregationId);
}

/** The proof as shared/secagg knows it. */
function bodyOf(proof: SecureProof): SumProofBody {
  return {
    aggregationId: fromHex(proof.aggregationId),
    paramsHash: fromHex(proof.paramsHash),
    rosterRoot: fromHex(proof.rosterRoot),
    survivorRoot: fromHex(proof.survivorRoot),
    survivorCount: proof.survivors.length,
    sumHash: fromHex(proof.sumHash),
    signatures: proof.signatures.map(({ client, signature }) => ({ id: client, signature: fromHex(signature) })),
  };
}
