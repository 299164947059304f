/**
 * Reads a plan as it came: signed by the coordinator, well-formed, checked once. Virtual clients of one process share a
 * reader, since a cohort gets one and the same plan.
 */
import { FlError } from '../shared/errors.js';
import { signedBytes, verifySignature } from '../shared/identity.js';
import type { RoundPlan } from '../shared/round.js';
import { checkPlan } from '../shared/run-spec.js';

/** @throws FlError permission-denied: not signed by the coordinator; invalid-argument: no plan */
export type PlanReader = (body: Uint8Array, signature: Uint8Array) => RoundPlan;

export function planReader(coordinatorKey: Uint8Array): PlanReader {
  let last: { body: Uint8Array; signature: Uint8Array; plan: RoundPlan } | undefined;
  return (body, signature) => {
    if (last !== undefined && equal(last.body, body) && equal(last.signature, signature)) return last.plan;
    let plan: unknown;
    try {
      plan = JSON.parse(new TextDecoder().decode(body));
    } catch (cause) {
      throw new FlError('invalid-argument', 'plan: not JSON', { cause });
    }
    if (!verifySignature(coordinatorKey, signedBytes('plan', plan), signature)) {
      throw new FlError('permission-denied', 'plan: not signed by the coordinator');
    }
    checkPlan(plan);
    last = { body, signature, plan };
    return plan;
  };
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0;
}
