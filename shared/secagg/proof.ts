/**
 * What the coordinator signs about a finished aggregation, checkable by anyone with its public key and the enrolment list:
 * parameters, roster, survivors and the hash of the sum, with the survivors' own signatures over the survivor set. Two valid
 * proofs of one aggregation with different content prove that the coordinator told two stories.
 */
import { Writer } from './codec.js';
import { LABEL } from './constants.js';
import { consistencyBody } from './derive.js';
import type { Enrolment } from './enrolment.js';
import type { CryptoSuite } from './suite.js';

/** What is claimed of an aggregation, and the survivors' own signatures over its survivor root. */
export interface SumProofBody {
  readonly aggregationId: Uint8Array;
  /** Hash of the canonical parameters (hash of encodeParams). */
  readonly paramsHash: Uint8Array;
  readonly rosterRoot: Uint8Array;
  readonly survivorRoot: Uint8Array;
  readonly survivorCount: number;
  readonly sumHash: Uint8Array;
  readonly signatures: readonly { readonly id: string; readonly signature: Uint8Array }[];
}

/** The claim with the coordinator's signature (Ed25519, 64 bytes): it can be handed on. */
export interface SumProof extends SumProofBody {
  readonly coordinatorSignature: Uint8Array;
}

/** What may be wrong with a proof, in the order in which it is looked for. */
export type SumProofFault =
  | 'coordinator-signature' // not signed by this coordinator
  | 'unenrolled-signer'
  | 'survivor-signature' // some survivor did not sign this survivor set
  | 'too-few-signatures'; // fewer survivors signed than the caller demands

/** Signs a proof with the coordinator's Ed25519 seed. */
export function signSumProof(suite: CryptoSuite, coordinatorSeed: Uint8Array, body: SumProofBody): SumProof {
  return { ...body, coordinatorSignature: suite.signer(coordinatorSeed)(sumProofBytes(body)) };
}

/** What is wrong with a proof, or undefined. `signaturesMin` is the least number of survivors who must have signed. */
export function sumProofFault(
  suite: CryptoSuite,
  proof: SumProof,
  trust: { readonly coordinatorKey: Uint8Array; readonly enrolment: Enrolment; readonly signaturesMin: number },
): SumProofFault | undefined {
  const { coordinatorSignature, signatures, survivorRoot } = proof;
  const signed = { publicKey: trust.coordinatorKey, message: sumProofBytes(proof), signature: coordinatorSignature };
  if (!suite.verify(signed)) return 'coordinator-signature';
  const message = consistencyBody(proof, survivorRoot);
  const signers = new Set<string>();
  for (const { id, signature } of signatures) {
    const publicKey = trust.enrolment.keyOf(id);
    if (publicKey === undefined) return 'unenrolled-signer';
    if (!suite.verify({ publicKey, message, signature })) return 'survivor-signature';
    signers.add(id);
  }
  return signers.size < trust.signaturesMin ? 'too-few-signatures' : undefined;
}

/** Pairs of proofs, each validly signed, that say different things about one aggregation. */
export function contradictions(
  suite: CryptoSuite,
  coordinatorKey: Uint8Array,
  proofs: readonly SumProof[],
): [SumProof, SumProof][] {
  const genuine = proofs.filter((proof) =>
    suite.verify({
      publicKey: coordinatorKey,
      message: sumProofBytes(proof),
      signature: proof.coordinatorSignature,
    }),
  );
  const key = (bytes: Uint8Array): string => bytes.join();
  const pairs: [SumProof, SumProof][] = [];
  for (const [i, a] of genuine.entries()) {
    for (const b of genuine.slice(i + 1)) {
      const sameAggregation = key(a.aggregationId) === key(b.aggregationId);
      if (sameAggregation && key(coreBytes(a)) !== key(coreBytes(b))) pairs.push([a, b]);
    }
  }
  return pairs;
}

/** The claims alone: which survivors' signatures happen to be attached is no contradiction. */
function coreBytes(body: SumProofBody): Uint8Array {
  const writer = new Writer().text(LABEL.proof).raw(body.aggregationId).raw(body.paramsHash).raw(body.rosterRoot);
  return writer.raw(body.survivorRoot).u32(body.survivorCount).raw(body.sumHash).done();
}

/** What the coordinator's signature covers. */
export function sumProofBytes(body: SumProofBody): Uint8Array {
  const writer = new Writer().raw(coreBytes(body)).u32(body.signatures.length);
  for (const { id, signature } of body.signatures) writer.text(id).raw(signature);
  return writer.done();
}
