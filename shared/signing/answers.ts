/**
 * What a client says of a plan, signed over its name, the task and the whole content: a decline or an evaluation that
 * somebody else made, or that answered another attempt, is worth nothing.
 */
import type { SumMetrics } from '../run/metrics.js';
import type { TaskId } from '../run/plan.js';
import type { DeclineReason } from '../service.js';
import { type Identity, signedBytes, verifySignature } from './identity.js';

/** Without its signature. */
export type Answer =
  | { readonly kind: 'decline'; readonly task: TaskId; readonly reason: DeclineReason; readonly detail: string }
  | { readonly kind: 'evaluation'; readonly task: TaskId; readonly metrics: SumMetrics };

/** An answer with its client's signature (Ed25519, 64 bytes). */
export type SignedAnswer = Answer & { readonly signature: Uint8Array };

/** @throws RangeError for metrics that are not finite */
export function signAnswer(identity: Identity, client: string, answer: Answer): SignedAnswer {
  return { ...answer, signature: identity.sign(answerBytes(client, answer)) };
}

/** Whether `publicKey` has signed exactly this, in the name of `client`. */
export function isAnswerOf(publicKey: Uint8Array, client: string, { signature, ...answer }: SignedAnswer): boolean {
  return verifySignature(publicKey, answerBytes(client, answer), signature);
}

function answerBytes(client: string, { kind, ...content }: Answer): Uint8Array {
  return signedBytes(kind, { client, ...content });
}
