/**
 * Signed receipts. A round makes one for each of its clients at once, and an Ed25519 signature for each would be a good
 * part of what a round costs; so the receipts of one step are the leaves of a tree, its root is signed once, and every
 * client gets its own receipt with the way to that root. It needs no other's receipt to check its own.
 */
import type { Receipt } from '../run/plan.js';
import { type Identity, signedBytes, verifySignature } from './identity.js';
import { type Inclusion, merkleRoot, merkleTree } from './merkle.js';

/** A receipt that stands alone. */
export interface SignedReceipt {
  readonly receipt: Receipt;
  readonly inclusion: Inclusion;
  /** Over the root of the tree and the number of its leaves. */
  readonly signature: Uint8Array;
}

/** Signs all of them at once; in the same order. */
export function signReceipts(identity: Identity, receipts: readonly Receipt[]): SignedReceipt[] {
  if (receipts.length === 0) return [];
  const { root, inclusion } = merkleTree(receipts.map(leafOf));
  const signature = identity.sign(rootBytes(root, receipts.length));
  return receipts.map((receipt, index) => ({ receipt, inclusion: inclusion(index), signature }));
}

/**
 * Tells whether a receipt is the coordinator's. Virtual clients of one process share one, since the receipts of a round
 * have one signature.
 */
export type ReceiptCheck = (signed: SignedReceipt) => boolean;

/** @param coordinatorKey Ed25519, 32 bytes */
export function receiptCheck(coordinatorKey: Uint8Array): ReceiptCheck {
  let good = { statement: Buffer.alloc(0), signature: Buffer.alloc(0) };
  return ({ receipt, inclusion, signature }) => {
    const root = merkleRoot(leafOf(receipt), inclusion);
    if (root === undefined) return false;
    const statement = rootBytes(root, inclusion.count);
    if (good.statement.equals(statement) && good.signature.equals(signature)) return true;
    if (!verifySignature(coordinatorKey, statement, signature)) return false;
    good = { statement: Buffer.from(statement), signature: Buffer.from(signature) };
    return true;
  };
}

function leafOf(receipt: Receipt): Uint8Array {
  return signedBytes('receipt', receipt);
}

function rootBytes(root: Uint8Array, count: number): Uint8Array {
  return signedBytes('receipts', { count, root });
}
