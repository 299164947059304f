/**
 * What the coordinator signs about a finished aggregation, checkable by anyone with its public key and the enrolment list:
 * parameters, roster, survivors and the hash of the sum, with the survivors' own signatures over the survivor set. Two valid
 * receipts of one aggregation with different content prove that the coordinator told two stories.
 */
import { Writer } from './codec.js';
import { LABEL } from './constants.js';
import { consistencyBody } from './derive.js';
import type { Enrolment } from './enrolment.js';
import type { CryptoSuite } from './suite.js';

export interface ReceiptBody {
  readonly aggregationId: Uint8Array;
  /** Hash of the canonical parameters (hash of encodeParams). */
  readonly paramsHash: Uint8Array;
  readonly rosterRoot: Uint8Array;
  readonly survivorRoot: Uint8Array;
  readonly survivorCount: number;
  readonly sumHash: Uint8Array;
  readonly signatures: readonly { readonly id: string; readonly signature: Uint8Array }[];
}

export interface Receipt extends ReceiptBody {
  readonly coordinatorSignature: Uint8Array;
}

export type ReceiptFault =
  | 'coordinator-signature' // not signed by this coordinator
  | 'unenrolled-signer'
  | 'survivor-signature' // some survivor did not sign this survivor set
  | 'too-few-signatures'; // fewer survivors signed than the caller demands

/** Signs a receipt with the coordinator's Ed25519 seed. */
export function signReceipt(suite: CryptoSuite, coordinatorSeed: Uint8Array, body: ReceiptBody): Receipt {
  return { ...body, coordinatorSignature: suite.signer(coordinatorSeed)(receiptBytes(body)) };
}

/** What is wrong with a receipt, or undefined. `signaturesMin` is the least number of survivors who must have signed. */
export function receiptFault(
  suite: CryptoSuite,
  receipt: Receipt,
  trust: { readonly coordinatorKey: Uint8Array; readonly enrolment: Enrolment; readonly signaturesMin: number },
): ReceiptFault | undefined {
  const { coordinatorSignature, signatures, survivorRoot } = receipt;
  const signed = { publicKey: trust.coordinatorKey, message: receiptBytes(receipt), signature: coordinatorSignature };
  if (!suite.verify(signed)) return 'coordinator-signature';
  const message = consistencyBody(receipt, survivorRoot);
  const signers = new Set<string>();
  for (const { id, signature } of signatures) {
    const publicKey = trust.enrolment.keyOf(id);
    if (publicKey === undefined) return 'unenrolled-signer';
    if (!suite.verify({ publicKey, message, signature })) return 'survivor-signature';
    signers.add(id);
  }
  return signers.size < trust.signaturesMin ? 'too-few-signatures' : undefined;
}

/** Pairs of receipts, each validly signed, that say different things about one aggregation. */
export function contradictions(
  suite: CryptoSuite,
  coordinatorKey: Uint8Array,
  receipts: readonly Receipt[],
): [Receipt, Receipt][] {
  const genuine = receipts.filter((receipt) =>
    suite.verify({
      publicKey: coordinatorKey,
      message: receiptBytes(receipt),
      signature: receipt.coordinatorSignature,
    }),
  );
  const key = (bytes: Uint8Array): string => bytes.join();
  const pairs: [Receipt, Receipt][] = [];
  for (const [i, a] of genuine.entries()) {
    for (const b of genuine.slice(i + 1)) {
      const sameAggregation = key(a.aggregationId) === key(b.aggregationId);
      if (sameAggregation && key(coreBytes(a)) !== key(coreBytes(b))) pairs.push([a, b]);
    }
  }
  return pairs;
}

/** The claims alone: which survivors' signatures happen to be attached is no contradiction. */
function coreBytes(body: ReceiptBody): Uint8Array {
  const writer = new Writer().text(LABEL.receipt).raw(body.aggregationId).raw(body.paramsHash).raw(body.rosterRoot);
  return writer.raw(body.survivorRoot).u32(body.survivorCount).raw(body.sumHash).done();
}

/** What the coordinator's signature covers. */
export function receiptBytes(body: ReceiptBody): Uint8Array {
  const writer = new Writer().raw(coreBytes(body)).u32(body.signatures.length);
  for (const { id, signature } of body.signatures) writer.text(id).raw(signature);
  return writer.done();
}
